"""Headers as a hostile or a broken peer writes them. Each of these once broke the worker; fuzzing found them."""

import pytest
from pydicom import Dataset, uid
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from ichnode.domain.errors import Rejected
from ichnode.image.load import load_series, read_datasets
from ichnode.image.readable import DEEPEST, make_readable


def put(ds: Dataset, keyword: str, vr: str, value: bytes) -> Dataset:
    """The element as a reader finds it: its bytes, in whatever VR the file says."""
    tag = Tag(keyword)
    ds[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    return ds


@pytest.fixture
def series(classic, stack, head):
    geometry = stack(slices=12, size=72, spacing_mm=2.8, gap_mm=10.0)
    return classic(head(geometry), geometry)


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("Columns", "US", b"\0"),  # half a number
        ("PixelPaddingValue", "US", b"\0\1\2"),
        ("PlanePositionSequence", "SQ", b"\1\2\3\4\5"),  # no items
        ("SpecificCharacterSet", "US", b"\1\0"),
        ("SpecificCharacterSet", "CS", b"\xff\xff\xff\xff"),
    ],
)
def test_what_cannot_be_read_was_not_said(keyword, vr, value):
    ds = put(Dataset(), keyword, vr, value)
    ds.PatientID = "P1"

    make_readable(ds)

    assert [element.keyword for element in ds] == ["PatientID"]
    assert ds.PatientID == "P1"


def test_a_private_element_that_cannot_be_read_is_bytes():
    creator = RawDataElement(Tag(0x00330010), "LO", 4, b"Site", 0, False, True)
    number = RawDataElement(Tag(0x00331001), "US", 3, b"\0\1\2", 0, False, True)
    ds = Dataset({creator.tag: creator, number.tag: number})

    make_readable(ds)

    assert ds[number.tag].value == b"\0\1\2"


def test_a_value_in_the_wrong_vr_is_read_in_the_right_one():
    ds = put(Dataset(), "SeriesDescription", "FD", b"head")
    put(ds, "InstanceNumber", "XX", b"1 ")  # no VR that there is

    make_readable(ds)

    assert (ds.SeriesDescription, ds.InstanceNumber) == ("head", 1)


def test_what_can_be_read_keeps_its_bytes():
    ds = put(Dataset(), "PatientName", "PN", b"\xcd\xf5^\xd0\xa1\xb6\xab")  # GBK, not declared

    make_readable(ds)

    assert ds.get_item("PatientName").value == b"\xcd\xf5^\xd0\xa1\xb6\xab"


def test_sequences_end_at_some_depth():
    ds = Dataset()
    for _ in range(200):
        outer = Dataset()
        outer.ContrastBolusAgentSequence = Sequence([ds])
        ds = outer

    make_readable(ds)

    depth = 0
    while "ContrastBolusAgentSequence" in ds:
        ds, depth = ds.ContrastBolusAgentSequence[0], depth + 1
    assert depth == DEEPEST


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("BitsStored", b"\0\0"),
        ("BitsStored", b"\xff\xff"),
        ("HighBit", b"\xff\xff"),
        ("BitsAllocated", b"\xff\xff"),
        ("PixelRepresentation", b"\7\0"),
        ("PixelRepresentation", b"\0\0\0\0"),  # two values for one
        ("Rows", b"\1\0\2\0"),
    ],
)
def test_a_picture_that_does_not_say_how_it_is_stored_is_rejected(series, keyword, value):
    put(series[3], keyword, "US", value)

    with pytest.raises(Rejected, match=r"how its values are stored|is not an image|different sizes"):
        load_series(series)


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
def test_an_image_that_does_not_say_which_it_is_is_rejected(series, keyword):
    del series[2][keyword]

    with pytest.raises(Rejected, match="which it is"):
        load_series(series)


def test_a_codec_that_panics_rejects_the_images(series):
    """RLE whose segments hold more than the image: the codec in Rust panics, with what is no Exception."""
    header = b"".join(n.to_bytes(4, "little") for n in (2, 64, 164, *[0] * 13))
    for ds in series:
        ds.file_meta.TransferSyntaxUID = uid.RLELossless
        ds.PixelData = encapsulate([header + b"\x81\x05" * 100])

    with pytest.raises(Rejected, match="cannot be decoded"):
        load_series(series)


def test_a_damaged_offset_table_rejects_the_images(series):
    for ds in series:
        ds.file_meta.TransferSyntaxUID = uid.RLELossless
        ds.PixelData = b"\xfe\xff\x00\xe0\xf4\xff\xff\xff" + bytes(20)

    with pytest.raises(Rejected, match="cannot be decoded"):
        load_series(series)


def test_a_file_that_says_deflated_and_is_not_is_rejected(series, tmp_path):
    path = tmp_path / "one.dcm"
    series[0].file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    series[0].save_as(path, enforce_file_format=True)
    path.write_bytes(path.read_bytes()[:340] + b"\xff" * 100)

    with pytest.raises(Rejected, match="not a DICOM image"):
        load_series(read_datasets([path]))
