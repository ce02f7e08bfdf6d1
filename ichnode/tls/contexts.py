"""TLS contexts after PS3.15 B.12: TLS 1.2 or 1.3, the cipher suites of RFC 9325, and never a way down to plain text."""

import ssl
from pathlib import Path
from typing import Any, Final

from ichnode.domain.errors import ConfigError
from ichnode.domain.tls import TlsFiles

# RFC 9325 4.2, for TLS 1.2: forward secrecy and authenticated encryption alone. Those of TLS 1.3 are all such.
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class TellingSocket(ssl.SSLSocket):
    """Remembers why TLS failed: pynetdicom keeps that to itself."""

    failure: OSError | None = None

    def do_handshake(self, block: bool = False) -> None:
        """As that of SSLSocket."""
        try:
            super().do_handshake(block)
        except OSError as error:
            self.failure = error
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As that of SSLSocket. In TLS 1.3 a refusal of our certificate comes here, after the handshake."""
        try:
            return super().recv(buflen, flags)
        except ssl.SSLError as error:
            self.failure = error
            raise


def client_context(files: TlsFiles, *, check_name: bool) -> ssl.SSLContext:
    """For calling: the other side must show a certificate that ``ca`` signed, we show ours if we have one.

    ``check_name``: it must also be made out to the name that is called. Raises ConfigError.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, files)
    context.check_hostname = check_name
    context.sslsocket_class = TellingSocket
    return context


def server_context(files: TlsFiles, *, mutual: bool) -> ssl.SSLContext:
    """For being called. ``mutual``: the caller must show a certificate that ``ca`` signed. Raises ConfigError."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, files)
    context.verify_mode = ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE
    return context


def _context(protocol: Any, files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(CIPHERS)
    if files.ca is not None:
        _trust(context, files.ca)
    if files.certificate is not None:
        _show(context, files.certificate, files.key)
    return context


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(cafile=ca)
        if b"BEGIN X509 CRL" in ca.read_bytes():
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    except OSError as error:
        hint = "tls.ca is a PEM file with the certificates of the CAs that signed the peers' certificates."
        raise ConfigError(f"The CA certificates {ca} cannot be used: {_why(error)}.", hint=hint) from error


def _show(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        # Without a password OpenSSL would ask for one on the terminal, for ever.
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        hint = "tls.certificate and tls.key are a pair of PEM files that the service can read, the key not encrypted."
        raise ConfigError(_which(certificate, key, error), hint=hint) from error


def _which(certificate: Path, key: Path | None, error: OSError) -> str:
    """What is wrong with a certificate and its key. OpenSSL does not say with which of the two."""
    for what, path in (("certificate", certificate), ("key", key)):
        try:
            begun = b"-----BEGIN CERTIFICATE" in path.read_bytes() if path is not None else True
        except OSError as unread:
            return f"The {what} {path} cannot be used: {_why(unread)}."
        if what == "certificate" and not begun:
            return f"There is no certificate in {certificate}, which tls.certificate names; the key is {key}."
    return f"The certificate {certificate} cannot be used with its key: {_why(error)}."


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM, or an encrypted key").lower().replace("_", " ")
    return str(error.strerror)
