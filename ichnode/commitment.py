"""The messages of storage commitment (push model), as either end needs them, and the answer to a report.

Source: PS3.4 annex J.
"""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from sqlalchemy.exc import SQLAlchemyError

from ichnode.domain.commitment import PROCESSING_FAILURE, Named, Report, Request
from ichnode.domain.errors import Rejected
from ichnode.metered import ODD, Budget, read_elements
from ichnode.queue import commitments
from ichnode.queue.database import Database

log = logging.getLogger(__name__)

PUSH_MODEL: Final = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE: Final = "1.2.840.10008.1.20.1.1"  # well-known: the only one of its class
REQUEST_COMMITMENT: Final = 1  # action type, PS3.4 table J.3-1
ALL_COMMITTED: Final = 1  # event types, PS3.4 table J.3-2
SOME_FAILED: Final = 2

SUCCESS: Final = 0x0000  # PS3.7 10.1.1.1.8 and annex C
FAILED: Final = 0x0110
NO_SUCH_SOP_INSTANCE: Final = 0x0112
NO_SUCH_EVENT: Final = 0x0113
INVALID_ARGUMENT: Final = 0x0115
RESOURCE_LIMITATION: Final = 0x0213

# In the order of preference. No deflated one: what is to be inflated can become anything.
TRANSFER_SYNTAXES: Final = [str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)]

MOST_OBJECTS: Final = 20_000  # of one request: a study of that size is none
LARGEST_BYTES: Final = 4 * 2**20  # of one message: MOST_OBJECTS come to three million
REACHES: Final = 16 * MOST_OBJECTS  # that reading them takes, with their items and delimiters
VALID_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)+")
LONGEST_UID: Final = 64


def request_data(request: Request) -> Dataset:
    """The Action Information of a request. Source: PS3.4 table J.3-1."""
    data = Dataset()
    data.TransactionUID = request.transaction_uid
    data.ReferencedSOPSequence = [_item(each) for each in request.objects]
    return data


def decoded(encoded: BytesIO | None, transfer_syntax: str, budget: Budget) -> Dataset:
    """An Action or Event Information. Raises Rejected for what is none, with a reason fit for a log."""
    size = 0 if encoded is None else encoded.getbuffer().nbytes
    if size > LARGEST_BYTES:  # parsed, it takes many times that
        raise Rejected(f"it has {size} bytes, {LARGEST_BYTES} are the most")
    if encoded is None or transfer_syntax not in TRANSFER_SYNTAXES:
        raise Rejected("it has no data set in a transfer syntax that was offered")
    encoded.seek(0)
    is_implicit = transfer_syntax == ImplicitVRLittleEndian
    try:
        elements = read_elements(encoded, is_implicit=is_implicit, budget=budget)
    except (*ODD, OSError) as error:
        raise Rejected("its data set cannot be read") from error
    return Dataset({element.tag: element for element in elements})


def request_in(encoded: BytesIO | None, transfer_syntax: str) -> Request:
    """The request that came. Raises Rejected, as ``decoded`` and ``read_request``."""
    with Budget(REACHES) as budget:
        return read_request(decoded(encoded, transfer_syntax, budget))


def report_in(encoded: BytesIO | None, transfer_syntax: str) -> Report:
    """The report that came. Raises Rejected, as ``decoded`` and ``read_report``."""
    with Budget(REACHES) as budget:
        return read_report(decoded(encoded, transfer_syntax, budget))


def read_request(data: Dataset) -> Request:
    """The request in an Action Information. Raises Rejected for what is none, with a reason fit for a log."""
    objects = tuple(_named(data, "ReferencedSOPSequence"))
    if not objects:
        raise Rejected("it names no objects")
    return Request(transaction_uid=_uid(data, "TransactionUID"), objects=objects)


def report_data(report: Report) -> tuple[int, Dataset]:
    """(event type, Event Information) of a report. Source: PS3.4 table J.3-2."""
    data = Dataset()
    data.TransactionUID = report.transaction_uid
    if report.committed:
        data.ReferencedSOPSequence = [_item(each) for each in report.committed]
    if not report.failed:
        return ALL_COMMITTED, data
    items = [_item(each) for each, _ in report.failed]
    for item, (_, reason) in zip(items, report.failed, strict=True):
        item.FailureReason = reason
    data.FailedSOPSequence = items
    return SOME_FAILED, data


def read_report(data: Dataset) -> Report:
    """The report in an Event Information. Raises Rejected for what is none, with a reason fit for a log.

    A failed object without a reason counts as a processing failure.
    """
    failed = [
        (named, _reason(item))
        for named, item in zip(_named(data, "FailedSOPSequence"), data.get("FailedSOPSequence") or [], strict=True)
    ]
    committed = tuple(_named(data, "ReferencedSOPSequence"))
    return Report(transaction_uid=_uid(data, "TransactionUID"), committed=committed, failed=tuple(failed))


def answer_report(
    event: Any, *, db: Database, ae_title: str, clock: Callable[[], float], tell: Callable[[str], None] = log.warning
) -> tuple[int, None]:
    """Takes an N-EVENT-REPORT of the peer ``ae_title`` in; the status of its answer. Never raises.

    What is written down is answered with success; what cannot be now (the database) with a failure, so that the peer
    may send it again. ``tell`` is told what is not believed; nothing of that is kept.
    """
    request = event.request
    if str(request.AffectedSOPInstanceUID) != PUSH_MODEL_INSTANCE:
        return NO_SUCH_SOP_INSTANCE, None
    if request.EventTypeID not in (ALL_COMMITTED, SOME_FAILED):
        return NO_SUCH_EVENT, None
    try:
        report = report_in(request.EventInformation, str(event.context.transfer_syntax))
        believed = commitments.take_report(db, report, ae_title=ae_title, now=clock())
    except Rejected as error:
        log.warning("a commitment report from %s: %s", ae_title, error, extra={"action": "report"})
        return INVALID_ARGUMENT, None
    except (OSError, SQLAlchemyError) as error:
        log.error("a commitment report could not be kept: %s", type(error).__name__, extra={"action": "report"})  # noqa: TRY400
        return FAILED, None
    except Exception as error:  # noqa: BLE001
        # Whatever pydicom makes of bytes from outside; its message may quote them.
        log.error("a commitment report was not understood: %s", type(error).__name__, extra={"action": "report"})  # noqa: TRY400
        return FAILED, None
    if not believed:
        tell("a commitment report of a transaction that was not asked of it")
        return INVALID_ARGUMENT, None
    log.info("a commitment report from %s: taken", ae_title)
    return SUCCESS, None


def _item(named: Named) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = named.sop_class_uid
    item.ReferencedSOPInstanceUID = named.sop_instance_uid
    return item


def _named(data: Dataset, sequence: str) -> Iterator[Named]:
    items: Sequence[Dataset] = data.get(sequence) or []
    if len(items) > MOST_OBJECTS:
        raise Rejected(f"it names {len(items)} objects, {MOST_OBJECTS} are the most")
    for item in items:
        uids = _uid(item, "ReferencedSOPClassUID"), _uid(item, "ReferencedSOPInstanceUID")
        yield Named(sop_class_uid=uids[0], sop_instance_uid=uids[1])


def _uid(data: Dataset, keyword: str) -> str:
    value = str(data.get(keyword, ""))
    if len(value) > LONGEST_UID or not VALID_UID.fullmatch(value):
        raise Rejected(f"its {keyword} is missing or invalid")
    return value


def _reason(item: Dataset) -> int:
    value = item.get("FailureReason")
    return value if isinstance(value, int) else PROCESSING_FAILURE
