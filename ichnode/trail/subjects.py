"""Whose study it is, as the trail may tell it: by our own key, or by the Patient ID of the images."""

from collections.abc import Callable, Sequence
from typing import Final

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from sqlalchemy import select

from ichnode.domain.states import DeliveryState
from ichnode.queue.database import Database
from ichnode.queue.tables import DELIVERIES, INSTANCES, JOBS, OUTPUTS, SERIES
from ichnode.store.layout import Store

UNKNOWN: Final = "unknown"  # the queue knows no such study: PS3.15 A.5.3 wants an identifier all the same


def studies_of_jobs(db: Database, job_ids: Sequence[int], *, only_dead: bool = False) -> list[str]:
    """Study Instance UIDs of these jobs, each once; ``only_dead``: where a delivery was refused for good."""
    query = select(SERIES.c.study_instance_uid).join(JOBS).where(JOBS.c.id.in_(job_ids)).distinct()
    if only_dead:
        query = query.join(OUTPUTS).join(DELIVERIES).where(DELIVERIES.c.state == DeliveryState.DEAD)
    with db.read() as connection:
        return sorted(connection.execute(query).scalars())


def study_of_series(db: Database, series_instance_uid: str) -> str:
    """Study Instance UID of a series that the queue knows."""
    query = select(SERIES.c.study_instance_uid).where(SERIES.c.series_instance_uid == series_instance_uid).limit(1)
    with db.read() as connection:
        return str(connection.execute(query).scalar_one())


def by_key(db: Database) -> Callable[[str], str]:
    """Tells a patient by the key that the queue keeps: the first 16 digits of a SHA-256 of ID and issuer.

    A pseudonym, not anonymity: who has a list of Patient IDs can find the one that fits.
    """

    def patient_of(study_instance_uid: str) -> str:
        query = select(SERIES.c.patient_key).where(SERIES.c.study_instance_uid == study_instance_uid).limit(1)
        with db.read() as connection:
            key = connection.execute(query).scalar()
        return UNKNOWN if key is None else f"key:{key}"

    return patient_of


def by_patient_id(db: Database, store: Store) -> Callable[[str], str]:
    """Tells a patient by the Patient ID of an image that is kept; by the key where none can be read."""
    keyed = by_key(db)

    def patient_of(study_instance_uid: str) -> str:
        kept = (INSTANCES.c.study_instance_uid == study_instance_uid) & INSTANCES.c.purged_at.is_(None)
        with db.read() as connection:
            path = connection.execute(select(INSTANCES.c.path).where(kept).limit(1)).scalar()
        if path is None:
            return keyed(study_instance_uid)
        try:
            header = dcmread(store.resolve(path), specific_tags=["PatientID"], stop_before_pixels=True)
        except (OSError, InvalidDicomError):
            return keyed(study_instance_uid)
        return str(header.get("PatientID", "") or UNKNOWN)

    return patient_of
