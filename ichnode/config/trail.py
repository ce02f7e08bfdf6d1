"""config.toml: the audit trail."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from ichnode.config.values import OneLine, Port, Section


class SyslogSection(Section):
    """Where audit messages go besides, by syslog over TLS. If it asks for our certificate, it gets that of `[tls]`."""

    host: str = Field("", description="Host name of the audit repository, as its certificate has it; empty: none.")
    port: Port = Field(6514, description="Its port.")
    ca: Path | None = Field(None, description="Certificates (PEM) that its own must come from; else `tls.ca`.")


class Audit(Section):
    """The audit trail: a chain of DICOM audit messages in `node.state_dir`/audit that shows tampering."""

    enabled: bool = Field(True, description="Write it.")
    patients: Literal["key", "id"] = Field(
        "key", description="How it tells a patient: by our key (a pseudonym), or by Patient ID. Never by name."
    )
    site: OneLine | None = Field(None, description="AuditEnterpriseSiteID of its messages.")
    max_mb: int = Field(64, ge=1, le=1024, description="A file larger than this is closed and a new one begun.")
    syslog: SyslogSection = Field(SyslogSection(), description="")

    def beside(self, base: Path) -> "Audit":
        """With its file relative to ``base``."""
        ca = None if self.syslog.ca is None else base / self.syslog.ca
        return self.model_copy(update={"syslog": self.syslog.model_copy(update={"ca": ca})})
