"""Series that are made to break whoever reads them: each takes the slices of a sound phantom and spoils them."""

import zlib
from collections.abc import Callable

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import JPEG2000Lossless, RLELossless

DEEP = 400
DEEP_ONES = f"sequences {DEEP} deep"
HUGE = 65535
BOMB_SIDE = 30000

Spoil = Callable[[Dataset], None]


def raw(dataset: Dataset, keyword: str, vr: str, value: bytes) -> None:
    """An element as a file would have it, whatever its VR should be."""
    tag = Tag(keyword)
    dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


def compression_bomb(dataset: Dataset) -> None:
    """JPEG 2000 whose own header says 30000 × 30000, in the place of 256 × 256: 1.8 GB out of a hundred bytes."""
    side = BOMB_SIDE.to_bytes(4, "big")
    siz = b"\x00\x00" + side + side + bytes(8) + side + side + bytes(8) + b"\x00\x01\x8f\x01\x01"
    siz = b"\xff\x51" + (len(siz) + 2).to_bytes(2, "big") + siz
    cod = b"\xff\x52\x00\x0c\x00\x00\x00\x01\x00\x05\x04\x04\x00\x01"
    qcd = b"\xff\x5c\x00\x13\x40" + bytes([0x48] * 16)
    sot = b"\xff\x90\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x01\xff\x93"
    dataset.PixelData = encapsulate([b"\xff\x4f" + siz + cod + qcd + sot + b"\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless


def rle_bomb(dataset: Dataset) -> None:
    """RLE that unpacks to 64 times what the image announces."""
    header = (2).to_bytes(4, "little") + (64).to_bytes(4, "little") + (64 + 65536).to_bytes(4, "little")
    dataset.PixelData = encapsulate([header.ljust(64, b"\0") + b"\x81\x00" * 32768 * 2])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = RLELossless


def many_frames(dataset: Dataset) -> None:
    dataset.NumberOfFrames = 100_000


def huge_matrix(dataset: Dataset) -> None:
    dataset.Rows = dataset.Columns = HUGE


def nan_spacing(dataset: Dataset) -> None:
    raw(dataset, "PixelSpacing", "DS", b"NaN\\NaN ")


def nan_position(dataset: Dataset) -> None:
    raw(dataset, "ImagePositionPatient", "DS", b"0\\0\\inf ")


def deepened(file: bytes) -> bytes:
    """A file with sequences in sequences, far deeper than any standard has them; pydicom itself cannot write that."""
    item, end_of_item, end = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
    begin = item + b"\xff" * 4 + b"\x08\x00\x10\x11SQ\x00\x00" + b"\xff" * 4
    finish = end + bytes(4) + end_of_item + bytes(4)
    sequence = begin[8:] + begin * DEEP + finish * DEEP + end + bytes(4)
    patient = file.index(b"\x10\x00\x10\x00PN")
    return file[:patient] + sequence + file[patient:]


def wrong_vrs(dataset: Dataset) -> None:
    """Values of other kinds than their elements have."""
    raw(dataset, "Rows", "LO", b"many")
    raw(dataset, "RescaleSlope", "OB", b"\xff\xfe\xfd\xfc")
    raw(dataset, "PixelSpacing", "SQ", b"")
    raw(dataset, "InstanceNumber", "FD", b"\x00\x00\x00\x00\x00\x00\xf8\x7f")


POISONS: dict[str, Spoil] = {
    "a JPEG 2000 of 30000 x 30000": compression_bomb,
    "an RLE that unpacks to more": rle_bomb,
    "a claim of 100,000 frames": many_frames,
    "65535 x 65535 rows and columns": huge_matrix,
    "a spacing that is no number": nan_spacing,
    "a position at infinity": nan_position,
    DEEP_ONES: lambda _dataset: None,  # its files are ``deepened``
    "values of wrong kinds": wrong_vrs,
}


# Which guard each of them is meant to meet: the reason of its job, as a radiographer reads it.
REASONS = {
    "a JPEG 2000 of 30000 x 30000": "The pixels of slice 12 do not fit its announced size.",
    "an RLE that unpacks to more": "The pixels of slice 12 cannot be decoded: they are damaged or cut off.",
    "a claim of 100,000 frames": "An image has several frames, but does not say where each of them lies.",
    "65535 x 65535 rows and columns": "The images have 65535 × 65535 pixels, which no head CT has.",
    "a spacing that is no number": "Slice 1 does not say how large its pixels are (pixel spacing).",
    "a position at infinity": "Slice 1 does not say where it lies (image position).",
    "values of wrong kinds": "Object 1 of the series is not an image.",
}


def deflated_bomb(megabytes: int) -> bytes:
    """A deflated data set whose one element inflates to so many megabytes. Source: PS3.5 A.5."""
    value = bytes(megabytes << 20)
    head = b"\x08\x00\x05\x00CS\x00\x00" + b"\x09\x00\x10\x00OB\x00\x00" + len(value).to_bytes(4, "little")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(head + value) + deflate.flush()
