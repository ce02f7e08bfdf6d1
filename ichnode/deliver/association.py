"""One outgoing association: opened within time limits, closed whatever happens."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from socket import IPPROTO_TCP, TCP_NODELAY, socket
from ssl import SSLContext
from typing import Any, Final

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from ichnode.domain.errors import ConfigError, Retryable
from ichnode.domain.outputs import Peer
from ichnode.domain.tls import ANY_NAME
from ichnode.tls.contexts import TellingSocket, client_context
from ichnode.tls.reasons import Reason, of_called
from ichnode.turn import take

MAX_CONTEXTS: Final = 128  # PS3.8 9.3.2.2: their ids are the odd numbers of one byte

ENDING_S: Final = 5.0  # for pynetdicom's thread to notice what the peer did

NOT_THERE: Final = "Check host and port, whether the peer runs there, and the firewalls between."
CHECK_TITLES: Final = "Check both AE titles, and that {calling} is registered there."
LATER: Final = "Wait; if it lasts, ask who runs the peer."
REJECTIONS: Final = {  # (source, reason) of A-ASSOCIATE-RJ, PS3.8 table 9-21: what it says, what to do
    (1, 2): ("it does not support the application context", "Check that the port is one for DICOM."),
    (1, 3): (
        "it does not know the calling AE title {calling}: register it there",
        "Check that {calling} is registered there, with this machine's address.",
    ),
    (1, 7): ("it does not know the called AE title {called}: correct it here", "Check the peer's ae_title."),
    (2, 2): ("it does not support the protocol version", "Check that the port is one for DICOM."),
    (3, 1): ("it is congested for the moment", LATER),
    (3, 2): ("it has as many associations as it takes", LATER),
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
        what = f"{peer.name}: the host name {peer.host} is not known ({error.strerror})"
        raise Unreachable(what, hint="Check the host, and this machine's DNS or /etc/hosts.") from error
    if association.is_established or association.rejected_contexts:
        return association
    sockets[0].close()  # pynetdicom leaves it open when the connection is refused
    found = _why_not_tls(sockets[0], peer) or _why(association, peer, timeouts, started, connected)
    by_address = peer.name == f"{peer.host}:{peer.port}"  # which the sentence names anyway
    raise Unreachable(found.why if by_address else f"{peer.name}: {found.why}", hint=found.hint)


def _tls_of(peer: Peer) -> SSLContext | None:
    """Made for each association, so that new certificates need no restart."""
    if peer.tls is None:
        return None
    try:
        return client_context(peer.tls.files, check_name=peer.tls.name != ANY_NAME)
    except ConfigError as error:
        raise Unreachable(f"{peer.name}: {error}", hint=error.hint) from error


def _why_not_tls(used: socket, peer: Peer) -> Reason | None:
    failure = used.failure if isinstance(used, TellingSocket) else None
    return None if failure is None else of_called(failure, f"{peer.host}:{peer.port}")


def _why(
    association: Association, peer: Peer, timeouts: Timeouts, started: float, connected: Sequence[float]
) -> Reason:
    where = f"{peer.host}:{peer.port}"
    if not connected:
        late = time.monotonic() - started >= timeouts.connect_s
        how = f" within {timeouts.connect_s:g} s" if late else ": refused, or no route"
        return Reason(why=f"no connection to {where}{how}", hint=NOT_THERE)
    if association.is_rejected:
        answer = association.acceptor.primitive
        lasting = "permanently" if answer.result == 1 else "for the moment"
        reason, hint = REJECTIONS.get((answer.result_source, answer.diagnostic), ("it gave no reason", CHECK_TITLES))
        titles = {"calling": peer.calling_ae_title, "called": peer.ae_title}
        why = f"{where} rejected the association {lasting}: {reason.format(**titles)}"
        return Reason(why=why, hint=hint.format(**titles))
    if association._sent_abort:
        why = f"{where} did not answer the association request within {timeouts.acse_s:g} s"
    else:
        why = f"{where} closed the connection instead of answering the association request"
    return Reason(why=why, hint=f"Check that the port speaks DICOM{_plainly(peer)}.")


def _plainly(peer: Peer) -> str:
    """A port for TLS closes a plain connection without a word."""
    return ", and not over TLS alone" if peer.tls is None else ""
