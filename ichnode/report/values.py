"""Whether each element that is ours has the form that the standard gives it, and each code means what it says.

Patient and study are the source's and go over as they are: they are not judged here.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from pydicom import config
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.coding import Code
from pydicom.tag import BaseTag
from pydicom.valuerep import validate_value

from ichnode.domain.flags import Flag
from ichnode.report import codes
from ichnode.report.header import OPTIONAL, OPTIONAL_SEQUENCES, REQUIRED
from ichnode.report.stated import tag_of, walk

STRICT_VRS: Final = frozenset({"AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"})  # the rest is text or binary
OF_ONE_VALUE: Final = frozenset({"LT", "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "ST", "UN", "UR", "UT"})  # PS3.5 6.4


def ill_formed(dataset: Dataset) -> Iterator[str]:
    """Elements with another VR, another number of values or another form than PS3.6 and PS3.5 6.2 give them."""
    theirs = {tag_of(keyword) for keyword in (*REQUIRED, *OPTIONAL, "SpecificCharacterSet")}
    for where, item in walk(dataset, but=OPTIONAL_SEQUENCES):
        for tag in list(item.keys()):
            element = item.get_item(tag)
            if tag not in theirs and isinstance(element, RawDataElement) and not tag.is_private:
                yield from (f"{where}{fault}" for fault in _faults(tag, element))


def _faults(tag: BaseTag, element: RawDataElement) -> Iterator[str]:
    name, due = f"{tag}", dictionary_VR(tag).split(" or ")
    if element.VR not in due:
        yield f"{name} has VR {element.VR} where {due[0]} is due"
        return
    stated = (element.value or b"").decode("latin-1").rstrip(" \0")
    if element.VR in OF_ONE_VALUE or not stated:
        return
    values = stated.split("\\") if element.VR in STRICT_VRS else []
    if values and not _is_count(len(values), dictionary_VM(tag)):
        yield f"{name} has {len(values)} values where {dictionary_VM(tag)} are due"
    if element.VR == "UI":  # judged by a rule of its own: UIDs of the source may be badly written
        return
    if not all(_is_valid(element.VR or "", value) for value in values):
        yield f"{name} has no valid value ({element.VR})"


def _is_count(count: int, due: str) -> bool:
    """Whether ``count`` values fit a multiplicity such as 1, 1-3, 1-n or 2-2n."""
    low, _, high = due.partition("-")
    if not high:
        return count == int(low)
    if high.endswith("n"):
        return count >= int(low) and count % int(high.removesuffix("n") or 1) == 0
    return int(low) <= count <= int(high)


def _is_valid(vr: str, value: str) -> bool:
    try:
        validate_value(vr, value.strip(" "), config.RAISE)
    except ValueError:
        return False
    return True


def wrong_codes(dataset: Dataset) -> Iterator[str]:
    """Codes with a meaning that is not theirs, and such of DICOM or of our own that do not exist."""
    for where, item in walk(dataset, but=OPTIONAL_SEQUENCES):
        if "CodeValue" not in item or "CodingSchemeDesignator" not in item:
            continue
        scheme, value, meaning = (str(item.get(k, "")) for k in ("CodingSchemeDesignator", "CodeValue", "CodeMeaning"))
        ours, known = _own_meanings().get((scheme, value)), _known_meanings(scheme, value)
        if ours is not None and ours != meaning:
            yield f'{where}({value}, {scheme}) is called "{meaning}" where "{ours}" is meant'
        elif ours is None and known and not any(name.startswith(meaning.casefold()) for name in known):
            yield f'{where}({value}, {scheme}) does not mean "{meaning}"'
        elif ours is None and not known and scheme in ("DCM", codes.PRIVATE_SCHEME):
            yield f"{where}({value}, {scheme}) does not exist"


@cache
def _own_meanings() -> Mapping[tuple[str, str], str]:
    """(scheme, value) -> meaning of every code that this node has a name for."""
    found = [each for each in vars(codes).values() if isinstance(each, Code)]
    found += [codes.flag_code(flag) for flag in Flag]
    return MappingProxyType({(str(code.scheme_designator), str(code.value)): str(code.meaning) for code in found})


@cache
def _known_meanings(scheme: str, value: str) -> frozenset[str]:
    """What pydicom's tables of PS3.16 know a code as, without regard to capitals; nothing for a code they lack."""
    entries: Iterable[Any] = concepts.get(scheme, {}).values()
    return frozenset(entry[value][0].casefold() for entry in entries if value in entry)
