"""Storage commitment SCU: a request over an association of its own, and the report that may come back over it.

Source: PS3.4 annex J.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from threading import Event
from typing import Any, Final

from pydicom.uid import UID
from pynetdicom import build_context, evt
from pynetdicom.association import Association

from ichnode.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, REQUEST_COMMITMENT, TRANSFER_SYNTAXES, request_data
from ichnode.deliver.association import Timeouts, Unreachable, associate, lost
from ichnode.deliver.classify import NO_SUCH_SOP_CLASS, SOP_CLASS_NOT_SUPPORTED, SUCCESS, UNRECOGNISED_OPERATION
from ichnode.domain.commitment import Request
from ichnode.domain.outputs import Peer
from ichnode.turn import take

NO_SUCH_ACTION: Final = 0x0123  # PS3.7 C.5
NEVER: Final = (NO_SUCH_SOP_CLASS, SOP_CLASS_NOT_SUPPORTED, NO_SUCH_ACTION, UNRECOGNISED_OPERATION)

LOOK_S: Final = 0.1  # how often it is looked whether the report has come another way


class Asked(StrEnum):
    """What one attempt to ask came to."""

    TAKEN = "taken"  # the peer has the request; the report comes now or later
    REFUSED = "refused"  # not now, or not this: ``reason`` says why
    UNSUPPORTED = "unsupported"  # it has no storage commitment
    UNREACHABLE = "unreachable"  # nothing was asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a peer made of a request; ``reason`` is a sentence when it was not taken."""

    outcome: Asked
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What ``ask`` calls while the association stands. ``open`` writes the request down right before it goes out;
    ``on_report`` answers an N-EVENT-REPORT; ``is_reported`` tells whether one has come, over any association."""

    open: Callable[[], object]
    on_report: Callable[[evt.Event], tuple[int, None]]
    is_reported: Callable[[], bool]


def ask(
    peer: Peer, request: Request, hooks: Hooks, *, timeouts: Timeouts, report_wait_s: float, stop: Event
) -> Answered:
    """Asks the peer to commit to objects, and stays on the line for ``report_wait_s`` at most.

    Never raises for what the peer does; errors of the hooks pass through.
    """
    handlers = [(evt.EVT_N_EVENT_REPORT, hooks.on_report)]
    try:
        # No role is proposed: by default we are the SCU, to whom the SCP may report on this very association.
        with associate(
            peer, [build_context(PUSH_MODEL, TRANSFER_SYNTAXES)], timeouts, handlers=handlers
        ) as association:
            if not association.accepted_contexts:
                return Answered(outcome=Asked.UNSUPPORTED, reason=_rejected(association.rejected_contexts))
            if not take(association):
                return Answered(outcome=Asked.UNREACHABLE, reason=f"{peer.name}: {lost(association)}")
            hooks.open()
            answered = _send(association, peer, request)
            if answered.outcome == Asked.TAKEN:
                _stay(association, hooks.is_reported, report_wait_s, stop)
            return answered
    except Unreachable as error:
        return Answered(outcome=Asked.UNREACHABLE, reason=str(error))


def _send(association: Association, peer: Peer, request: Request) -> Answered:
    reply, _ = association.send_n_action(
        request_data(request), REQUEST_COMMITMENT, UID(PUSH_MODEL), UID(PUSH_MODEL_INSTANCE)
    )
    if "Status" not in reply:
        # It may have taken the request all the same: should a report come, it is believed.
        return Answered(outcome=Asked.REFUSED, reason=lost(association))
    if reply.Status == SUCCESS:
        return Answered(outcome=Asked.TAKEN)
    outcome = Asked.UNSUPPORTED if reply.Status in NEVER else Asked.REFUSED
    return Answered(outcome=outcome, reason=f"{peer.name} answered the request with 0x{reply.Status:04X}")


def _stay(association: Association, is_reported: Callable[[], bool], limit_s: float, stop: Event) -> None:
    """Until the report has come, over this association or another, or the peer ends it; ``limit_s`` at most."""
    for _ in range(round(limit_s / LOOK_S)):
        if is_reported() or not association.is_established or stop.wait(LOOK_S):
            return


def _rejected(contexts: Sequence[Any]) -> str:
    return "it does not accept the presentation context" + "".join(f" (result {c.result})" for c in contexts[:1])
