"""C-FIND, C-MOVE and C-GET: studies that the PACS has and the node shall analyse."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from ichnode.deliver.association import Timeouts, Unreachable, associate, lost
from ichnode.deliver.classify import SUCCESS
from ichnode.domain.errors import ConfigError, Retryable
from ichnode.domain.outputs import Peer
from ichnode.turn import take

PENDING: Final = (0xFF00, 0xFF01)  # PS3.4 C.4.1.1.4, C.4.2.1.5, C.4.3.1.4
SUB_OPERATIONS_WITH_FAILURES: Final = 0xB000  # PS3.4 C.4.2.1.5: complete, one or more failures or warnings
MOVE_DESTINATION_UNKNOWN: Final = 0xA801  # PS3.4 C.4.2.1.5
RETRIEVE_DIMSE_S: Final = 600.0  # a PACS that fetches from tape sends no pending answer meanwhile
MOST_SERIES: Final = 2000  # a count of more is no answer about one study
WILDCARDS: Final = "*?\\"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyQuery:
    """What to ask for; an empty string asks for any. Dates are YYYYMMDD and belong to the range.

    Raises ConfigError for a query that would list the whole PACS.
    """

    study_instance_uid: str = ""
    accession_number: str = ""
    date_from: str = ""
    date_to: str = ""
    modality: str = "CT"

    def __post_init__(self) -> None:
        keys = (self.study_instance_uid, self.accession_number, self.date_from, self.date_to)
        if any(mark in key for key in keys for mark in WILDCARDS):
            raise ConfigError("A query takes no wildcards.", hint="Give one study, one accession number or two dates.")
        if not any(keys):
            raise ConfigError(
                "A query without study, accession number and dates asks for all that the PACS has.",
                hint="Give a study UID, an accession number or a date.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStudy:
    """One study that the PACS has. Counts are None where the PACS does not count."""

    study_instance_uid: str
    study_date: str
    modalities: tuple[str, ...]
    series: int | None
    instances: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PullResult:
    """How a retrieval ended: ``ok`` when everything came; counts of instances; ``reason`` is a sentence if not."""

    ok: bool
    completed: int
    failed: int
    warning: int
    reason: str = ""


def find_studies(peer: Peer, query: StudyQuery, *, timeouts: Timeouts | None = None) -> list[FoundStudy]:
    """The studies that match, as the PACS lists them. Raises Retryable when it could not be asked to the end.

    Source: PS3.4 C.4.1, Study Root.
    """
    found = find(peer, _identifier(query), timeouts or Timeouts())
    return [_study(identifier) for identifier in found if identifier.get("StudyInstanceUID")]


def find_series(
    peer: Peer, study_instance_uid: str, *, modality: str = "CT", timeouts: Timeouts | None = None
) -> list[str]:
    """UIDs of the series of a study that have this modality. Raises Retryable when it could not be asked to the end."""
    identifier = _level(study_instance_uid)
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.SeriesInstanceUID = ""
    identifier.Modality = modality
    found = find(peer, identifier, timeouts or Timeouts())
    # Not every PACS matches by modality: look again.
    return [str(series.SeriesInstanceUID) for series in found if series.get("Modality", modality) == modality]


def series_counts(peer: Peer, study_instance_uid: str, timeouts: Timeouts) -> dict[str, int]:
    """Images a series of a study, by Series Instance UID; a series of which the PACS does not say it is left out.

    All answers have to come within ``timeouts.dimse_s``. Raises Retryable when it could not be asked to the end, or
    would not come to one. Source: PS3.4 C.6.2.
    """
    identifier = _level(study_instance_uid)
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.SeriesInstanceUID = ""
    identifier.NumberOfSeriesRelatedInstances = ""
    found = find(peer, identifier, timeouts, most=MOST_SERIES, within_s=timeouts.dimse_s)
    counts: dict[str, int] = {}
    for series in found:
        try:
            counts[str(series.SeriesInstanceUID)] = int(series.NumberOfSeriesRelatedInstances)
        except (AttributeError, TypeError, ValueError, OverflowError, NotImplementedError):
            continue  # absent, empty or odd
    return counts


def find(
    peer: Peer, query: Dataset, timeouts: Timeouts, *, most: float = math.inf, within_s: float = math.inf
) -> list[Dataset]:
    """All answers to a query. Raises Retryable when it could not be asked to the end, answered with more than ``most``
    or for longer than ``within_s``. Source: PS3.4 C.4.1, Study Root."""
    model = StudyRootQueryRetrieveInformationModelFind
    found: list[Dataset] = []
    with associate(peer, [build_context(model)], timeouts) as association:
        _ready(association, peer, "C-FIND")
        ends_at = time.monotonic() + within_s
        for status, identifier in association.send_c_find(query, model):
            if "Status" not in status:
                raise Unreachable(f"{peer.name}: {lost(association)} while it answered a query")
            if status.Status not in (*PENDING, SUCCESS):
                raise Retryable(f"{peer.name} answered C-FIND with 0x{status.Status:04X}")
            if identifier is not None:
                found.append(identifier)
            if len(found) > most or time.monotonic() > ends_at:
                raise Retryable(f"{peer.name} does not come to an end with its answers to C-FIND")
    return found


def move(
    peer: Peer, study_instance_uid: str, to_ae: str, *, series_instance_uid: str = "", timeouts: Timeouts | None = None
) -> PullResult:
    """Asks the PACS to send a study, or one series of it, to the AE title ``to_ae``, which it must know.

    Never raises for what the peer does. Source: PS3.4 C.4.2.
    """
    model = StudyRootQueryRetrieveInformationModelMove

    def _ask(association: Association) -> Iterator[Any]:
        return iter(association.send_c_move(_level(study_instance_uid, series_instance_uid), to_ae, model))

    return _retrieve(peer, "C-MOVE", [build_context(model)], _ask, timeouts)


def get(
    peer: Peer,
    study_instance_uid: str,
    on_store: Callable[[evt.Event], int],
    storage: Sequence[PresentationContext],
    *,
    series_instance_uid: str = "",
    timeouts: Timeouts | None = None,
) -> PullResult:
    """Fetches a study, or one series of it, over one association.

    ``on_store`` takes each instance as the SCP's C-STORE handler does and returns the status; ``storage`` are the
    contexts in which instances may come. Never raises for what the peer does. Source: PS3.4 C.4.3.
    """
    model = StudyRootQueryRetrieveInformationModelGet
    classes = dict.fromkeys(str(context.abstract_syntax) for context in storage)
    roles = [build_role(sop_class, scp_role=True) for sop_class in classes]

    def _ask(association: Association) -> Iterator[Any]:
        return iter(association.send_c_get(_level(study_instance_uid, series_instance_uid), model))

    handlers = [(evt.EVT_C_STORE, on_store)]
    return _retrieve(peer, "C-GET", [build_context(model), *storage], _ask, timeouts, roles, handlers)


def _retrieve(
    peer: Peer,
    service: str,
    contexts: Sequence[PresentationContext],
    ask: Callable[[Association], Iterator[Any]],
    timeouts: Timeouts | None,
    roles: Sequence[Any] = (),
    handlers: Sequence[tuple[Any, ...]] = (),
) -> PullResult:
    counts = PullResult(ok=False, completed=0, failed=0, warning=0)
    limits = timeouts or Timeouts(dimse_s=RETRIEVE_DIMSE_S)
    try:
        with associate(peer, contexts, limits, negotiation=roles, handlers=handlers) as association:
            _ready(association, peer, service)
            for status, _ in ask(association):
                if "Status" not in status:
                    return replace(counts, reason=f"{peer.name}: {lost(association)} during {service}")
                counts = _counted(counts, status)
                if status.Status not in PENDING:
                    return _ended(counts, status.Status, f"{peer.name} answered {service} with")
    except Retryable as error:
        return replace(counts, reason=str(error))
    return replace(counts, reason=f"{peer.name} never ended {service}")


def _ready(association: Association, peer: Peer, service: str) -> None:
    query_context = association.requestor.requested_contexts[0].abstract_syntax
    if query_context not in [context.abstract_syntax for context in association.accepted_contexts]:
        raise Retryable(f"{peer.name} does not offer {service}")
    if not take(association):
        raise Unreachable(f"{peer.name}: {lost(association)} before {service}")


def _counted(counts: PullResult, status: Dataset) -> PullResult:
    """A status need not carry the counts: then those of the one before stand."""
    return replace(
        counts,
        completed=int(status.get("NumberOfCompletedSuboperations", counts.completed)),
        failed=int(status.get("NumberOfFailedSuboperations", counts.failed)),
        warning=int(status.get("NumberOfWarningSuboperations", counts.warning)),
    )


def _ended(counts: PullResult, status: int, prefix: str) -> PullResult:
    if status in (SUCCESS, SUB_OPERATIONS_WITH_FAILURES) and counts.failed == 0:
        return replace(counts, ok=True)
    if status == MOVE_DESTINATION_UNKNOWN:
        return replace(counts, reason=f"{prefix} 0x{status:04X}: it does not know the destination's AE title")
    return replace(counts, reason=f"{prefix} 0x{status:04X} and {counts.failed} failed instances")


def _identifier(query: StudyQuery) -> Dataset:
    identifier = _level(query.study_instance_uid)
    identifier.AccessionNumber = query.accession_number
    dated = query.date_from or query.date_to
    identifier.StudyDate = f"{query.date_from}-{query.date_to}" if dated else ""
    identifier.ModalitiesInStudy = query.modality
    identifier.NumberOfStudyRelatedSeries = ""
    identifier.NumberOfStudyRelatedInstances = ""
    return identifier


def _level(study_instance_uid: str, series_instance_uid: str = "") -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES" if series_instance_uid else "STUDY"
    identifier.StudyInstanceUID = study_instance_uid
    if series_instance_uid:
        identifier.SeriesInstanceUID = series_instance_uid
    return identifier


def _study(identifier: Dataset) -> FoundStudy:
    modalities = identifier.get("ModalitiesInStudy") or ()
    series = identifier.get("NumberOfStudyRelatedSeries")
    instances = identifier.get("NumberOfStudyRelatedInstances")
    return FoundStudy(
        study_instance_uid=str(identifier.StudyInstanceUID),
        study_date=str(identifier.get("StudyDate") or ""),
        modalities=(modalities,) if isinstance(modalities, str) else tuple(str(m) for m in modalities),
        series=int(series) if series else None,
        instances=int(instances) if instances else None,
    )
