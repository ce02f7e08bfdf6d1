"""Marks of a patient, put into headers, and the search for them in whatever a node has written."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

# Who it is: never outside the store.
IDENTIFYING = {
    "PatientName": "Grünspecht^Zacharias",
    "PatientID": "PID-7Q4Z2X9",
    "IssuerOfPatientID": "ISSUER-QWJX",
    "PatientBirthDate": "19231117",
    "PatientAddress": "Quittenweg 77",
    "PatientTelephoneNumbers": "0815-4711-0042",
    "PatientComments": "Kammerdiener",
    "OtherPatientNames": "Wiedehopf^Zita",
    "AccessionNumber": "ACC9X8Y7Z6",
    "StudyID": "STID-5K3M",
    "InstitutionName": "Krankenhaus Nebelhorn",
    "InstitutionAddress": "Nebelhorngasse 3",
    "ReferringPhysicianName": "Überzwerch^Quirin",
    "OperatorsName": "Pfefferminz^Olga",
    "StationName": "STATION-JJQ",
    "DeviceSerialNumber": "DSN-QQ8812",
    "AdditionalPatientHistory": "Sturz vom Kirschbaum",
    "ImageComments": "Lagerung unruhig, Enkel dabei",
    "ContentDate": "19870623",
}
# What it is about: words that rules quote, and that the queue may hold, but no log.
DESCRIBING = {
    "StudyDescription": "KOPFNATIV-QZ",
    "SeriesDescription": "SERIE-XJWQ",
    "ProtocolName": "PROTOKOLL-VKQ",
    "StudyDate": "19880209",
}
MARKS = IDENTIFYING | DESCRIBING
UID_ROOT = "2.25."


@dataclass(frozen=True, slots=True)
class Hit:
    """A mark and where it stands."""

    keyword: str
    form: str
    where: str


def mark(datasets: Sequence[Dataset], **others: str) -> list[Dataset]:
    """The datasets of a patient who bears every mark, ``others`` before them, also in a private element."""
    for dataset in datasets:
        dataset.SpecificCharacterSet = "ISO_IR 192"
        for keyword, value in (MARKS | others).items():
            setattr(dataset, keyword, value)
        block = dataset.private_block(0x0033, "QZ PRIVATE", create=True)
        block.add_new(0x01, "LO", IDENTIFYING["PatientComments"])
    return list(datasets)


def put_raw(datasets: Sequence[Dataset], keyword: str, vr: str, value: str) -> list[Dataset]:
    """Every dataset has this text as an element's bytes, whatever its VR should hold."""
    for dataset in datasets:
        raw = value.encode() + b" " * (len(value.encode()) % 2)
        tag = Tag(keyword)
        dataset[tag] = RawDataElement(tag, vr, len(raw), raw, 0, False, True)
    return list(datasets)


def forms(value: str) -> Iterator[tuple[str, bytes]]:
    """A value as it might stand in a file: in the usual encodings, escaped, in base64 at each alignment, in hex."""
    texts = {value, value.replace("^", " "), *(part for part in value.replace("^", " ").split() if len(part) > 6)}
    if value.isdecimal() and len(value) == 8:  # a date
        texts |= {f"{value[:4]}-{value[4:6]}-{value[6:]}", f"{value[6:]}.{value[4:6]}.{value[:4]}"}
    for text in texts:
        for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "gb18030"):
            yield encoding, text.encode(encoding)
        yield "json", json.dumps(text)[1:-1].encode()
        yield "repr", ascii(text)[1:-1].encode()
        yield "url", "".join(c if c.isalnum() and c.isascii() else f"%{ord(c):02X}" for c in text).encode()
        encoded = text.encode()
        yield "hex", encoded.hex().encode()
        for offset in range(3):
            whole = base64.b64encode(b"\0" * offset + encoded)
            inner = whole[(0, 2, 3)[offset] : len(whole) - (len(whole) % 4 or 4)]
            if len(inner) >= 8:
                yield "base64", inner


def hits(data: bytes, where: str, marks: Mapping[str, str] = MARKS) -> list[Hit]:
    """Every mark in some bytes, letters of either case."""
    lowered = data.lower()
    return [
        Hit(keyword, form, where)
        for keyword, value in marks.items()
        for form, sought in forms(value)
        if sought.lower() in lowered
    ]


def files_below(folders: Iterable[Path], *, without: Sequence[Path] = ()) -> list[Path]:
    """Every file below the folders, but for those below ``without``. Links are not followed out of them."""
    return [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(path.is_relative_to(other) for other in without)
    ]
