import struct
import threading
import tracemalloc
import zlib
from contextlib import suppress
from io import BytesIO

import pytest
from pydicom import DataElement, Dataset, dcmread
from pynetdicom.dsutils import encode

from ichnode.domain.errors import Rejected
from ichnode.metered import ONE_AT_A_TIME, SMALL
from ichnode.receive.header import facts_of, text
from ichnode.receive.part10 import content_key, file_head, header_of, open_stored, read_header

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
NAMES = {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2", "sop_instance_uid": "1.2.3.1.1", "source_ae_title": "MODALITY"}


def deflated(plain):
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(plain) + deflate.flush()


def encoded(ds, syntax):
    plain = encode(ds, syntax == IMPLICIT, True)
    return deflated(plain) if syntax == DEFLATED else plain


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


EMPTY_ITEM = b"\xfe\xff\x00\xe0" + bytes(4)
SEQUENCE_END = b"\xfe\xff\xdd\xe0" + bytes(4)
NO_ITEM = bytes(8)  # pydicom takes it for one
READ_LATER, NEVER_READ = (0x5200, 0x9230), (0x0008, 0x1115)  # sequences
POSITION_SEQUENCE, ITEM = (0x0020, 0x9113), (0xFFFE, 0xE000)


def stated(tag, value):
    """An element of Implicit VR."""
    return struct.pack("<HHI", *tag, len(value)) + value


def elements(count, vr_and_length=bytes(4)):
    """Empty ones, no two alike."""
    tags = ((0x0009 + 2 * (n // 0xE000), 0x1000 + n % 0xE000) for n in range(count))
    return b"".join(struct.pack("<HH", *tag) + vr_and_length for tag in tags)


FULL = {
    "elements": elements(130_000),
    "items": struct.pack("<HHI", *NEVER_READ, 0xFFFFFFFF) + EMPTY_ITEM * 130_000 + SEQUENCE_END,
    "items in a sequence of stated length": stated(READ_LATER, EMPTY_ITEM * 130_000),
    "what is no item": stated(READ_LATER, NO_ITEM * 130_000),
    "items within items": stated(READ_LATER, 2 * stated(ITEM, stated(POSITION_SEQUENCE, EMPTY_ITEM * 65_000))),
    "elements within an item": stated(READ_LATER, stated(ITEM, elements(130_000))),
}


@pytest.mark.parametrize("data_set", FULL.values(), ids=FULL)
def test_a_data_set_that_is_all_structure_is_refused_before_it_fills_the_memory(data_set, monkeypatch):
    monkeypatch.setattr("ichnode.receive.part10.REACHES", 100_000)
    with pytest.raises(Rejected, match="more elements and items"):
        read_header(BytesIO(data_set), IMPLICIT)


def test_a_data_set_that_becomes_all_structure_when_it_is_inflated_is_refused_too(monkeypatch):
    monkeypatch.setattr("ichnode.receive.part10.REACHES", 100_000)
    with pytest.raises(Rejected, match="more elements and items"):
        read_header(BytesIO(deflated(elements(130_000, b"LO\0\0"))), DEFLATED)


@pytest.mark.parametrize("head", [EMPTY_ITEM, NO_ITEM])
def test_an_item_costs_more_than_an_element_for_it_takes_more(head, monkeypatch):
    monkeypatch.setattr("ichnode.receive.part10.REACHES", 100_000)
    items = stated(READ_LATER, head * 20_000)

    with pytest.raises(Rejected, match="more elements and items"):
        read_header(BytesIO(items), IMPLICIT)
    assert len(read_header(BytesIO(elements(20_000)), IMPLICIT)) == 20_000


def nested(levels, content, tag=(0x0009, 0x1010), vr=b"SQ"):
    """Sequences of stated length within each other, Explicit VR."""
    heads, size = [], len(content)
    for _ in range(levels):
        item = struct.pack("<HHI", *ITEM, size)
        heads.append(struct.pack("<HH2sHI", *tag, vr, 0, size + 8) + item)
        size += 20
    return b"".join(reversed(heads)) + content


def test_sequences_within_sequences_are_not_held_all_at_once():
    """Each level is a copy of all within it."""
    data_set = nested(100, stated_ob(2**20))
    tracemalloc.start()
    try:
        read_header(BytesIO(data_set), EXPLICIT)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 8 * 2**20


@pytest.mark.parametrize("vr", [b"SQ", b"UN", b"OB"])
def test_sequences_within_sequences_are_paid_for_by_what_is_copied_whatever_they_call_themselves(vr):
    with pytest.raises(Rejected, match="more elements and items"):
        read_header(BytesIO(nested(400, stated_ob(2**20), vr=vr)), EXPLICIT)


def stated_ob(size, tag=(0x0009, 0x1011)):
    return struct.pack("<HH2sHI", *tag, b"OB", 0, size) + bytes(size)


LARGE = 32 * 2**20
PIXELS = (0x7FE0, 0x0010)


class Turnstile:
    """In the place of the lock: what its threads hold when they come to it."""

    def __init__(self):
        self.held = []

    def acquire(self):
        self.held.append(tracemalloc.get_traced_memory()[1])

    def release(self):
        pass


@pytest.mark.parametrize(
    ("data_set", "syntax"),
    [
        (stated_ob(LARGE), EXPLICIT),
        (deflated(stated_ob(LARGE)), DEFLATED),
        (deflated(stated_ob(LARGE, PIXELS)), DEFLATED),
    ],
    ids=["value", "deflated value", "deflated pixels"],
)
def test_what_becomes_large_waits_for_the_others_while_it_is_small(data_set, syntax, monkeypatch):
    turnstile, message = Turnstile(), BytesIO(data_set)
    monkeypatch.setattr("ichnode.metered.ONE_AT_A_TIME", turnstile)
    tracemalloc.start()
    try:
        read_header(message, syntax)
    finally:
        tracemalloc.stop()

    (held,) = turnstile.held
    assert held < 8 * 2**20


def test_what_is_inflated_is_paid_for_even_if_it_is_not_read(monkeypatch):
    monkeypatch.setattr("ichnode.receive.part10.REACHES", 100_000)
    pixels = stated_ob(LARGE, PIXELS)

    assert len(read_header(BytesIO(pixels), EXPLICIT)) == 0
    with pytest.raises(Rejected, match="more elements and items"):
        read_header(BytesIO(deflated(pixels)), DEFLATED)


def test_a_length_is_paid_for_by_what_is_there_and_not_by_what_it_claims():
    claim = struct.pack("<HHI", 0x0009, 0x1010, 0xFFFFFF00) + b"x"

    with pytest.raises(Rejected, match="middle of its header"):
        read_header(BytesIO(claim), IMPLICIT)


CHARACTER_SETS = struct.pack("<HH2sHI", 0x0008, 0x0005, b"UC", 0, 2**21) + b"\\" * 2**21


@pytest.mark.parametrize("data_set", [CHARACTER_SETS, nested(1, CHARACTER_SETS)], ids=["at the top", "in an item"])
def test_character_sets_without_number_are_refused_before_they_are_taken_apart(data_set):
    """pydicom looks them up as it reads: a list of them, twice copied, and a warning for each that nobody knows."""
    with pytest.raises(Rejected, match="more elements and items"):
        read_header(BytesIO(data_set), EXPLICIT)


def test_a_large_header_is_read_when_the_one_before_it_is_let_go():
    large = elements(SMALL + 10)
    entered, order = threading.Event(), []

    def second():
        entered.set()
        with header_of(BytesIO(large), IMPLICIT):
            order.append("second")

    with header_of(BytesIO(large), IMPLICIT):
        thread = threading.Thread(target=second)
        thread.start()
        assert entered.wait(10)
        read_header(BytesIO(elements(SMALL - 10)), IMPLICIT)  # what is small waits for nobody
        thread.join(0.3)
        order.append("first")
    thread.join(10)

    assert order == ["first", "second"]


@pytest.mark.parametrize("count", [SMALL + 10, 110_000])
def test_whatever_became_of_a_large_header_the_next_one_is_read(count, monkeypatch):
    monkeypatch.setattr("ichnode.receive.part10.REACHES", 100_000)
    for _ in range(2):
        with suppress(Rejected):
            read_header(BytesIO(elements(count)), IMPLICIT)
    assert not ONE_AT_A_TIME.locked()


def of_undefined_length(tag, items):
    """A sequence of Explicit VR, its items of undefined length too."""
    head, end = struct.pack("<HHI", *ITEM, 0xFFFFFFFF), struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    each = b"".join(head + item + end for item in items)
    return struct.pack("<HH2sHI", *tag, b"SQ", 0, 0xFFFFFFFF) + each + SEQUENCE_END


def functional_groups(frames, groups, elements_a_group):
    """Frames as of an object with every functional group: each a sequence of one item."""
    content = b"".join(struct.pack("<HH2sH2s", 0x0018, 0x1001 + n, b"LO", 2, b"x ") for n in range(elements_a_group))
    frame = b"".join(of_undefined_length((0x0018, 0x9301 + n), [content]) for n in range(groups))
    return of_undefined_length(READ_LATER, [frame] * frames)


def test_a_deflated_segmentation_of_2800_frames_is_read():
    """As highdicom writes twenty structures in 140 slices: deflated it is small, its header is not."""
    plain = functional_groups(2800, groups=4, elements_a_group=5)

    header = read_header(BytesIO(deflated(plain)), DEFLATED)

    assert len(header.PerFrameFunctionalGroupsSequence) == 2800


def test_an_enhanced_image_with_every_functional_group_is_read_however_well_it_is_compressed():
    plain = functional_groups(2000, groups=20, elements_a_group=5)

    header = read_header(BytesIO(plain), EXPLICIT)

    assert len(header.PerFrameFunctionalGroupsSequence) == 2000


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, DEFLATED])
def test_an_image_of_a_thousand_frames_is_read(make_slice, syntax):
    ds = make_slice(PixelData=bytes(1000 * 128 * 128 * 2), NumberOfFrames=1000)
    del ds.ImagePositionPatient
    ds.PerFrameFunctionalGroupsSequence = [Dataset() for _ in range(1000)]
    for number, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        for tag in (0x00189301, 0x00189326, 0x00189329, 0x00189477, 0x00209111):
            macro = Dataset()
            macro.update({0x00181001 + 2 * n: DataElement(0x00181001 + 2 * n, "LO", "x") for n in range(8)})
            frame.add_new(tag, "SQ", [macro])
        frame.PlanePositionSequence = [Dataset()]
        frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, number]

    header = read_header(BytesIO(encoded(ds, syntax)), syntax)

    assert len(facts_of(header).positions) == 1000
