"""C-ECHO: whether a peer is there and would talk to us."""

import time
from dataclasses import dataclass

from pynetdicom import build_context
from pynetdicom.sop_class import Verification

from ichnode.deliver.association import Timeouts, Unreachable, associate, lost
from ichnode.deliver.classify import SUCCESS
from ichnode.domain.outputs import Peer
from ichnode.turn import take


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoResult:
    """``seconds`` from the first packet to the answer, or to giving up; when not ``ok``, ``reason`` is a sentence and
    ``hint`` says what to do, where that is known."""

    ok: bool
    seconds: float
    reason: str = ""
    hint: str = ""


def echo(peer: Peer, *, timeouts: Timeouts | None = None) -> EchoResult:
    """Associates, sends C-ECHO and releases. Never raises for what the peer does. Source: PS3.4 annex A."""
    started = time.monotonic()
    reason, hint = "", ""
    try:
        reason = _failure(peer, timeouts or Timeouts())
    except Unreachable as error:
        reason, hint = str(error), error.hint
    return EchoResult(ok=not reason, seconds=time.monotonic() - started, reason=reason, hint=hint)


def _failure(peer: Peer, timeouts: Timeouts) -> str:
    with associate(peer, [build_context(Verification)], timeouts) as association:
        if not association.accepted_contexts:
            return f"{peer.name} does not support C-ECHO"
        reply = association.send_c_echo() if take(association) else None
        if not reply:
            return f"{peer.name}: {lost(association)}"
        return "" if reply.Status == SUCCESS else f"{peer.name} answered C-ECHO with 0x{reply.Status:04X}"
