"""What a header states, in the bytes in which it states it: nothing is decoded, so nothing is lost.

Hand in headers as they were read. Text that someone has decoded is encoded again with the character set it has.
"""

import warnings
from collections.abc import Collection, Iterator
from typing import Final

from pydicom.charset import convert_encodings
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import BaseTag, Tag

# Names that scanners give to character sets which have another name in PS3.3 C.12.1.1.2. GB18030 contains GB 2312.
CHARACTER_SET_NAMES: Final = {
    "GB2312": "GB18030", "GB_2312": "GB18030", "GB 18030": "GB18030", "CP936": "GBK",
    "UTF-8": "ISO_IR 192", "UTF8": "ISO_IR 192", "ISO-IR 192": "ISO_IR 192", "ISO IR 192": "ISO_IR 192",
    "ISO-IR 100": "ISO_IR 100", "ISO IR 100": "ISO_IR 100",
}  # fmt: skip


def raw_value(dataset: Dataset, keyword: str) -> bytes:
    """The bytes of a text element without their padding; empty where it is missing."""
    return _bytes(dataset, tag_of(keyword)).strip(b" \0")


def is_ascii(dataset: Dataset, tag: BaseTag) -> bool:
    """Whether the bytes of an element are ASCII; a sequence always is."""
    element = dataset.get_item(tag)
    return element is None or element.VR == "SQ" or _bytes(dataset, tag).isascii()


def character_set(dataset: Dataset) -> list[str]:
    """The terms of (0008,0005), wrong names made right; empty where there are none.

    A name that nobody knows is kept: the PACS made something of it for the source, and makes the same of it for ours.
    """
    stated = raw_value(dataset, "SpecificCharacterSet").decode("ascii", "replace")
    terms = [term.strip() for term in stated.split("\\")] if stated else []
    return [CHARACTER_SET_NAMES.get(term.upper(), term) for term in terms]


def python_encodings(stated: str | list[str]) -> list[str]:
    """Python's names of the character sets ``stated``; Latin-1 for those that nobody knows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of each unknown name; the caller cannot mend it
        return convert_encodings(stated)


def tag_of(keyword: str) -> BaseTag:
    """The tag of a standard keyword. Raises KeyError for any other."""
    number = tag_for_keyword(keyword)
    if number is None:
        raise KeyError(keyword)
    return Tag(number)


def walk(
    dataset: Dataset, only: str | None = None, *, but: Collection[str] = (), where: str = ""
) -> Iterator[tuple[str, Dataset]]:
    """``dataset`` and all items below it, with the way there: through every sequence, those called ``only``, those not
    called ``but``."""
    yield where, dataset
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        if element is None or element.VR != "SQ":
            continue
        sequence = dataset[tag]
        if (only is None or sequence.keyword == only) and sequence.keyword not in but:
            for number, item in enumerate(sequence.value or (), 1):
                yield from walk(item, only, but=but, where=f"{where}{sequence.keyword}[{number}].")


def _bytes(dataset: Dataset, tag: BaseTag) -> bytes:
    element = dataset.get_item(tag) if tag in dataset else None
    if element is None:
        return b""
    return bytes(element.value or b"") if isinstance(element, RawDataElement) else _encoded(element, dataset)


def _encoded(element: DataElement, dataset: Dataset) -> bytes:
    """The bytes of an element that someone has decoded: encoded with the character set that it was decoded with."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = True, True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a character set that nobody knows: both ways it is Latin-1
        write_data_element(buffer, element, dataset.get("SpecificCharacterSet"))
    return buffer.getvalue()[8:]  # after a tag and a length of four bytes each: Implicit VR, PS3.5 7.1.3
