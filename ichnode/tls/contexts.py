"""TLS contexts after PS3.15 B.12: TLS 1.2 or 1.3, the cipher suites of RFC 9325, and never a way down to plain text."""

import ssl
from pathlib import Path
from typing import Any, Final

from ichnode.domain.errors import ConfigError
from ichnode.domain.tls import TlsFiles
from ichnode.tls.pair import Pair

# RFC 9325 4.2, for TLS 1.2: forward secrecy and authenticated encryption alone. Those of TLS 1.3 are all such.
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"

A_PAIR: Final = "tls.certificate and tls.key are a pair of PEM files that the service can read, the key not encrypted."


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


def server_context(files: TlsFiles, *, mutual: bool, pair: Pair | None = None) -> ssl.SSLContext:
    """For being called. ``mutual``: the caller must show a certificate that ``ca`` signed.

    ``pair`` is shown in place of the one that the files hold. Raises ConfigError.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, files, pair)
    context.verify_mode = ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE
    return context


def read_pair(files: TlsFiles) -> Pair | None:
    """Our certificate and its key; None where there is none. Raises ConfigError."""
    if files.certificate is None:
        return None
    key = None if files.key is None else _read("key", files.key)
    return Pair(certificate=_read("certificate", files.certificate), key=key)


def _context(protocol: Any, files: TlsFiles, pair: Pair | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(CIPHERS)
    if files.ca is not None:
        _trust(context, files.ca)
    shown = pair or read_pair(files)
    if shown is not None:
        _show(context, shown, files)
    return context


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(cafile=ca)
        if b"BEGIN X509 CRL" in ca.read_bytes():
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    except OSError as error:
        hint = "tls.ca is a PEM file with the certificates of the CAs that signed the peers' certificates."
        raise ConfigError(f"The CA certificates {ca} cannot be used: {_why(error)}.", hint=hint) from error


def _show(context: ssl.SSLContext, pair: Pair, files: TlsFiles) -> None:
    try:
        pair.show_in(context)
    except OSError as error:
        where, key = files.certificate, files.key
        text = f"The certificate {where} cannot be used with its key: {_why(error)}."
        if b"-----BEGIN CERTIFICATE" not in pair.certificate:
            text = f"There is no certificate in {where}, which tls.certificate names; the key is {key}."
        raise ConfigError(text, hint=A_PAIR) from error


def _read(what: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"The {what} {path} cannot be used: {_why(error)}.", hint=A_PAIR) from error


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM, or an encrypted key").lower().replace("_", " ")
    return str(error.strerror)
