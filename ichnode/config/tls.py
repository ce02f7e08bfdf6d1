"""config.toml: TLS."""

from pathlib import Path

from pydantic import Field

from ichnode.config.values import Section
from ichnode.domain.tls import TlsFiles


class Tls(Section):
    """Certificates for `receive.tls_port` and for remotes with `tls`. PEM files, relative to this file; read again when
    they change. No passphrase: the key lies in a file that nobody but the service can read."""

    certificate: Path | None = Field(None, description="Our certificate, followed by those between it and its CA.")
    key: Path | None = Field(None, description="Its private key, not encrypted.")
    ca: Path | None = Field(None, description="Certificates of the CAs that sign the peers', and their CRLs if any.")
    mutual: bool = Field(True, description="Who calls us must show a certificate that `ca` signed.")

    @property
    def files(self) -> TlsFiles:
        """The files."""
        return TlsFiles(certificate=self.certificate, key=self.key, ca=self.ca)

    def beside(self, base: Path) -> "Tls":
        """With its files relative to ``base``."""
        given = {name: getattr(self, name) for name in ("certificate", "key", "ca")}
        return self.model_copy(update={name: base / path for name, path in given.items() if path is not None})
