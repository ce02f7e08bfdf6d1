"""Headers of which every element can be read: what a peer wrote so that it cannot be, it did not say."""

import struct
import warnings
from typing import Final

from pydicom import Dataset
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag, Tag

# What pydicom raises over odd bytes; OSError is its word for a damaged item.
UNREADABLE: Final = (
    ValueError, TypeError, LookupError, AttributeError, NotImplementedError, EOFError, ArithmeticError, OSError,
    BytesLengthException, struct.error, RecursionError,
)  # fmt: skip
DEEPEST: Final = 16  # sequences within sequences; the functional groups of a CT have four
CHARACTER_SET: Final = Tag("SpecificCharacterSet")
PIXEL_GROUP: Final = 0x7FE0


def make_readable(dataset: Dataset, depth: int = 0) -> None:
    """Mends ``dataset`` in place, its items too: afterwards no element raises when it is read.

    An element whose bytes do not fit its VR is read in the standard's VR, a private one as plain bytes; sequences and
    UIDs always in the standard's. What fits neither is dropped, and so is a sequence more than 16 levels deep. Elements
    that can be read keep their bytes as they came.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote the header; what is odd but can be read is no news here
        if CHARACTER_SET in dataset and not _names_character_sets(dataset):
            del dataset[CHARACTER_SET]  # first: without it no text could be decoded
        for tag in list(dataset.keys()):
            if tag.group != PIXEL_GROUP and not _is_readable(dataset, tag, depth):
                del dataset[tag]


def _names_character_sets(dataset: Dataset) -> bool:
    try:
        named = dataset[CHARACTER_SET].value
        convert_encodings(named)
    except UNREADABLE:
        return False
    return str(named).isascii()  # a report takes it over, and other characters could not be written there


def _is_readable(dataset: Dataset, tag: BaseTag, depth: int) -> bool:
    element, own = dataset.get_item(tag, keep_deferred=True), _own_vr(tag)
    if not isinstance(element, RawDataElement):  # a sequence of undefined length, or what was set in code
        assert element is not None
        return _has_readable_items(element, depth) if element.VR == "SQ" else own != "SQ"
    for vr in (own,) if own in ("SQ", "UI") else dict.fromkeys((element.VR, own)):
        meant = element._replace(VR=vr)
        try:
            dataset[tag] = meant  # pydicom converts a private element already here
            converted = dataset[tag]
        except UNREADABLE:
            continue
        if converted.VR == "SQ":
            return _has_readable_items(converted, depth)
        dataset[tag] = meant  # its bytes as they came: a report takes over the patient's byte for byte
        return True
    return False


def _has_readable_items(element: DataElement, depth: int) -> bool:
    """Makes the items of a sequence readable; False where none may stand here, or not so deep."""
    if depth >= DEEPEST or _own_vr(element.tag) not in ("SQ", None):
        return False
    for item in element.value:
        make_readable(item, depth + 1)
    return True


def _own_vr(tag: BaseTag) -> str | None:
    """The VR that the standard gives an attribute; None for private and unknown ones."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None
