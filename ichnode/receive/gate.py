"""Who is let in, with which contexts, and how much is taken from each: the rules of ``[[receive.peer]]`` at work."""

import logging
import threading
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from ssl import SSLSocket
from typing import Any, Final

from ichnode.receive.allow import AllowedPeer, peer_for, right_of
from ichnode.receive.limits import CANCEL, RESPONSE, Inflow, Rate
from ichnode.receive.refusals import Refusals
from ichnode.tls.certificates import names_of

log = logging.getLogger(__name__)

# PS3.8 table 9-21: result, source, reason. Whoever is not let in learns one and the same, whatever was wrong.
REJECT_REQUEST: Final = (1, 1, 1)  # permanent, service user, no reason given
REJECT_CALLING_AE: Final = (1, 1, 3)  # permanent, service user, calling AE title not recognised
REJECT_LOCAL_LIMIT: Final = (2, 3, 2)  # transient, presentation, local limit exceeded

INVALID_PDU: Final = "Evt19"  # PS3.8 9.2: in any state it ends in A-ABORT and a closed connection

STRANGER: Final = "not on the list of allowed peers"
NO_SYNTAX: Final = "it proposes a presentation context that lacks a syntax"  # an abstract one or a transfer one
ANOTHER_NAME: Final = "its certificate is made out to another name"
MOST_NAMES: Final = 3  # of a certificate, in words
LONGEST_NAME: Final = 80

MIB: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why an association is not accepted: ``reason`` is for the peer, ``why`` for us."""

    reason: tuple[int, int, int]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admitted:
    peer: AllowedPeer
    title: str
    address: str

    @property
    def who(self) -> str:
        return f"{self.title} at {self.address}"

    @property
    def caller(self) -> tuple[AllowedPeer, str]:
        # The entry and the address, not the title: under "*" a peer may call itself what it likes.
        return self.peer, self.address


class Gate:
    """The associations that were let in, and what they may. Every method may be called from any thread."""

    def __init__(
        self,
        allow: Sequence[AllowedPeer],
        *,
        refusals: Refusals,
        max_associations: int = 20,
        max_instance_bytes: int = 512 * MIB,
        max_bytes_in_memory: int = 768 * MIB,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allow = tuple(allow)
        self._refusals = refusals
        self._max_associations = max_associations
        self._max_instance_bytes = max_instance_bytes
        self._inflow = Inflow(max_bytes_in_memory)
        self._rate = Rate(clock)
        self._lock = threading.Lock()
        self._open: dict[Any, _Admitted] = {}

    def knows(self, address: str) -> bool:
        """Whether any peer may call from this address at all."""
        return any(peer.reaches(address) for peer in self._allow)

    def turn_away(self, title: str, address: str) -> tuple[int, int, int] | None:
        """The reason for a stranger, before anything is made for it; None for whoever may be a peer of ours."""
        if peer_for(self._allow, title, address) is not None:
            return None
        return self._refused(title, address, REJECT_CALLING_AE, STRANGER).reason

    def admit(self, association: Any) -> Refused | None:
        """Judges an association request before it is negotiated, and takes away what its peer has no right to."""
        title = association.requestor.primitive.calling_ae_title.strip()
        address = association.requestor.address
        peer = peer_for(self._allow, title, address)
        if peer is None:
            return self._refused(title, address, REJECT_CALLING_AE, STRANGER)
        why, in_full = _want_of_tls(peer, association.dul.socket.socket)
        if why:
            return self._refused(title, address, REJECT_CALLING_AE, why, in_full=in_full)
        if not all(c.abstract_syntax and c.transfer_syntax for c in _proposed(association)):
            return self._refused(title, address, REJECT_REQUEST, NO_SYNTAX)
        admitted = _Admitted(peer=peer, title=title, address=address)
        for ended in [a for a in list(self._open) if not a.is_alive()]:
            self.ends(ended)
        with self._lock:
            at_once = sum(other.caller == admitted.caller for other in self._open.values())
            full = ""
            if peer.max_associations is not None and at_once >= peer.max_associations:
                full = "it has as many associations as it may"
            elif len(self._open) >= self._max_associations:
                full = "too many associations"
            else:
                self._open[association] = admitted
        if full:
            return self._refused(title, address, REJECT_LOCAL_LIMIT, full)
        self._inflow.opens(association, peer.max_instance_bytes or self._max_instance_bytes)
        self._keep_to_rights(association, admitted)
        return None

    def received(self, association: Any, pdu: Any) -> None:
        """Counts a PDU as it comes in; more than the peer may send is not waited for: the association is aborted."""
        items = getattr(pdu, "presentation_data_value_items", ())
        why = self._inflow.grows(association, [item.presentation_data_value for item in items])
        if why:
            self._inflow.ends(association)
            association.dul.event_queue.put(INVALID_PDU)
            admitted = self._open.get(association)
            self._refusals.note(admitted.who if admitted else "?", why)

    def wait_s(self, association: Any, *, most_s: float) -> float:
        """How long the next instance has to wait, seconds, so that its peer keeps to its rate; above ``most_s`` it
        is to be refused."""
        admitted = self._open.get(association)
        if admitted is None or admitted.peer.max_per_minute is None:
            return 0.0
        return self._rate.wait_s(admitted.caller, admitted.peer.max_per_minute, most_s=most_s)

    def came(self, association: Any, message: Any) -> None:
        """A message is there as a whole. Only requests are waited for to be answered."""
        command = message.command_set
        if command.CommandField & RESPONSE or command.CommandField == CANCEL:
            return
        size = sum(part.getbuffer().nbytes for part in (message.encoded_command_set, message.data_set))
        self._inflow.came(association, command.CommandField, command.get("MessageID", 0), size)

    def answered(self, association: Any, message: Any) -> None:
        """A message of ours goes out; if it is an answer, one request of the association is done with."""
        command = message.command_set
        if command.CommandField & RESPONSE:
            asked = command.CommandField & ~RESPONSE, command.MessageIDBeingRespondedTo
            self._inflow.answered(association, *asked)

    def ends(self, association: Any) -> None:
        """The association is over."""
        self._inflow.ends(association)
        with self._lock:
            self._open.pop(association, None)

    def _refused(
        self, title: str, address: str, reason: tuple[int, int, int], why: str, *, in_full: str = ""
    ) -> Refused:
        self._refusals.note(f"{title} at {address}", why, in_full=in_full)
        return Refused(reason=reason, why=why)

    def _keep_to_rights(self, association: Any, admitted: _Admitted) -> None:
        may = admitted.peer.may
        supported = association.acceptor.supported_contexts
        association.acceptor.supported_contexts = [c for c in supported if right_of(str(c.abstract_syntax)) in may]
        known = {str(context.abstract_syntax) for context in supported}
        asked = {right_of(str(c.abstract_syntax)) for c in _proposed(association) if str(c.abstract_syntax) in known}
        for right in sorted(asked - may):
            self._refusals.note(admitted.who, f"it has no right to {right}")


def _proposed(association: Any) -> Sequence[Any]:
    """The presentation contexts of an association request."""
    return association.requestor.primitive.presentation_context_definition_list  # type: ignore[no-any-return]


def _want_of_tls(peer: AllowedPeer, connection: Any) -> tuple[str, str]:
    """Why a connection is not the one that a peer must call over, and that with names; empty where it is."""
    if not isinstance(connection, SSLSocket):
        return ("it must use TLS" if peer.tls_required or peer.tls_names else ""), ""
    if not peer.tls_names:
        return "", ""
    certificate = connection.getpeercert()
    if not certificate:
        return "it shows no certificate", ""
    shown = names_of(certificate)
    wanted = {name.lower().rstrip(".") for name in peer.tls_names}
    if shown & wanted:
        return "", ""
    return ANOTHER_NAME, f"its certificate is made out to {_some(shown)}, not to {_some(wanted)}"


def _some(names: Set[str]) -> str:
    """A certificate may bear thousands of names, and long ones."""
    first = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in sorted(names)[:MOST_NAMES]]
    more = [f"{len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
    return " or ".join(first + more) or "no name"
