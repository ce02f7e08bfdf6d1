"""Asks a PACS how many images it has of each series of a study. Source: PS3.4 C.6.2 (Study Root), C.3.4."""

import logging
from typing import Final

from pydicom.dataset import Dataset
from pynetdicom import AE

from ichnode.domain.outputs import Peer
from ichnode.receive.header import ODD, text

log = logging.getLogger(__name__)

STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
PENDING: Final = (0xFF00, 0xFF01)  # PS3.4 table C.4-1
SUCCESS: Final = 0x0000


class PacsCounts:
    """A PACS that can be asked for counts. Asks about one study at most every ``every_s``."""

    def __init__(self, peer: Peer, *, every_s: float = 30, timeout_s: float = 10) -> None:
        self._peer, self._every_s, self._timeout_s = peer, every_s, timeout_s
        self._asked: dict[str, tuple[float, dict[str, int]]] = {}

    def of_study(self, study_instance_uid: str, *, now: float) -> dict[str, int]:
        """Images a series, by Series Instance UID; what was answered last if that was a moment ago."""
        self._asked = {uid: known for uid, known in self._asked.items() if now - known[0] < self._every_s}
        if study_instance_uid not in self._asked:
            counts = study_counts(self._peer, study_instance_uid, timeout_s=self._timeout_s)
            self._asked[study_instance_uid] = (now, counts)
        return self._asked[study_instance_uid][1]


def study_counts(peer: Peer, study_instance_uid: str, *, timeout_s: float) -> dict[str, int]:
    """NumberOfSeriesRelatedInstances a series, by Series Instance UID.

    A series of which the PACS does not say it is left out; so are all when it does not answer within ``timeout_s``.
    """
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID = study_instance_uid
    query.SeriesInstanceUID = ""
    query.NumberOfSeriesRelatedInstances = ""
    entity = AE(ae_title=peer.calling_ae_title)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = timeout_s
    entity.add_requested_context(STUDY_ROOT_FIND)
    association = entity.associate(peer.host, peer.port, ae_title=peer.ae_title)
    if not association.is_established:
        log.warning("%s cannot be asked for counts", peer.name, extra={"action": "count"})
        return {}
    counts: dict[str, int] = {}
    try:
        for status, identifier in association.send_c_find(query, STUDY_ROOT_FIND):
            answer = getattr(status, "Status", None)
            if answer in PENDING and identifier is not None:
                counts |= _count(identifier)
            elif answer != SUCCESS:
                log.warning("%s answered 0x%04X to a count", peer.name, answer or 0xFFFF, extra={"action": "count"})
                return {}
    except (ValueError, RuntimeError) as error:  # the context was rejected, or the association broke
        log.warning("%s cannot be asked for counts: %s", peer.name, type(error).__name__, extra={"action": "count"})
        return {}
    finally:
        association.release()
    return counts


def _count(identifier: Dataset) -> dict[str, int]:
    try:
        return {text(identifier, "SeriesInstanceUID"): int(text(identifier, "NumberOfSeriesRelatedInstances"))}
    except ODD:
        return {}
