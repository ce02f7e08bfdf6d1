"""One outgoing association: opened within time limits, closed whatever happens."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from socket import IPPROTO_TCP, TCP_NODELAY, socket
from ssl import SSLCertVerificationError, SSLContext, SSLError
from typing import Any, Final

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from ichnode.domain.errors import ConfigError, Retryable
from ichnode.domain.outputs import Peer
from ichnode.domain.tls import ANY_NAME
from ichnode.tls.contexts import TellingSocket, client_context
from ichnode.turn import take

MAX_CONTEXTS: Final = 128  # PS3.8 9.3.2.2: their ids are the odd numbers of one byte

ENDING_S: Final = 5.0  # for pynetdicom's thread to notice what the peer did

REJECTIONS: Final = {  # (source, reason) of A-ASSOCIATE-RJ, PS3.8 table 9-21
    (1, 2): "it does not support the application context",
    (1, 3): "it does not know the calling AE title {calling}: register it there",
    (1, 7): "it does not know the called AE title {called}: correct it here",
    (2, 2): "it does not support the protocol version",
    (3, 1): "it is congested for the moment",
    (3, 2): "it has as many associations as it takes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long each step may hang, seconds. ``dimse_s`` is the wait for an answer once the message is out."""

    connect_s: float = 10.0
    acse_s: float = 30.0
    dimse_s: float = 60.0
    network_s: float = 60.0


class Unreachable(Retryable):
    """No association with the peer came about, or it ended too early; the sentence says how far it got."""


@contextmanager
def associate(
    peer: Peer,
    contexts: Sequence[PresentationContext],
    timeouts: Timeouts,
    *,
    negotiation: Sequence[Any] = (),
    handlers: Sequence[tuple[Any, ...]] = (),
) -> Iterator[Association]:
    """An association for the length of a ``with`` block. At its end it is released, after an error aborted.

    When the peer accepts none of the contexts the association is handed out all the same, closed, so that the caller
    can read ``rejected_contexts``. Raises Unreachable.
    """
    association = _request(peer, contexts, timeouts, negotiation, handlers)
    try:
        yield association
    except GeneratorExit:  # whoever sends stopped early, between two messages
        _release(association)
        raise
    except RuntimeError as error:
        association.abort()
        raise Unreachable(f"{peer.name}: {lost(association)}") from error
    except BaseException:
        association.abort()
        raise
    _release(association)


def lost(association: Association) -> str:
    """The sentence for an association that ended before its time, or in which no answer came. It has ended after."""
    association._reactor_checkpoint.set()
    association.join(ENDING_S)
    if association.is_alive():
        association.abort()
    if association._sent_abort:
        return "the peer did not answer in time"
    if association.is_released:
        return "the peer released the association"
    return "the peer aborted the association, or the connection was lost"


def _release(association: Association) -> None:
    if take(association):
        association.release()


def _request(
    peer: Peer,
    contexts: Sequence[PresentationContext],
    timeouts: Timeouts,
    negotiation: Sequence[Any],
    handlers: Sequence[tuple[Any, ...]],
) -> Association:
    ae = AE(ae_title=peer.calling_ae_title)
    ae.connection_timeout = timeouts.connect_s
    ae.acse_timeout = timeouts.acse_s
    ae.dimse_timeout = timeouts.dimse_s
    ae.network_timeout = timeouts.network_s
    connected: list[float] = []
    sockets: list[socket] = []
    tls = _tls_of(peer)

    def _on_sent(event: evt.Event) -> None:  # of the request, before the connection is tried
        if tls is not None:
            assert peer.tls is not None
            name = peer.host if peer.tls.name == ANY_NAME else peer.tls.name
            # The handshake comes with the connection, within its time limit.
            event.assoc.dul.socket.socket = tls.wrap_socket(event.assoc.dul.socket.socket, server_hostname=name)
        sockets.append(event.assoc.dul.socket.socket)

    def _on_open(event: evt.Event) -> None:
        # pynetdicom lifts the socket's time limit once connected: a peer that stops reading would block us for ever.
        event.assoc.dul.socket.socket.settimeout(timeouts.network_s)
        # A message is two or more small writes: Nagle's algorithm and a delayed ACK cost 40 ms each.
        event.assoc.dul.socket.socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        connected.append(time.monotonic())

    started = time.monotonic()
    try:
        association = ae.associate(
            peer.host,
            peer.port,
            contexts=list(contexts),
            ae_title=peer.ae_title,
            ext_neg=list(negotiation),
            evt_handlers=[(evt.EVT_ACSE_SENT, _on_sent), (evt.EVT_CONN_OPEN, _on_open), *handlers],
        )
    except OSError as error:
        raise Unreachable(f"{peer.name}: the host name {peer.host} is not known ({error.strerror})") from error
    if association.is_established or association.rejected_contexts:
        return association
    sockets[0].close()  # pynetdicom leaves it open when the connection is refused
    why = _why_not_tls(sockets[0], peer) or _why(association, peer, timeouts, started, connected)
    raise Unreachable(f"{peer.name}: {why}")


def _tls_of(peer: Peer) -> SSLContext | None:
    """Made for each association, so that new certificates need no restart."""
    if peer.tls is None:
        return None
    try:
        return client_context(peer.tls.files, check_name=peer.tls.name != ANY_NAME)
    except ConfigError as error:
        raise Unreachable(f"{peer.name}: {error}") from error


def _why_not_tls(used: socket, peer: Peer) -> str:
    failure = used.failure if isinstance(used, TellingSocket) else None
    if failure is None:
        return ""
    where = f"{peer.host}:{peer.port}"
    if isinstance(failure, SSLCertVerificationError):
        return f"the certificate of {where} is not accepted: {failure.verify_message}"
    if isinstance(failure, SSLError):
        return f"no TLS with {where}: {(failure.reason or 'it broke off').lower().replace('_', ' ')}"
    return f"no TLS with {where}: it does not speak it, or broke off"


def _why(association: Association, peer: Peer, timeouts: Timeouts, started: float, connected: Sequence[float]) -> str:
    where = f"{peer.host}:{peer.port}"
    if not connected:
        if time.monotonic() - started >= timeouts.connect_s:
            return f"no connection to {where} within {timeouts.connect_s:g} s"
        return f"no connection to {where}: refused, or no route"
    if association.is_rejected:
        answer = association.acceptor.primitive
        lasting = "permanently" if answer.result == 1 else "for the moment"
        reason = REJECTIONS.get((answer.result_source, answer.diagnostic), "it gave no reason")
        reason = reason.format(calling=peer.calling_ae_title, called=peer.ae_title)
        return f"{where} rejected the association {lasting}: {reason}"
    if association._sent_abort:
        return f"{where} did not answer the association request within {timeouts.acse_s:g} s"
    return f"{where} closed the connection instead of answering the association request"
