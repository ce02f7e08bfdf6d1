"""Whether objects are in safe keeping here: recorded, on disk, of the class that is asked for, not in quarantine."""

from ichnode.domain.commitment import (
    CLASS_INSTANCE_CONFLICT,
    NO_SUCH_INSTANCE,
    PROCESSING_FAILURE,
    Named,
    Report,
    Request,
)
from ichnode.queue.database import Database
from ichnode.queue.promises import Held, held
from ichnode.store.layout import Store


def judge(request: Request, *, db: Database, store: Store) -> Report:
    """What we commit to, at this moment. A row is written only after its file is durable, so row and file are enough.

    An object of which bytes lie in quarantine is a failure whoever asks: which bytes are meant nobody can say.
    """
    known = held(db, [each.sop_instance_uid for each in request.objects])
    failed = []
    committed = []
    for named in request.objects:
        reason = _failure(named, known.get(named.sop_instance_uid), store)
        if reason is None:
            committed.append(named)
        else:
            failed.append((named, reason))
    return Report(transaction_uid=request.transaction_uid, committed=tuple(committed), failed=tuple(failed))


def _failure(named: Named, held: Held | None, store: Store) -> int | None:
    if held is not None and held.quarantined:
        return PROCESSING_FAILURE
    if held is None or held.purged or not store.resolve(held.path).is_file():
        return NO_SUCH_INSTANCE
    return None if held.sop_class_uid == named.sop_class_uid else CLASS_INSTANCE_CONFLICT
