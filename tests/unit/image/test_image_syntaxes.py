import base64
import io
import shutil
import struct
import subprocess
from copy import deepcopy

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread, uid
from pydicom.encaps import encapsulate, generate_frames

from ichnode.domain.errors import Rejected
from ichnode.image import pixels
from ichnode.image.codestream import Announced, announced, is_whole
from ichnode.image.load import load_series, read_datasets
from ichnode.image.pixels import LOSSLESS

# A ramp of 16 x 16 signed pixels, 100 x - 60 y - x y, encoded once with OpenJPH 0.26: no encoder is at hand in tests.
HTJ2K_RAMP = base64.b64decode(
    "/0//UQApQAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABjwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJ"
    "CQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAKIAAf+TwAAlRAGHdAAAwAATQAATQAASgND+Aod0AJn8Aod0AKUBB3QA"
    "wAATwAATwAASgJB1/gICdAAj1vkAg1QA6QAD1ADAABUwAAVcAAE4wrCeiKpxgnUACzteiv7AMYHstgAA5IBIU+UAwAAr4AAWjAACQEahT2eTuV"
    "Dnynp6cQJ4APf9PzgsHpP9iEB79iCBnLoA/oBEAP/Z"
)
BY_PYDICOM = {
    "RLE": uid.RLELossless,
    "JPEG-LS": uid.JPEGLSLossless,
    "JPEG 2000": uid.JPEG2000Lossless,
}
BY_DCMTK = {"JPEG lossless SV1": ("+e1", uid.JPEGLosslessSV1), "JPEG lossless process 14": ("+el", uid.JPEGLossless)}


@pytest.fixture(params=["signed-16", "unsigned-12"])
def series(request, classic, stack):
    geometry = stack(slices=10, size=48)
    z, y, x = np.mgrid[:10, :48, :48]
    hu = (np.where((x - 20) ** 2 + (y - 25) ** 2 < 300, 40 + x % 7 - y % 5 + z, -1000)).astype(np.int16)
    signed = request.param == "signed-16"
    return classic(hu, geometry, signed=signed, bits=16 if signed else 12, intercept=0 if signed else -1024)


def written(series, folder):
    paths = [folder / f"{k}.dcm" for k in range(len(series))]
    for one, path in zip(series, paths, strict=True):
        one.save_as(path, enforce_file_format=True)
    return paths


def syntaxes(paths):
    return {dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID for path in paths}


@pytest.mark.parametrize(
    "syntax",
    [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian],
    ids=lambda syntax: syntax.keyword,
)
def test_plain_syntaxes(series, tmp_path, syntax):
    expected = load_series(series).hu
    for one in series:
        one.file_meta.TransferSyntaxUID = syntax

    paths = written(series, tmp_path)

    assert syntaxes(paths) == {syntax}
    assert (load_series(read_datasets(paths)).hu == expected).all()


@pytest.mark.parametrize("name", BY_PYDICOM)
def test_syntaxes_that_pydicom_writes(series, tmp_path, name):
    expected = load_series(series).hu
    packed = deepcopy(series)
    for one in packed:
        one.compress(BY_PYDICOM[name], generate_instance_uid=False)

    paths = written(packed, tmp_path)

    assert syntaxes(paths) == {BY_PYDICOM[name]}
    assert (load_series(read_datasets(paths)).hu == expected).all()


@pytest.mark.skipif(not shutil.which("dcmcjpeg"), reason="dcmtk's dcmcjpeg is not installed")
@pytest.mark.parametrize("name", BY_DCMTK)
def test_syntaxes_that_dcmtk_writes(series, tmp_path, name):
    expected = load_series(series).hu
    option, syntax = BY_DCMTK[name]
    paths = written(series, tmp_path)
    for path in paths:
        subprocess.run(["dcmcjpeg", option, path, path.with_suffix(".jpg")], check=True, timeout=30)

    packed = [path.with_suffix(".jpg") for path in paths]

    assert syntaxes(packed) == {syntax}
    assert (load_series(read_datasets(packed)).hu == expected).all()


@pytest.mark.parametrize("syntax", [uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL], ids=lambda syntax: syntax.keyword)
def test_high_throughput_jpeg_2000(classic, stack, tmp_path, syntax):
    y, x = np.mgrid[:16, :16]
    series = ramps(classic, stack, syntax)

    seen = load_series(read_datasets(written(series, tmp_path))).hu

    assert (seen == np.maximum(100 * x - 60 * y - x * y, -1024)).all()


def test_compressed_pixels_of_another_size_than_announced_are_rejected(classic, stack):
    series = ramps(classic, stack, uid.HTJ2KLossless)
    for one in series:
        one.Columns = 12

    with pytest.raises(Rejected, match=r"slice 1 (cannot be decoded|do not fit)"):
        load_series(series)


def ramps(classic, stack, syntax):
    series = classic(np.zeros((10, 16, 16)), stack(slices=10, size=16), signed=True, intercept=0)
    for one in series:
        one.file_meta.TransferSyntaxUID = syntax
        one.PixelData = encapsulate([HTJ2K_RAMP])
        one["PixelData"].VR, one["PixelData"].is_undefined_length = "OB", True
    return series


def test_a_compressed_enhanced_image_is_decoded_frame_by_frame(series, enhanced, tmp_path):
    expected = load_series(series).hu
    image = enhanced(series)
    image.compress(uid.JPEG2000Lossless, generate_instance_uid=False)

    assert (load_series(read_datasets(written([image], tmp_path))).hu == expected).all()


def test_every_accepted_syntax_is_tested_here():
    plain = {uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian}
    htj2k = {uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL}

    assert plain | htj2k | set(BY_PYDICOM.values()) | {syntax for _, syntax in BY_DCMTK.values()} == LOSSLESS


@pytest.fixture
def packed(series, tmp_path):
    """The first slice in each encoding of the JPEG family."""
    folder = tmp_path / "packed"
    folder.mkdir()
    found = {}
    for name in ("JPEG-LS", "JPEG 2000"):
        found[name] = deepcopy(series[0])
        found[name].compress(BY_PYDICOM[name], generate_instance_uid=False)
    if shutil.which("dcmcjpeg"):
        plain, path = folder / "plain.dcm", folder / "packed.dcm"
        series[0].save_as(plain, enforce_file_format=True)
        for name, (option, _) in BY_DCMTK.items():
            subprocess.run(["dcmcjpeg", option, plain, path], check=True)
            found[name] = dcmread(path)
    return found


def frame_of(dataset):
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    return frame


def test_each_codestream_tells_its_matrix(packed):
    for dataset in packed.values():
        said = announced(frame_of(dataset))
        assert (said.matrix, said.components) == ((48, 48), 1)
        assert dataset.BitsStored <= said.bits <= 16
        assert is_whole(frame_of(dataset))
    assert announced(HTJ2K_RAMP) == Announced(matrix=(16, 16), components=1, bits=16)
    assert is_whole(HTJ2K_RAMP)
    assert announced(b"\xff\xd8\xff") is None
    assert announced(b"RLE") is None


def test_a_codestream_that_claims_a_giant_matrix_is_rejected_before_it_is_decoded(series, packed, monkeypatch):
    monkeypatch.setattr(pixels, "pixel_array", lambda *_, **__: pytest.fail("the codec was asked"))
    for name, dataset in packed.items():
        frame = bytearray(frame_of(dataset))
        width, at = (4, 8) if name == "JPEG 2000" else (2, frame.index(b"\x00\x30\x00\x30"))
        frame[at : at + 2 * width] = b"\x00\x00\xff\xff"[-width:] * 2
        dataset.PixelData = encapsulate([bytes(frame)])

        with pytest.raises(Rejected, match="do not fit its announced size"):
            load_series([dataset, *series[1:]])


def rejected(series, dataset, frame, match):
    dataset.PixelData = encapsulate([bytes(frame)])
    with pytest.raises(Rejected, match=match):
        load_series([dataset, *series[1:]])


@pytest.fixture
def no_codec(monkeypatch):
    monkeypatch.setattr(pixels, "pixel_array", lambda *_, **__: pytest.fail("the codec was asked"))


@pytest.mark.usefixtures("no_codec")
def test_more_components_or_bits_than_the_header_says_are_rejected_before_they_are_decoded(series, packed):
    for name, dataset in packed.items():
        frame = frame_of(dataset)
        if name == "JPEG 2000":
            changes = {40: (4000).to_bytes(2, "big"), 42: b"\x9f"}
        else:
            size = frame.index(b"\x00\x30\x00\x30")
            changes = {size + 4: b"\xff", size - 1: b"\x20"}
        for at, new in changes.items():
            rejected(series, dataset, frame[:at] + new + frame[at + len(new) :], "do not fit its announced size")


@pytest.mark.usefixtures("no_codec")
def test_a_codestream_that_does_not_say_its_size_is_rejected_before_it_is_decoded(series, packed):
    for dataset in packed.values():
        frame = frame_of(dataset)

        rejected(series, dataset, frame[:2] + b"\x00" + frame[2:], "damaged or cut off")


@pytest.mark.usefixtures("no_codec")
def test_a_codestream_that_was_cut_off_is_rejected_before_it_is_decoded(series, packed):
    for dataset in packed.values():
        frame = frame_of(dataset).rstrip(b"\0")
        for end in (len(frame) // 2, len(frame) * 9 // 10, len(frame) - 2):
            rejected(series, dataset, frame[:end], "damaged or cut off")


@pytest.mark.parametrize("padding", [bytes(1), bytes(4), b"\xff"])
def test_padding_behind_the_end_is_no_damage(series, packed, padding):
    expected = load_series(series).hu
    for dataset in packed.values():
        dataset.PixelData = encapsulate([frame_of(dataset).rstrip(b"\0") + padding])

        assert (load_series([dataset, *series[1:]]).hu == expected).all()


def test_jpeg_ls_that_is_damaged_inside_is_rejected(series, packed):
    frame = frame_of(packed["JPEG-LS"]).rstrip(b"\0")
    half = len(frame) // 2

    rejected(series, packed["JPEG-LS"], frame[:half] + b"\xff\xd9", "damaged or cut off")
    rejected(series, packed["JPEG-LS"], frame[:half] + bytes(8) + frame[half + 8 :], "damaged or cut off")


def test_a_jpeg_2000_image_without_one_of_its_tiles_is_rejected(series, packed):
    buffer = io.BytesIO()
    image = Image.fromarray(np.arange(48 * 48, dtype=np.uint16).reshape(48, 48))
    image.save(buffer, "JPEG2000", no_jp2=True, tile_size=(16, 16), irreversible=False)
    tiled = buffer.getvalue()
    starts = [k for k in range(len(tiled)) if tiled[k : k + 4] == b"\xff\x90\x00\x0a"]
    (length,) = struct.unpack(">I", tiled[starts[4] + 6 : starts[4] + 10])

    assert len(starts) == 9
    assert is_whole(tiled)
    rejected(series, packed["JPEG 2000"], tiled[: starts[4]] + tiled[starts[4] + length :], "damaged or cut off")
