"""config.toml: the audit trail."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from ichnode.config.values import OneLine, Port, Section


class SyslogSection(Section):
    """Where audit messages go besides, by syslog over TLS (RFC 5424, RFC 5425). Files are relative to this one."""

    host: str = Field("", description="Host name of the audit repository, as its certificate has it; empty: none.")
    port: Port = Field(6514, description="Its port.")
    ca: Path | None = Field(None, description="Certificates (PEM) that its own must come from; else the system's.")
    certificate: Path | None = Field(None, description="Our certificate (PEM), where it asks for one.")
    key: Path | None = Field(None, description="The private key (PEM) of our certificate.")


class Audit(Section):
    """The audit trail: a chain of DICOM audit messages in `node.state_dir`/audit that shows tampering."""

    enabled: bool = Field(True, description="Write it.")
    patients: Literal["key", "id"] = Field(
        "key", description="How it tells a patient: by our key (a pseudonym), or by Patient ID. Never by name."
    )
    site: OneLine | None = Field(None, description="AuditEnterpriseSiteID of its messages.")
    max_mb: int = Field(64, ge=1, le=1024, description="A file larger than this is closed and a new one begun.")
    syslog: SyslogSection = Field(SyslogSection(), description="")
