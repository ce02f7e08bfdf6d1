"""Stored pixels to Hounsfield units: decompression, bits, sign, padding, rescale."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, uid
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import pixel_array

from ichnode.domain.errors import Rejected
from ichnode.image.codestream import announced, is_whole
from ichnode.image.frames import Frame
from ichnode.image.readable import UNREADABLE

PADDING_HU: Final = -1024  # air is -1000: nothing that was measured lies below
MAX_HU: Final = np.iinfo(np.int16).max
# What the codecs and pydicom raise over damaged frames
UNDECODABLE: Final = (*UNREADABLE, RuntimeError, AssertionError, MemoryError)
RUST_PANIC: Final = "PanicException"  # of a codec in Rust; no Exception, and of no module that could be imported
# Transfer syntaxes that lose nothing. Source: PS3.5 section 10, annex A.4
LOSSLESS: Final = frozenset(
    {
        uid.ExplicitVRLittleEndian,
        uid.ImplicitVRLittleEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.RLELossless,
        uid.JPEGLSLossless,
        uid.JPEGLosslessSV1,
        uid.JPEGLossless,
        uid.JPEG2000Lossless,
        uid.HTJ2KLossless,
        uid.HTJ2KLosslessRPCL,
    }
)
# The one codec that stops at damage, where the next that pydicom tries goes on and makes pixels up
STRICT: Final = {uid.JPEGLSLossless: "pyjpegls"}


def check_lossless(dataset: Dataset) -> None:
    """Raises Rejected for an image that is, or once was, compressed with loss, or encoded in an unknown way."""
    if str(dataset.get("LossyImageCompression") or "").strip() == "01":
        raise Rejected("The images were compressed with loss of detail; only lossless images can be measured.")
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    if syntax not in LOSSLESS:
        name = uid.UID(syntax).name if syntax else "not stated"
        raise Rejected(f"The images are encoded in a way that may lose detail or that is not known ({name}).")


def hounsfield(frames: Sequence[Frame]) -> NDArray[np.int16] | NDArray[np.float32]:
    """(Z, Y, X) HU of the frames in their order: int16 where every rescale is whole, float32 otherwise.

    Padding, and what lies below -1024 HU for want of a declared padding, stands at -1024.

    Raises Rejected for pixels that cannot be decoded.
    """
    whole = all(frame.slope.is_integer() and frame.intercept.is_integer() for frame in frames)
    hu = np.empty((len(frames), *frames[0].matrix), np.int16 if whole else np.float32)
    decoded: tuple[Dataset, NDArray[Any]] | None = None
    for k, frame in enumerate(frames):
        if decoded is None or decoded[0] is not frame.dataset:  # a multi-frame image is decoded once
            decoded = frame.dataset, _decode(frame)
        stored = decoded[1] if frame.index is None else decoded[1][frame.index]
        meant = _meant(stored, frame.dataset)
        values = meant * frame.slope + frame.intercept
        values[_padded(stored, meant, frame.dataset)] = PADDING_HU
        hu[k] = np.clip(values, PADDING_HU, MAX_HU)
    return hu


def _decode(frame: Frame) -> NDArray[Any]:
    dataset = frame.dataset
    try:
        _check_announced(frame)
        codec = STRICT.get(dataset.file_meta.TransferSyntaxUID, "")
        stored = pixel_array(dataset, raw=True, correct_unused_bits=False, decoding_plugin=codec)
    except BaseException as error:
        if not isinstance(error, UNDECODABLE) and type(error).__name__ != RUST_PANIC:
            raise
        raise _damaged(frame) from error
    frames = () if frame.index is None else (len(dataset.PerFrameFunctionalGroupsSequence),)
    if frames == (1,):
        stored = stored[np.newaxis]
    if stored.shape != (*frames, *frame.matrix):
        raise Rejected(f"The pixels of slice {frame.number} do not fit its announced size.")
    return stored


def _check_announced(frame: Frame) -> None:
    """Raises Rejected for a codestream that is not what its header says: a codec reserves what the codestream says."""
    dataset = frame.dataset
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed or syntax == uid.RLELossless:  # RLE says no size
        return
    frames = 1 if frame.index is None else len(dataset.PerFrameFunctionalGroupsSequence)
    for codestream in generate_frames(dataset.PixelData, number_of_frames=frames, extended_offsets=_offsets(dataset)):
        said = announced(codestream)
        if said is None:
            raise _damaged(frame)
        if said.matrix != frame.matrix or said.components != 1 or said.bits > dataset.BitsAllocated:
            raise Rejected(f"The pixels of slice {frame.number} do not fit its announced size.")
        if not is_whole(codestream):
            raise _damaged(frame)


def _offsets(dataset: Dataset) -> tuple[bytes, bytes] | None:
    """The table by which the decoder, too, finds the frames."""
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        return dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths
    return None


def _damaged(frame: Frame) -> Rejected:
    return Rejected(f"The pixels of slice {frame.number} cannot be decoded: they are damaged or cut off.")


def _meant(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.float64]:
    """Stored values without what may stand in the unused bits, which the standard leaves open.

    Source: PS3.5 section 8.1.1.
    """
    bits = int(dataset.BitsStored)
    values = stored.astype(np.int64)
    if not dataset.file_meta.TransferSyntaxUID.is_compressed:
        values >>= max(0, int(dataset.get("HighBit") or bits - 1) + 1 - bits)
    values &= (1 << bits) - 1
    if dataset.PixelRepresentation == 1:
        sign = 1 << (bits - 1)
        values = (values ^ sign) - sign
    return values.astype(np.float64)


def _padded(stored: NDArray[Any], meant: NDArray[np.float64], dataset: Dataset) -> NDArray[np.bool_]:
    """Where PixelPaddingValue stands, or a value between it and PixelPaddingRangeLimit.

    Writers give it the wrong sign now and then, so it is read as a bit pattern; and some store a padding that
    BitsStored cannot hold, so that it is seen in the unused bits only. Source: PS3.3 C.7.5.1.1.2.
    """
    first = dataset.get("PixelPaddingValue")
    if not isinstance(first, int):
        return np.zeros(stored.shape, np.bool_)
    last = dataset.get("PixelPaddingRangeLimit")
    limits = np.array([first, last if isinstance(last, int) else first]).astype(stored.dtype)
    reach = 1 << (int(dataset.BitsStored) - int(dataset.PixelRepresentation == 1))
    values = meant if np.abs(limits.astype(np.int64)).max() <= reach else stored
    return np.asarray((values >= limits.min()) & (values <= limits.max()))
