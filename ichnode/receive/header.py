"""The facts that the node keeps of an instance, read from headers as they are, not as they should be."""

import hashlib
import math
import re
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from pydicom.charset import python_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ichnode.domain.facts import InstanceFacts, Vector3, Vector6
from ichnode.domain.person import name_groups
from ichnode.metered import ODD
from ichnode.receive.moment import moment, moment_of_datetime

LOSSY_SYNTAXES: Final = frozenset(
    {
        "1.2.840.10008.1.2.4.50",  # JPEG baseline
        "1.2.840.10008.1.2.4.51",  # JPEG extended
        "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
        "1.2.840.10008.1.2.4.91",  # JPEG 2000
        "1.2.840.10008.1.2.4.203",  # HTJ2K
    }
)
LARGEST_IS: Final = 2**31 - 1  # PS3.5 6.2: Integer String
LARGEST_POSITION_MM: Final = 1e5  # a hundred metres: no scanner says more and means it
LARGEST_COSINE: Final = 1.01  # with what rounding adds
THICKNESS_MM: Final = (1e-3, 1e3)
LONGEST_TEXT_BYTES: Final = 1024  # of all values: none of those read here may have more than 64 characters (PS3.5 6.2)
MOST_POSITIONS: Final = 10_000  # of one image: twenty rotations of 320 rows are 6,400
KEY_DIGITS: Final = 16
# What stands for a patient who is not known, letters alone. Those of the second line are numbered, and the numbers are
# given again: TRAUMA 3 is another person tonight. A longer number is a date or a count, and somebody's.
PERSON_DIGITS: Final = 31  # of a digest: two and a slash go into a column of 64
NOBODY: Final = re.compile(
    r"(ANONYMOUS|ANONYMI[ZS]ED|DEIDENTIFIED|ANON|NONE|NULL|NA|NOID|NOTKNOWN|PATIENT)"
    r"|(UNKNOWN|UNBEKANNT|UNIDENTIFIED|TRAUMA|EMERGENCY|NOTFALL|TEST)\d{0,3}"
    r"|0*|(.)\3{2,}"  # nothing, zeros, one character again and again
)
# When the image was taken, the nearest word for it first.
MOMENTS: Final = ("Acquisition", "Content", "Series", "Study")
ASCII_SETS: Final = ("", "ISO_IR 6", "ISO 2022 IR 6")  # pydicom reads these as Latin-1, which fits everything


def facts_of(ds: Dataset) -> InstanceFacts:
    """Reads the facts from a header, with or without pixel data. Never raises: what is odd counts as absent.

    So does a number that cannot be meant, a position beyond 1e5 mm, a thickness outside 0.001 to 1000 mm; and what is
    longer than it may be, texts of more than 1 KiB, positions of more than 10,000 frames.
    Values are read as bytes where pydicom has not converted them yet, so that no warning quotes patient data.
    """
    frame = _Frames(ds)
    positions = frame.positions()
    return InstanceFacts(
        modality=text(ds, "Modality").upper(),
        image_type=_values(text(ds, "ImageType").upper()),
        body_part=text(ds, "BodyPartExamined"),
        study_description=text(ds, "StudyDescription"),
        description=" / ".join(filter(None, (text(ds, "SeriesDescription"), text(ds, "ProtocolName")))),
        kernel=text(ds, "ConvolutionKernel") or frame.text("CTReconstructionSequence", "ConvolutionKernel"),
        manufacturer=text(ds, "Manufacturer"),
        manufacturer_model=text(ds, "ManufacturerModelName"),
        series_number=_integer(text(ds, "SeriesNumber")),
        instance_number=_integer(text(ds, "InstanceNumber")),
        acquisition_number=_integer(text(ds, "AcquisitionNumber")),
        thickness_mm=_thickness(text(ds, "SliceThickness") or frame.text("PixelMeasuresSequence", "SliceThickness")),
        orientation=frame.orientation(),
        positions=positions,
        contrast_agent=_contrast_agent(ds),
        is_lossy=_is_lossy(ds),
        rescale_type=text(ds, "RescaleType") or frame.text("PixelValueTransformationSequence", "RescaleType"),
        has_rescale=_has_rescale(ds, frame),
        patient_key=_digest(_raw(ds, "PatientID"), _raw(ds, "IssuerOfPatientID")),
        person_key=_person_key(text(ds, "PatientName"), text(ds, "PatientBirthDate")),
        identified=_names_somebody(text(ds, "PatientID")),
        acquired_at=_acquired_at(ds, frame),
        study_date=_date(text(ds, "StudyDate")),
        accession_key=accession_key(text(ds, "AccessionNumber")),
        expected_count=_expected_count(ds, frames=len(positions)),
    )


def accession_key(accession_number: str) -> str:
    """The key under which an accession number is kept: a digest, so that it can be asked for and not read back."""
    stripped = accession_number.strip()
    return _digest(stripped.encode()) if stripped else ""


def text(ds: Dataset, keyword: str) -> str:
    """An element's text with its values joined by backslashes, stripped; empty where it is absent or odd."""
    return _decode(_raw(ds, keyword), _raw(ds, "SpecificCharacterSet").decode("ascii", "replace"))


class _Frames:
    """The functional groups of a multi-frame image; for a classic image the data set itself is the one frame."""

    def __init__(self, ds: Dataset) -> None:
        self._ds = ds
        self._shared = _items(ds, "SharedFunctionalGroupsSequence")[:1]
        self._per_frame = _items(ds, "PerFrameFunctionalGroupsSequence")

    def groups(self, macro: str) -> list[Dataset]:
        """The items of one macro: from the shared groups, else one a frame."""
        shared = [item for group in self._shared for item in _items(group, macro)[:1]]
        return shared or [item for group in self._per_frame for item in _items(group, macro)[:1]]

    def text(self, macro: str, keyword: str) -> str:
        """The element of the first frame that has it."""
        return next((found for group in self.groups(macro) if (found := text(group, keyword))), "")

    def orientation(self) -> Vector6 | None:
        """Direction cosines of the rows and columns, of the first frame."""
        found = text(self._ds, "ImageOrientationPatient") or self.text("PlaneOrientationSequence", _ORIENTATION)
        numbers = _numbers(found, 6, largest=LARGEST_COSINE)
        return None if numbers is None else (*numbers[:3], *numbers[3:])  # type: ignore[return-value]

    def positions(self) -> tuple[Vector3, ...]:
        """One position a frame, mm; frames without a sound one are left out. None where there are too many."""
        own = text(self._ds, _POSITION)
        found = [own] if own else (text(group, _POSITION) for group in self.groups("PlanePositionSequence"))
        read = (_numbers(each, 3, largest=LARGEST_POSITION_MM) for each in found)
        sound = ((x, y, z) for x, y, z in filter(None, read))
        positions = tuple(islice(sound, MOST_POSITIONS + 1))
        return positions if len(positions) <= MOST_POSITIONS else ()


_POSITION: Final = "ImagePositionPatient"
_ORIENTATION: Final = "ImageOrientationPatient"


def _raw(ds: Dataset, keyword: str) -> bytes:
    """The bytes of an element; for one that was set in code, what they would be. None of what is too long."""
    try:
        element = ds.get_item(Tag(keyword))
    except ODD:
        return b""
    value: Any = getattr(element, "value", None)
    if value is None or element.VR == "SQ":  # items where the standard has a text say nothing
        return b""
    if isinstance(element, RawDataElement) or isinstance(value, bytes):
        return bytes(value).strip(b" \0") if len(value) <= LONGEST_TEXT_BYTES else b""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return str(value).strip().encode()
    return "\\".join(str(each).strip() for each in value).encode()


def _decode(raw: bytes, character_sets: str) -> str:
    """Text under the declared character sets, else under the one that fits: mislabelled Chinese is common."""
    terms = [term.strip() for term in reversed(character_sets.split("\\"))]
    declared = [python_encoding.get(term, "") for term in terms if term not in ASCII_SETS]
    for encoding in (*declared, "utf-8", "gb18030"):
        try:
            return _plain(raw.decode(encoding))
        except (LookupError, UnicodeDecodeError):
            continue
    return _plain(raw.decode("latin-1"))


def _plain(decoded: str) -> str:
    return re.sub(r"\x1b\$?[()-]?[A-Z0-9]|[\0-\x1f]", "", decoded).strip()


def _items(ds: Dataset, keyword: str) -> list[Dataset]:
    try:
        element = ds.get_item(Tag(keyword))
        if isinstance(element, RawDataElement) and element.VR not in (None, "SQ", "UN"):
            return []  # pydicom would make numbers and texts of it
        value = ds[keyword].value
        if isinstance(value, bytes):
            return []
        return [item for item in value if isinstance(item, Dataset)]
    except (*ODD, OSError):  # OSError is pydicom's word for a damaged item; nothing is read from a disk here
        return []


def _values(joined: str) -> tuple[str, ...]:
    return tuple(value.strip() for value in joined.split("\\")) if joined else ()


def _number(stated: str) -> float | None:
    try:
        number = float(stated.split("\\")[0])
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _numbers(stated: str, count: int, *, largest: float) -> tuple[float, ...] | None:
    numbers = tuple(_number(value) for value in stated.split("\\"))
    sound = tuple(number for number in numbers if number is not None and abs(number) <= largest)
    return sound if len(sound) == len(numbers) == count else None


def _thickness(stated: str) -> float | None:
    number, (least, most) = _number(stated), THICKNESS_MM
    return number if number is not None and least <= number <= most else None


def _integer(stated: str) -> int | None:
    number = _number(stated)
    return int(number) if number is not None and abs(number) <= LARGEST_IS and number == int(number) else None


def _date(stated: str) -> str:
    return stated if re.fullmatch(r"\d{8}", stated) else ""


def _names_somebody(patient_id: str) -> bool:
    """Whether a PatientID can be one person's alone: fillers and the words that stand for an unknown one cannot."""
    letters = "".join(each for each in patient_id.upper() if each.isalnum())
    return NOBODY.fullmatch(letters) is None


def _person_key(name: str, birth_date: str) -> str:
    """Digests of the first component group that a name has, and of the date, with a slash between; empty for neither.

    Each is empty where its attribute is: images that state one of the two can still be compared by it.
    """
    said = next(filter(None, name_groups(name)), "")
    parts = [_digest(value.encode())[:PERSON_DIGITS] if value else "" for value in (said, birth_date)]
    return "/".join(parts) if any(parts) else ""


def _acquired_at(ds: Dataset, frame: "_Frames") -> float | None:
    """Seconds since the epoch; None where no date stands together with its time."""
    offset = text(ds, "TimezoneOffsetFromUTC")
    whole = text(ds, "AcquisitionDateTime") or frame.text("FrameContentSequence", "FrameAcquisitionDateTime")
    pairs = ((text(ds, f"{which}Date"), text(ds, f"{which}Time")) for which in MOMENTS)
    found = [moment_of_datetime(whole, offset), *(moment(date, time, offset) for date, time in pairs)]
    return next((at for at in found if at is not None), None)


def _contrast_agent(ds: Dataset) -> str:
    in_sequence = (text(item, "CodeMeaning") for item in _items(ds, "ContrastBolusAgentSequence"))
    return text(ds, "ContrastBolusAgent") or next(filter(None, in_sequence), "")


def _is_lossy(ds: Dataset) -> bool:
    meta = getattr(ds, "file_meta", None)
    syntax = text(meta, "TransferSyntaxUID") if meta is not None else ""
    return text(ds, "LossyImageCompression") == "01" or syntax in LOSSY_SYNTAXES


def _has_rescale(ds: Dataset, frame: _Frames) -> bool:
    def stated(keyword: str) -> bool:
        return bool(text(ds, keyword) or frame.text("PixelValueTransformationSequence", keyword))

    return stated("RescaleSlope") and stated("RescaleIntercept")


def _expected_count(ds: Dataset, *, frames: int) -> int | None:
    """Images that the header says the series has, else the acquisition; a multi-frame image holds its whole stack."""
    if frames > 1 and not text(ds, "ConcatenationUID"):
        return 1
    for keyword in ("NumberOfSeriesRelatedInstances", "ImagesInAcquisition"):
        count = _integer(text(ds, keyword))
        if count is not None and count > 0:
            return count
    return None


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:KEY_DIGITS]
