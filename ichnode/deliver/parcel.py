"""What must be known of a file before it can be sent: its file meta information, nothing of the data set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MediaStorageDirectoryStorage
from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext

from ichnode.deliver.association import MAX_CONTEXTS
from ichnode.domain.errors import Rejected

# These two differ in how the element headers are written, not in any value: one can be made from the other.
INTERCHANGEABLE: Final = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))

Offer = tuple[str, str]  # SOP class UID, transfer syntax UID


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One DICOM file that is to be sent."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    size_bytes: int

    def offers(self, transfer_syntaxes: Sequence[str]) -> list[Offer]:
        """The contexts in which it can travel, its own syntax first: an uncompressed file in those of
        ``transfer_syntaxes`` that it can be written in, any other in its own only."""
        own = self.transfer_syntax_uid
        allowed = [s for s in INTERCHANGEABLE if s in transfer_syntaxes] if own in INTERCHANGEABLE else [own]
        return [(self.sop_class_uid, syntax) for syntax in sorted(allowed, key=lambda s: s != own)]


def read_parcel(path: Path) -> Parcel:
    """Reads the file meta information. Raises Rejected for what is not a DICOM file, OSError if it cannot be read."""
    try:
        meta = read_file_meta_info(path)
    except (InvalidDicomError, EOFError, ValueError, NotImplementedError) as error:
        raise Rejected(f"{path.name} is not a DICOM file") from error
    sop_class = str(meta.get("MediaStorageSOPClassUID", ""))
    sop_instance = str(meta.get("MediaStorageSOPInstanceUID", ""))
    syntax = str(meta.get("TransferSyntaxUID", ""))
    if not (sop_class and sop_instance and syntax):
        raise Rejected(f"{path.name} does not say in its file meta information what it is")
    return Parcel(
        path=path,
        sop_class_uid=sop_class,
        sop_instance_uid=sop_instance,
        transfer_syntax_uid=syntax,
        size_bytes=path.stat().st_size,
    )


def dicom_files(folder: Path) -> list[Path]:
    """Every DICOM file under ``folder``, in the order of their paths; a DICOMDIR and files that are no DICOM are
    left out."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_instance(path)]


def batches(parcels: Sequence[Parcel], transfer_syntaxes: Sequence[str]) -> Iterator[list[Parcel]]:
    """Cuts the parcels, in their order, into runs that need at most MAX_CONTEXTS contexts: one association each."""
    batch: list[Parcel] = []
    offered: set[Offer] = set()
    for parcel in parcels:
        offers = set(parcel.offers(transfer_syntaxes))
        if batch and len(offered | offers) > MAX_CONTEXTS:
            yield batch
            batch, offered = [], set()
        batch.append(parcel)
        offered |= offers
    if batch:
        yield batch


def contexts(batch: Sequence[Parcel], transfer_syntaxes: Sequence[str]) -> list[PresentationContext]:
    """One context for each SOP class and transfer syntax: the peer accepts or rejects each, and we choose."""
    offers = dict.fromkeys(offer for parcel in batch for offer in parcel.offers(transfer_syntaxes))
    return [build_context(sop_class, syntax) for sop_class, syntax in offers]


def _is_instance(path: Path) -> bool:
    try:
        return read_parcel(path).sop_class_uid != MediaStorageDirectoryStorage
    except (Rejected, OSError):
        return False
