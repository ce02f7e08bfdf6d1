"""What the node notes of each instance that it keeps: enough to decide on its series without opening the file again."""

from dataclasses import dataclass

Vector3 = tuple[float, float, float]
Vector6 = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFacts:
    """Header facts of one instance; None or an empty tuple where the header is silent. Kept as JSON beside the row.

    ``positions`` holds one ImagePositionPatient (mm) a frame: one for a classic image, all of them for a multi-frame.
    ``expected_count``: images that the headers say the series or acquisition has, where they say so.
    """

    modality: str = ""
    image_type: tuple[str, ...] = ()
    body_part: str = ""
    study_description: str = ""
    description: str = ""  # SeriesDescription and ProtocolName, joined by " / "
    kernel: str = ""
    manufacturer: str = ""
    manufacturer_model: str = ""
    series_number: int | None = None
    instance_number: int | None = None
    acquisition_number: int | None = None
    thickness_mm: float | None = None
    orientation: Vector6 | None = None
    positions: tuple[Vector3, ...] = ()
    contrast_agent: str = ""
    is_lossy: bool = False
    rescale_type: str = ""
    has_rescale: bool = False
    patient_key: str = ""  # digest of PatientID and its issuer: two patients in one study must be noticed, not named
    person_key: str = ""  # digests of PatientName and PatientBirthDate, by which a corrected one shows
    identified: bool = False  # whether PatientID names a person: an empty one, or "UNKNOWN", is nobody's
    acquired_at: float | None = None  # when the image was taken, seconds since the epoch
    study_date: str = ""  # YYYYMMDD, for replay by date
    accession_key: str = ""  # digest of the accession number, for replay by it
    expected_count: int | None = None
