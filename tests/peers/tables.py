"""The engine of dicom-validator with the tables of the standard that come with highdicom, so that no network is needed.

It sees types 1 and 2, what does not belong where it stands, and wrong VRs; not the conditions, nor the templates of a
report: of those the tables have the text alone.
"""

import json
import logging
import warnings
from functools import cache
from pathlib import Path
from typing import Any, Final

import highdicom
from dicom_validator.validator.dicom_info import DicomInfo
from dicom_validator.validator.iod_validator import IODValidator
from pydicom import dcmread
from pydicom.datadict import DicomDictionary, tag_for_keyword

STANDARD: Final = Path(highdicom.__file__).parent / "_standard"
GROUPS: Final = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")

Table = dict[str, Any]


def against_tables(path: Path) -> list[str]:
    """What the tables hold against a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(path)
        sop_class = str(dataset.file_meta.MediaStorageSOPClassUID)
        if sop_class not in _read("sop_class_iod_map.json"):
            return []
        found = IODValidator(dataset, _info(sop_class), log_level=logging.CRITICAL, file_path=str(path)).validate()
    return [
        f"{module}: {tag} {error.code.name if hasattr(error, 'code') else error}"
        for module, tags in found.module_errors.items()
        for tag, error in tags.items()
    ]


@cache
def _read(name: str) -> Table:
    found: Table = json.loads((STANDARD / name).read_text())
    return found


@cache
def _info(sop_class: str) -> Any:
    title = _read("sop_class_iod_map.json")[sop_class]
    used = [row for row in _read("iod_module_map.json")[title] if row["key"] in _read("module_attribute_map.json")]
    modules = {row["key"]: _module(row["key"]) for row in used}
    iod = {"title": title, "modules": {row["key"]: {"ref": row["key"], "use": row["usage"]} for row in used}}
    names = {_tag(number): {"name": entry[2], "vr": entry[0]} for number, entry in DicomDictionary.items()}
    return DicomInfo(dictionary=names, iods={sop_class: {**iod, "group_macros": {}}}, modules=modules)


def _module(key: str) -> Table:
    """The attributes of a module as a tree. What is required of one of several places is required of none here."""
    tree: Table = {}
    for row in sorted(_read("module_attribute_map.json")[key], key=lambda row: len(row["path"])):
        node: Table | None = tree
        for keyword in row["path"]:
            above = node.get(_tag(tag_for_keyword(keyword))) if node is not None else None
            node = above.setdefault("items", {}) if above is not None else None
        number = tag_for_keyword(row["keyword"])
        if node is None or number is None:
            continue
        here = node.setdefault(_tag(number), {"name": row["keyword"], "type": row["type"]})
        here["type"] = "3" if row["path"] and row["path"][-1] in GROUPS else max(here["type"], row["type"])
    if key == "sr-document-content":  # a tree that holds itself: the table has it flattened
        return {tag: {"name": entry["name"], "type": "3"} for tag, entry in tree.items()}
    return tree


def _tag(number: int | None) -> str:
    return "" if number is None else f"({number >> 16:04X},{number & 0xFFFF:04X})"
