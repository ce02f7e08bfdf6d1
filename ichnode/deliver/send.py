"""C-STORE SCU: files go out as they are stored, byte for byte."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import _config
from pynetdicom.association import Association

from ichnode.deliver.association import Timeouts, Unreachable, associate, lost
from ichnode.deliver.classify import Outcome, classify, classify_refused_context
from ichnode.deliver.parcel import INTERCHANGEABLE, Parcel, batches, contexts, read_parcel
from ichnode.domain.errors import Rejected
from ichnode.domain.outputs import Peer
from ichnode.domain.profile import LABEL_MAP_SEGMENTATION
from ichnode.turn import take

# Process-wide in pynetdicom. Without it send_c_store(path) decodes the data set and encodes it anew.
_config.STORE_SEND_CHUNKED_DATASET = True

SLOWEST_BYTES_PER_S: Final = 100_000  # pynetdicom's wait for the answer begins before the first byte is out

NAMES: Final = {LABEL_MAP_SEGMENTATION: "Label Map Segmentation Storage"}  # younger than pydicom's list

MESSAGE_IDS: Final = 0xFFFF  # PS3.7 9.1.1.1: a 16-bit number; it comes round


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one file. ``status`` is the peer's, None when it gave none; ``reason`` is a sentence."""

    path: Path
    sop_instance_uid: str
    outcome: Outcome
    reason: str
    status: int | None = None


def send(
    files: Sequence[Path],
    peer: Peer,
    *,
    timeouts: Timeouts | None = None,
    transfer_syntaxes: Sequence[str] = INTERCHANGEABLE,
) -> Generator[Answer, None, None]:
    """Sends files in their order over one association (more only beyond 128 contexts), an answer for each as it comes.

    Files that cannot be read are answered first. An uncompressed file whose own syntax the peer does not take is
    re-encoded in another of ``transfer_syntaxes``. Never raises for what the peer does. Whoever stops early closes the
    iterator: that releases the association.
    """
    limits = timeouts or Timeouts()
    parcels: list[Parcel] = []
    for path in files:
        try:
            parcel = read_parcel(path)
        except FileNotFoundError:
            yield _unread(path, Outcome.DEAD, "the file is gone")
        except OSError as error:
            yield _unread(path, Outcome.AGAIN, f"the file cannot be read: {error.strerror}")
        except Rejected as error:
            yield _unread(path, Outcome.DEAD, str(error))
        else:
            if parcel.offers(transfer_syntaxes):
                parcels.append(parcel)
            else:
                yield _unsent(parcel, Outcome.DEAD, "it fits none of the transfer syntaxes that may be offered")
    for batch in batches(parcels, transfer_syntaxes):
        yield from _send_batch(batch, peer, limits, transfer_syntaxes)


def _send_batch(
    batch: Sequence[Parcel], peer: Peer, timeouts: Timeouts, transfer_syntaxes: Sequence[str]
) -> Iterator[Answer]:
    rest = list(batch)
    try:
        with associate(peer, contexts(batch, transfer_syntaxes), timeouts) as association:
            for number, parcel in enumerate(batch):
                answer = _store(association, parcel, transfer_syntaxes, timeouts, number % MESSAGE_IDS + 1)
                rest.pop(0)
                yield answer
    except Unreachable as error:
        for parcel in rest:
            yield _unsent(parcel, Outcome.UNREACHABLE, str(error))


def _store(
    association: Association, parcel: Parcel, transfer_syntaxes: Sequence[str], timeouts: Timeouts, number: int
) -> Answer:
    """Sends one object. Raises Unreachable when the association had ended before it."""
    syntax = _accepted_syntax(association, parcel, transfer_syntaxes)
    if syntax is None:
        return _refused(association, parcel)
    if not take(association):
        raise Unreachable(f"not sent: before its turn {lost(association)}")
    association.dimse_timeout = timeouts.dimse_s + parcel.size_bytes / SLOWEST_BYTES_PER_S
    try:
        message = parcel.path if syntax == parcel.transfer_syntax_uid else dcmread(parcel.path)
        reply = association.send_c_store(message, msg_id=number)
    except OSError as error:
        association.abort()  # half a message is out: nothing can follow it on this association
        return _unsent(parcel, Outcome.AGAIN, f"the file cannot be read: {error.strerror}")
    except (ValueError, AttributeError, TypeError, KeyError, EOFError) as error:
        return _unsent(parcel, Outcome.DEAD, f"cannot be written in {UID(syntax).name}: {type(error).__name__}")
    if "Status" not in reply:
        return _unsent(parcel, Outcome.AGAIN, lost(association))
    return _answer(parcel, reply)


def _accepted_syntax(association: Association, parcel: Parcel, transfer_syntaxes: Sequence[str]) -> str | None:
    accepted = {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in association.accepted_contexts}
    possible = [syntax for sop_class, syntax in parcel.offers(transfer_syntaxes) if (sop_class, syntax) in accepted]
    return possible[0] if possible else None


def _refused(association: Association, parcel: Parcel) -> Answer:
    rejected = association.rejected_contexts
    meanings = [classify_refused_context(c.result) for c in rejected if c.abstract_syntax == parcel.sop_class_uid]
    # One context that may be accepted later is enough to try again.
    meaning = next((m for m in meanings if m.outcome == Outcome.AGAIN), meanings[0])
    named = NAMES.get(parcel.sop_class_uid) or UID(parcel.sop_class_uid).name
    return _unsent(parcel, meaning.outcome, f"{named}: {meaning.text}")


def _answer(parcel: Parcel, reply: Dataset) -> Answer:
    meaning = classify(reply.Status)
    reason = f"0x{reply.Status:04X}: {meaning.text}"
    # The peer's ErrorComment stays out: it is free text and may name the patient.
    if "OffendingElement" in reply:
        tags = reply["OffendingElement"]
        reason += f", offending: {', '.join(str(t) for t in (tags.value if tags.VM > 1 else [tags.value]))}"
    return Answer(
        path=parcel.path,
        sop_instance_uid=parcel.sop_instance_uid,
        outcome=meaning.outcome,
        reason=reason,
        status=int(reply.Status),
    )


def _unsent(parcel: Parcel, outcome: Outcome, reason: str) -> Answer:
    return Answer(path=parcel.path, sop_instance_uid=parcel.sop_instance_uid, outcome=outcome, reason=reason)


def _unread(path: Path, outcome: Outcome, reason: str) -> Answer:
    return Answer(path=path, sop_instance_uid="", outcome=outcome, reason=reason)
