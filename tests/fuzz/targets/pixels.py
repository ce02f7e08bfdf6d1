"""Compressed frames -> stored pixels -> HU, in each encoding that the node accepts: pixels, or Rejected.

An input: encoding, rows, columns, bits and sign, number of fragments, then the frame's bytes. The codecs are C: what
kills the process is seen by the runner (in the node, it kills the worker's child and is told).
"""

import base64
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmread, uid
from pydicom.encaps import encapsulate, generate_frames

from ichnode.domain.errors import Rejected
from ichnode.image.frames import frames_of
from ichnode.image.pixels import check_lossless, hounsfield
from tests.fuzz.bytes_in import BytesIn
from tests.fuzz.images import slice_of
from tests.fuzz.limits import bounded, mute

ENCODINGS: Final = (
    uid.ExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEGLSLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.JPEG2000Lossless,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
)
# A ramp of 16 x 16 signed pixels, 100 x - 60 y - x y, encoded once with OpenJPH 0.26: no encoder is at hand in tests.
HTJ2K_RAMP: Final = base64.b64decode(
    "/0//UQApQAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABjwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJ"
    "CQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAKIAAf+TwAAlRAGHdAAAwAATQAATQAASgND+Aod0AJn8Aod0AKUBB3QA"
    "wAATwAATwAASgJB1/gICdAAj1vkAg1QA6QAD1ADAABUwAAVcAAE4wrCeiKpxgnUACzteiv7AMYHstgAA5IBIU+UAwAAr4AAWjAACQEahT2eTuV"
    "Dnynp6cQJ4APf9PzgsHpP9iEB79iCBnLoA/oBEAP/Z"
)
SIZE: Final = 16
J2K_SIZE: Final = 32  # the encoder makes no smaller one


def one(data: bytes) -> None:
    """Decodes one image of one or two frames."""
    source = BytesIn(data)
    ds = slice_of(1)
    syntax = ENCODINGS[source.below(len(ENCODINGS))]
    ds.file_meta.TransferSyntaxUID = syntax
    ds.Rows, ds.Columns = (1 + source.below(4096) for _ in range(2))
    bits = source.byte()
    ds.BitsAllocated = (8, 16, 32, 12)[bits >> 6]
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 1 + (bits & 15), bits & 15, bits >> 4 & 1
    shape = source.byte()
    payload = source.rest()
    if not syntax.is_compressed:
        ds.PixelData = payload
    elif shape & 1:
        ds.PixelData = payload  # as it came, items and all
    elif payload:
        fragments = min(1 + (shape >> 1 & 3), max(1, len(payload) // 2))  # two bytes each
        ds.PixelData = encapsulate([payload], fragments_per_frame=fragments, has_bot=bool(shape & 8))
    else:
        ds.PixelData = b""
    with bounded(), mute():
        _decode(ds)


def _decode(ds: Dataset) -> None:
    try:
        check_lossless(ds)
        hounsfield(frames_of([ds]))
    except Rejected:
        return


def _head(syntax: str, *, size: int = SIZE, bits: int = 11, allocated: int = 1, shape: int = 0) -> bytes:
    matrix = (size - 1).to_bytes(2, "big") * 2
    return bytes([ENCODINGS.index(syntax)]) + matrix + bytes([allocated << 6 | bits, shape])


def seeds() -> Iterator[tuple[str, bytes]]:
    """A small frame in each encoding."""
    yield "plain", _head(uid.ExplicitVRLittleEndian) + slice_of(1, size=SIZE).PixelData
    for name, syntax in (("rle", uid.RLELossless), ("jpeg-ls", uid.JPEGLSLossless), ("j2k", uid.JPEG2000Lossless)):
        size = J2K_SIZE if name == "j2k" else SIZE
        ds = slice_of(1, size=size)
        ds.compress(syntax, generate_instance_uid=False)
        (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
        yield name, _head(syntax, size=size) + frame
        yield f"{name}-items", _head(syntax, size=size, shape=1) + ds.PixelData
    yield "htj2k", _head(uid.HTJ2KLossless, bits=0x1F) + HTJ2K_RAMP
    for name, option, syntax in (("sv1", "+e1", uid.JPEGLosslessSV1), ("process-14", "+el", uid.JPEGLossless)):
        yield name, _head(syntax) + _by_dcmtk(option)


def _by_dcmtk(option: str) -> bytes:
    """JPEG lossless, which no library here writes: needs dcmtk, when seeds are made anew only."""
    program = shutil.which("dcmcjpeg")
    assert program, "dcmtk's dcmcjpeg is needed to make these seeds"
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder) / "plain.dcm", Path(folder) / "packed.dcm"
        slice_of(1, size=SIZE).save_as(plain, enforce_file_format=True)
        subprocess.run([program, option, plain, packed], check=True, timeout=30)
        (frame,) = generate_frames(dcmread(packed).PixelData, number_of_frames=1)
        return bytes(frame)
