"""Why a handshake failed, and through whose certificate, in words. What is not known here keeps OpenSSL's word."""

import ssl
from dataclasses import dataclass
from typing import Final

# An alert is the other side's: it does not accept us. RFC 8446 6.2, by the names of openssl/sslerr.h.
NOT_ACCEPTED: Final = {
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "revoked",
    "SSLV3_ALERT_BAD_CERTIFICATE": "bad, as where it bears another name than was called",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "not for this use (extendedKeyUsage)",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not say why",
    "TLSV1_ALERT_UNKNOWN_CA": "from a CA that it does not know",
}
WANTS_OURS: Final = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
NONE_SHOWN: Final = "PEER_DID_NOT_RETURN_A_CERTIFICATE"
PLAIN: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST"})  # in place of a first TLS record

# X509_V_ERR_... of openssl/x509_vfy.h. It does not tell whose issuer it is, nor which of a chain has expired.
EXPIRED: Final = 10
NOT_OF_CA: Final = frozenset({2, 18, 19, 20, 21})
ANOTHER_NAME: Final = frozenset({62, 64})  # a host name, an address
FAULTS: Final = {
    9: "is not yet valid, or that of its CA",
    EXPIRED: "has expired, or that of its CA",
    23: "is revoked",
    26: "is not for this use (extendedKeyUsage)",
    **dict.fromkeys(NOT_OF_CA, "is not of tls.ca"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """``why`` a handshake failed, and a ``hint`` that says what to do: empty where that is unknown."""

    why: str
    hint: str = ""


def of_caller(error: OSError) -> str:
    """Why a caller's handshake failed: its certificate, ours, or no TLS at all."""
    if isinstance(error, ssl.SSLCertVerificationError):
        fault = FAULTS.get(error.verify_code)
        return f"its certificate {fault}" if fault else error.verify_message
    name = _name(error)
    if name in NOT_ACCEPTED:
        return f"the caller does not accept our certificate: {NOT_ACCEPTED[name]}"
    if name in PLAIN:
        return "it called in plain text"
    if name == NONE_SHOWN:
        return "it shows no certificate"
    return _word(name) or "the handshake did not come to its end"


def of_called(error: OSError, where: str) -> Reason:
    """Why the handshake with a peer that we called at ``where`` failed, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        fault = FAULTS.get(error.verify_code)
        what = f"it {fault}" if fault else error.verify_message
        return Reason(why=f"the certificate of {where} is not accepted: {what}", hint=_mend(error.verify_code))
    why, hint = _of_others(_name(error))
    return Reason(why=f"no TLS with {where}: {why}", hint=hint)


def _of_others(name: str) -> tuple[str, str]:
    if name in NOT_ACCEPTED:
        hint = "Look at tls.certificate (`openssl x509 -text -noout -in`), and at the CAs that the peer trusts."
        return f"it does not accept our certificate: {NOT_ACCEPTED[name]}", hint
    if name == WANTS_OURS:
        return "it asks for a certificate of ours", "Set tls.certificate and tls.key."
    if name in PLAIN:
        return "it answers in plain text", "Give the peer's port for TLS, or call it without TLS."
    if not name:
        return "it does not speak it, or broke off", "Check that the port is the peer's port for TLS."
    return _word(name), "Check that the port is the peer's port for TLS, and which versions and ciphers it speaks."


def _mend(verify_code: int) -> str:
    if verify_code in NOT_OF_CA:
        return "Put the CA that signed the peer's certificate into tls.ca."
    if verify_code in ANOTHER_NAME:
        return "Set host, or tls_name, to the name in the peer's certificate."
    if verify_code == EXPIRED:
        return "The peer needs a new certificate; look at tls.ca too, and at the clock."
    return "The peer needs another certificate (docs/how-to/tls.md)."


def _name(error: OSError) -> str:
    return (error.reason or "") if isinstance(error, ssl.SSLError) else ""


def _word(name: str) -> str:
    return name.lower().replace("_", " ")
