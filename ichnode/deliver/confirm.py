"""Whether a PACS lists what it was sent: C-FIND, for those that do not commit. Source: PS3.4 C.4.1, C.6.2.1."""

from pydicom.dataset import Dataset

from ichnode.deliver.association import Timeouts
from ichnode.deliver.pull import find
from ichnode.domain.outputs import Peer

MOST_INSTANCES = 10_000  # of one series of ours: a few pages, or an object


def listed(peer: Peer, study_instance_uid: str, series_instance_uid: str, timeouts: Timeouts) -> set[str]:
    """SOP instance UIDs that the PACS lists in a series. Raises Retryable when it could not be asked to the end.

    The whole series is asked for: not every PACS matches a list of UIDs.
    """
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = study_instance_uid
    query.SeriesInstanceUID = series_instance_uid
    query.SOPInstanceUID = ""
    found = find(peer, query, timeouts, most=MOST_INSTANCES, within_s=timeouts.dimse_s)
    # Some PACS answer with more than was asked for.
    ours = [one for one in found if one.get("SeriesInstanceUID", series_instance_uid) == series_instance_uid]
    return {str(one.SOPInstanceUID) for one in ours if one.get("SOPInstanceUID")}
