import zlib
from io import BytesIO

import pytest
from pydicom import dcmread
from pynetdicom.dsutils import encode

from ichnode.domain.errors import Rejected
from ichnode.receive.header import text
from ichnode.receive.part10 import content_key, file_head, open_stored, read_header

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
NAMES = {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2", "sop_instance_uid": "1.2.3.1.1", "source_ae_title": "MODALITY"}


def encoded(ds, syntax):
    plain = encode(ds, syntax == IMPLICIT, True)
    if syntax == DEFLATED:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return deflate.compress(plain) + deflate.flush()
    return plain


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, DEFLATED])
def test_a_kept_file_is_a_dicom_file_around_the_same_bytes(make_slice, tmp_path, syntax):
    data_set = encoded(make_slice(), syntax)
    path = tmp_path / "file.dcm"
    path.write_bytes(file_head(**NAMES, transfer_syntax_uid=syntax) + data_set)

    read = dcmread(path)
    stored = open_stored(path)

    assert path.read_bytes().endswith(data_set)
    assert read.file_meta.TransferSyntaxUID == syntax
    assert read.PixelData == make_slice().PixelData
    assert stored.sha256 == content_key(syntax, data_set)
    assert (stored.source_ae_title, stored.transfer_syntax_uid) == ("MODALITY", syntax)
    assert text(stored.header, "PatientID") == "P1"
    assert "PixelData" not in stored.header


def test_the_same_arguments_give_the_same_head():
    assert file_head(**NAMES, transfer_syntax_uid=EXPLICIT) == file_head(**NAMES, transfer_syntax_uid=EXPLICIT)


def test_the_transfer_syntax_belongs_to_what_makes_bytes_the_same():
    assert content_key(EXPLICIT, b"bytes") != content_key(IMPLICIT, b"bytes")


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, DEFLATED])
def test_a_header_that_is_cut_off_is_not_taken_for_a_whole_one(make_slice, syntax):
    whole = encoded(make_slice(), syntax)

    with pytest.raises(Rejected):
        read_header(BytesIO(whole[:100]), syntax)


def test_a_small_deflated_bomb_does_not_fill_the_memory(make_slice, monkeypatch):
    monkeypatch.setattr("ichnode.receive.part10.LARGEST_HEADER_BYTES", 1 << 16)
    ds = make_slice(ImageComments="x" * 10_000)
    ds.PixelData = b"\0" * (1 << 24)

    header = read_header(BytesIO(encoded(ds, DEFLATED)), DEFLATED)

    assert text(header, "PatientID") == "P1"


@pytest.mark.parametrize("content", [b"", b"rubbish" * 100, b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\2\0" * 9])
def test_a_file_that_is_not_dicom_is_rejected(tmp_path, content):
    path = tmp_path / "file.dcm"
    path.write_bytes(content)

    with pytest.raises(Rejected):
        open_stored(path)
