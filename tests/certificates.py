"""A certification authority for tests, made anew each time by the program openssl: no key is ever committed."""

import ssl
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ichnode.domain.tls import TlsFiles
from tests.peers.tools import program

NEW_KEY = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _openssl(folder: Path, *arguments: object) -> None:
    command = [program("openssl"), *map(str, arguments)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)


class Caller:
    """Who shows the certificate of ``files``, takes whatever is shown to it, and tries to resume its last session."""

    def __init__(self, files: TlsFiles, *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
        assert files.certificate is not None
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._context.maximum_version = version
        self._context.load_cert_chain(files.certificate, files.key)
        self._session: ssl.SSLSession | None = None

    def meets(self, server: ssl.SSLContext) -> bytes | None:
        """The certificate that it is shown, DER, where a handshake in memory and a word after it come through."""
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        called = server.wrap_bio(there, back, server_side=True)
        caller = self._context.wrap_bio(back, there, session=self._session)
        try:
            for _ in range(4):
                for side in (caller, called):
                    with suppress(ssl.SSLWantReadError):
                        side.do_handshake()
            called.write(b"x")
            assert caller.read(1) == b"x"
        except ssl.SSLError:
            return None
        self._session = caller.session
        return caller.getpeercert(binary_form=True)


@dataclass
class Authority:
    """A CA in a folder of its own."""

    folder: Path
    name: str = "test CA"
    _count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _openssl(
            self.folder, *NEW_KEY, "-x509", "-days", 3650, "-subj", f"/CN={self.name}", "-keyout", "ca.key",
            "-out", "ca.pem", "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    @property
    def ca(self) -> Path:
        """Its own certificate."""
        return self.folder / "ca.pem"

    def ended(self) -> Path:
        """A certificate of its own name and key that ended yesterday."""
        _openssl(self.folder, *NEW_KEY[:1], "-new", "-key", "ca.key", "-subj", f"/CN={self.name}", "-out", "ca.csr")
        _openssl(self.folder, "x509", "-req", "-in", "ca.csr", "-signkey", "ca.key", "-days", -1, "-out", "ended.pem")
        return self.folder / "ended.pem"

    def issue(self, *, names: str = "IP:127.0.0.1", days: int = 90, common_name: str = "") -> TlsFiles:
        """A certificate made out to ``names`` (as openssl writes subjectAltName), its key, and the CA."""
        self._count += 1
        stem = f"issued-{self._count}"
        key, request, certificate = (self.folder / f"{stem}.{end}" for end in ("key", "csr", "pem"))
        extensions = self.folder / f"{stem}.ext"
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
        _openssl(self.folder, *NEW_KEY, "-subj", f"/CN={common_name or stem}", "-keyout", key, "-out", request)
        key.chmod(0o600)
        _openssl(
            self.folder, *["x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"],
            "-in", request, "-out", certificate, "-days", days, "-extfile", extensions,
        )  # fmt: skip
        return TlsFiles(certificate=certificate, key=key, ca=self.ca)

    def issue_ahead(self, *, days: int, names: str = "IP:127.0.0.1") -> TlsFiles:
        """A certificate that is valid for a day, in so many days."""
        files = self.issue(names=names)
        assert files.certificate is not None
        from_, to = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + n * 86400)) for n in (days, days + 1))
        _openssl(
            self.folder, *self._ca(), "-batch", "-notext", "-startdate", from_, "-enddate", to,
            "-in", files.certificate.with_suffix(".csr"), "-extfile", files.certificate.with_suffix(".ext"),
            "-out", files.certificate,
        )  # fmt: skip
        return files

    def revoke(self, files: TlsFiles) -> Path:
        """A CRL with the certificate of ``files`` on it."""
        crl, ca = self.folder / "crl.pem", self._ca()
        _openssl(self.folder, *ca, "-revoke", files.certificate)
        _openssl(self.folder, *ca, "-gencrl", "-crldays", 30, "-out", crl)
        return crl

    def _ca(self) -> list[object]:
        """The command that keeps a register."""
        settings, own = self.folder / "ca.cnf", "database = index.txt\nnew_certs_dir = .\nrand_serial = yes"
        rules = f"[own]\n{own}\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n"
        settings.write_text(f"[ca]\ndefault_ca = own\n{rules}")
        (self.folder / "index.txt").touch()
        return ["ca", "-config", settings, "-cert", "ca.pem", "-keyfile", "ca.key"]
