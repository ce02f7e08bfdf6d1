"""DICOM files around encoded data sets that are kept byte for byte. Source: PS3.10 section 7."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import (
    PYDICOM_IMPLEMENTATION_UID,
    UID,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ichnode.domain.errors import Rejected
from ichnode.metered import BYTES_A_REACH, ODD, Budget, read_elements
from ichnode.receive.header import text
from ichnode.store.files import Buffer, sha256_of

PREAMBLE: Final = b"\0" * 128 + b"DICM"
PIXEL_GROUP: Final = 0x7FE00000
META_GROUP: Final = 0x0002
UNDEFINED_LENGTH: Final = 0xFFFFFFFF
LARGEST_HEADER_BYTES: Final = 64 << 20  # of a deflated data set: a small file cannot inflate to fill the memory
INFLATED_AT_ONCE: Final = 1 << 18  # bytes
# What a header may cost, so that no message fills the memory when it is read: 400 MB. A CT slice takes 200 to 330
# reaches, a frame of an enhanced CT 300, with every functional group 510.
REACHES: Final = 1_100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A kept file taken apart: its header, and what the file meta says of it. ``sha256`` as of ``content_key``."""

    header: Dataset
    transfer_syntax_uid: str
    source_ae_title: str
    sha256: str
    size_bytes: int


def file_head(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae_title: str) -> bytes:
    """Preamble and File Meta Information that go before an encoded data set; the same arguments, the same bytes."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    meta.SourceApplicationEntityTitle = source_ae_title
    buffer = BytesIO(PREAMBLE)
    buffer.seek(len(PREAMBLE))
    write_file_meta_info(buffer, meta, enforce_standard=True)  # type: ignore[arg-type]
    return buffer.getvalue()


def content_key(transfer_syntax_uid: str, *data_set: Buffer) -> str:
    """What makes two instances "the same bytes": SHA-256 (hex) over the transfer syntax and the encoded data set."""
    return sha256_of(transfer_syntax_uid.encode(), b"\0", *data_set)


def read_header(data_set: BinaryIO, transfer_syntax_uid: str) -> Dataset:
    """Reads an encoded data set up to its pixel data, elements unconverted.

    Raises Rejected for bytes that are not a data set in this transfer syntax, or end within the header.
    """
    with header_of(data_set, transfer_syntax_uid) as header:
        return header


@contextmanager
def header_of(data_set: BinaryIO, transfer_syntax_uid: str) -> Iterator[Dataset]:
    """As ``read_header``, for many threads: a large header is there for one of them at a time."""
    data_set.seek(0)
    is_implicit = transfer_syntax_uid == ImplicitVRLittleEndian
    with Budget(REACHES) as budget:
        if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
            data_set = _inflated(data_set, budget)
        yield _read(data_set, is_implicit=is_implicit, budget=budget, stop_when=_at_pixel_data)


def split_file(path: Path) -> tuple[FileMetaDataset, BytesIO]:
    """File Meta Information and the encoded data set of a DICOM file. Raises Rejected when it is not one; OSError."""
    content = BytesIO(path.read_bytes())
    if content.read(len(PREAMBLE))[128:] != b"DICM":
        raise Rejected("The file is not a DICOM file.")
    # Read up to the first other group, not by the group length: files that were edited by hand state a wrong one.
    with Budget(REACHES) as budget:
        meta = FileMetaDataset(_read(content, is_implicit=False, budget=budget, stop_when=_after_meta))
    if not text(meta, "TransferSyntaxUID"):
        raise Rejected("The file's meta information does not state a transfer syntax.")
    return meta, BytesIO(content.read())


def open_stored(path: Path) -> StoredFile:
    """Takes a kept file apart. Raises Rejected when it is not one; OSError."""
    meta, data_set = split_file(path)
    syntax = text(meta, "TransferSyntaxUID")
    with data_set.getbuffer() as content:
        sha256 = content_key(syntax, content)
    return StoredFile(
        header=read_header(data_set, syntax),
        transfer_syntax_uid=syntax,
        source_ae_title=text(meta, "SourceApplicationEntityTitle"),
        sha256=sha256,
        size_bytes=path.stat().st_size,
    )


def _inflated(data_set: BinaryIO, budget: Budget) -> BinaryIO:
    """Paid for piece by piece: what becomes large waits for the others while it is small."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)  # no zlib header: PS3.5 A.5
    plain = BytesIO()
    while not inflate.eof and plain.tell() < LARGEST_HEADER_BYTES:
        deflated = inflate.unconsumed_tail or data_set.read(INFLATED_AT_ONCE)
        try:
            piece = inflate.decompress(deflated, INFLATED_AT_ONCE)
        except zlib.error as error:
            raise Rejected("The deflated data set is damaged.") from error
        if not deflated and not piece:
            raise Rejected("The deflated data set ends too early.")
        budget.spend(len(piece) // BYTES_A_REACH)
        plain.write(piece)
    plain.seek(0)
    return plain


def _read(
    source: BinaryIO, *, is_implicit: bool, budget: Budget, stop_when: Callable[[BaseTag, str | None, int], bool]
) -> Dataset:
    try:
        elements = read_elements(source, is_implicit=is_implicit, budget=budget, stop_when=stop_when)
    except (*ODD, OSError) as error:
        raise Rejected("The data set cannot be read in its transfer syntax.") from error
    if any(_is_cut_off(element) for element in elements):
        raise Rejected("The data set ends in the middle of its header.")
    return Dataset({element.tag: element for element in elements})


def _after_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != META_GROUP


def _at_pixel_data(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) >= PIXEL_GROUP


def _is_cut_off(element: DataElement | RawDataElement) -> bool:
    if not isinstance(element, RawDataElement) or element.length == UNDEFINED_LENGTH:
        return False
    return len(element.value or b"") < element.length
