"""Which equipment made an object, as IHE AI Results wants it: the scanner, the algorithm, the libraries."""

from typing import Final

import highdicom
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from ichnode.domain.identity import MANUFACTURER, MODEL_NAME
from ichnode.domain.values import ModelIdentity
from ichnode.report import codes
from ichnode.report.inputs import MAX_LONG_STRING, Context
from ichnode.report.stated import raw_value
from ichnode.report.uids import uid

SCANNER_KEYWORDS: Final = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions")


def contributing_equipment(context: Context) -> list[Dataset]:
    """The items of (0018,A001), in the order in which they worked. Source: PS3.3 C.12.1.1.5, IHE RAD AIR."""
    items = [_algorithm(context), _highdicom(context)]
    scanner = _scanner(context.header)
    return [scanner, *items] if scanner is not None else items


def algorithm_uid(model: ModelIdentity) -> str:
    """DeviceUID of an algorithm: a new one whenever it is trained anew."""
    return uid("algorithm", model.name, model.version, model.sha256)


def installation_uid(device_serial: str) -> str:
    """DeviceUID of this node, the observer of its reports."""
    return uid("installation", device_serial)


def _scanner(header: Dataset) -> Dataset | None:
    """The scanner as the source names itself, where it does so in plain ASCII."""
    stated = {keyword: _plain(header, keyword) for keyword in SCANNER_KEYWORDS}
    if not stated["Manufacturer"]:
        return None
    item = _item(codes.ACQUISITION_EQUIPMENT, "Acquisition equipment of the source images")
    for keyword, value in stated.items():
        if value:
            setattr(item, keyword, value)
    return item


def _algorithm(context: Context) -> Dataset:
    """The weights where they spoke; the node itself where nothing was analysed."""
    model, node = context.model, f"{MODEL_NAME} {context.installation.node_version}"
    if model is None:
        item = _item(codes.PROCESSING_EQUIPMENT, "Series selection, no analysis")
        item.ManufacturerModelName = MODEL_NAME
        item.SoftwareVersions = context.installation.node_version
        item.DeviceUID = installation_uid(context.installation.device_serial)
    else:
        item = _item(codes.PROCESSING_EQUIPMENT, f"{node}, weights sha256={model.sha256}")
        item.ManufacturerModelName = model.name
        item.SoftwareVersions = model.version
        item.DeviceUID = algorithm_uid(model)
    item.Manufacturer = MANUFACTURER
    item.DeviceSerialNumber = context.installation.device_serial
    item.ContributionDateTime = context.at.strftime("%Y%m%d%H%M%S")
    return item


def _highdicom(context: Context) -> Dataset:
    item = _item(codes.PROCESSING_EQUIPMENT, "Software library used to create this instance")
    item.Manufacturer = "Highdicom open-source contributors"
    item.ManufacturerModelName = "highdicom"
    item.SoftwareVersions = highdicom.__version__
    item.ContributionDateTime = context.at.strftime("%Y%m%d%H%M%S")
    return item


def _item(purpose: Code, description: str) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [codes.code_item(purpose)]
    item.ContributionDescription = description
    return item


def _plain(header: Dataset, keyword: str) -> str:
    """What the header states, as one string; empty where it is missing, too long or not printable ASCII."""
    text = raw_value(header, keyword).decode("latin-1").replace("\\", " ")
    return text if text.isascii() and text.isprintable() and len(text) <= MAX_LONG_STRING else ""
