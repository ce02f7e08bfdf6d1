import warnings
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pynetdicom.dsutils import encode

from ichnode.receive.header import LONGEST_TEXT_BYTES, accession_key, facts_of
from ichnode.receive.part10 import read_header

EXPLICIT = "1.2.840.10008.1.2.1"


def raw(**values: bytes) -> Dataset:
    """A data set as it was read: bytes that nobody has looked at."""
    elements = {}
    for keyword, value in values.items():
        tag = Tag(keyword)
        elements[tag] = RawDataElement(tag, None, len(value), value, 0, True, True)
    return Dataset(elements)


def test_the_facts_of_an_ordinary_slice(make_slice):
    ds = make_slice(
        7,
        series=2,
        BodyPartExamined="HEAD",
        StudyDescription="TRAUMA",
        SeriesDescription="BRAIN 5MM",
        ProtocolName="Head",
        ConvolutionKernel=["Hr40f", "2"],
        AcquisitionNumber=1,
        ContrastBolusAgent="NONE",
        StudyDate="20240229",
        AccessionNumber=" A1 ",
        ImagesInAcquisition="28",
    )
    facts = facts_of(read_header(BytesIO(encode(ds, False, True)), EXPLICIT))

    assert (facts.modality, facts.image_type) == ("CT", ("ORIGINAL", "PRIMARY", "AXIAL"))
    assert (facts.body_part, facts.study_description) == ("HEAD", "TRAUMA")
    assert facts.description == "BRAIN 5MM / Head"
    assert facts.kernel == "Hr40f\\2"
    assert (facts.series_number, facts.instance_number, facts.acquisition_number) == (2, 7, 1)
    assert facts.thickness_mm == 5
    assert facts.orientation == (1, 0, 0, 0, 1, 0)
    assert facts.positions == ((0, 0, 35),)
    assert facts.contrast_agent == "NONE"
    assert facts.has_rescale
    assert not facts.is_lossy
    assert (facts.study_date, facts.expected_count) == ("20240229", 28)
    assert facts.accession_key == accession_key("A1")


def test_facts_read_from_bytes_and_facts_set_in_code_are_the_same(make_slice):
    ds = make_slice(3, SeriesDescription="BRAIN", ConvolutionKernel=["A", "B"])

    assert facts_of(ds) == facts_of(read_header(BytesIO(encode(ds, False, True)), EXPLICIT))


@pytest.mark.parametrize(
    ("values", "field", "expected"),
    [
        ({"InstanceNumber": b""}, "instance_number", None),
        ({"InstanceNumber": b"   "}, "instance_number", None),
        ({"InstanceNumber": b"12abc"}, "instance_number", None),
        ({"InstanceNumber": b"3.0"}, "instance_number", 3),
        ({"InstanceNumber": b"99999999999999"}, "instance_number", None),
        ({"SliceThickness": b"5,0"}, "thickness_mm", None),
        ({"SliceThickness": b"0"}, "thickness_mm", None),
        ({"SliceThickness": b"nan"}, "thickness_mm", None),
        ({"SliceThickness": b"5.0\\5.0"}, "thickness_mm", 5.0),
        ({"ImagePositionPatient": b"1\\2"}, "positions", ()),
        ({"ImagePositionPatient": b"1\\2\\inf"}, "positions", ()),
        ({"ImageOrientationPatient": b"1\\0\\0\\0\\1"}, "orientation", None),
        ({"StudyDate": b"2024.01.01"}, "study_date", ""),
        ({"AccessionNumber": b""}, "accession_key", ""),
        ({"ImagesInAcquisition": b"0"}, "expected_count", None),
        ({"NumberOfSeriesRelatedInstances": b"28", "ImagesInAcquisition": b"200"}, "expected_count", 28),
        ({"LossyImageCompression": b"01"}, "is_lossy", True),
        ({"SeriesDescription": b"HEAD\0"}, "description", "HEAD"),
    ],
)
def test_odd_values_count_as_absent(values, field, expected):
    assert getattr(facts_of(raw(**values)), field) == expected


@pytest.mark.parametrize(
    ("character_set", "encoded"),
    [
        (b"GB18030", "头颅骨窗".encode("gb18030")),
        (b"GBK", "头颅骨窗".encode("gbk")),
        (b"ISO_IR 192", "头颅骨窗".encode()),
        (b"", "头颅骨窗".encode("gb18030")),
        (b"GB2312", "头颅骨窗".encode("gb2312")),
        (b"ISO_IR 100", "头颅骨窗".encode("gb18030")),
        (b"\\ISO 2022 IR 58", b"\x1b$)A" + "头颅骨窗".encode("gb2312")),
        (b"NO SUCH SET", "头颅骨窗".encode()),
    ],
)
def test_descriptions_are_read_in_the_character_sets_of_real_scanners(character_set, encoded):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        facts = facts_of(raw(SpecificCharacterSet=character_set, SeriesDescription=encoded))

    if character_set == b"ISO_IR 100":
        assert facts.description  # mislabelled: Latin-1 reads anything, so nothing can be known
    else:
        assert facts.description == "头颅骨窗"


@pytest.mark.parametrize("thickness", [b"1e-320", b"0.0009", b"1001", b"-5", b"0", b"nan", b"inf", b"1e400"])
def test_a_thickness_that_cannot_be_meant_counts_as_absent(thickness):
    assert facts_of(raw(SliceThickness=thickness)).thickness_mm is None


@pytest.mark.parametrize("thickness", [b"0.001", b"0.5", b"1000"])
def test_a_thickness_that_may_be_meant_is_kept(thickness):
    assert facts_of(raw(SliceThickness=thickness)).thickness_mm == float(thickness)


@pytest.mark.parametrize("z", [b"1e30", b"-100001", b"nan", b"-inf"])
def test_a_position_that_cannot_be_meant_counts_as_absent(z):
    assert facts_of(raw(ImagePositionPatient=b"0\\0\\" + z)).positions == ()
    assert facts_of(raw(ImagePositionPatient=b"0\\0\\-1e5")).positions == ((0, 0, -1e5),)


@pytest.mark.parametrize("cosine", [b"1e200", b"-1.1", b"nan"])
def test_an_orientation_that_cannot_be_meant_counts_as_absent(cosine):
    assert facts_of(raw(ImageOrientationPatient=cosine + b"\\0\\0\\0\\1\\0")).orientation is None


def test_items_where_the_standard_has_a_text_say_nothing():
    item = Dataset({Tag("PatientName"): RawDataElement(Tag("PatientName"), "UL", 3, b"abc", 0, False, True)})
    ds = Dataset()
    for keyword in ("ImagePositionPatient", "SeriesDescription", "PatientID"):
        ds.add_new(keyword, "SQ", [item])

    assert facts_of(ds) == facts_of(Dataset())


@pytest.mark.parametrize("filler", [b"x", b"\\", " 头".encode()])
def test_a_text_longer_than_any_counts_as_absent(filler):
    longest = (b"HEAD" + filler * LONGEST_TEXT_BYTES)[:LONGEST_TEXT_BYTES]
    keywords = ("ImageType", "SeriesDescription", "ImagePositionPatient", "PatientID", "PatientName", "StudyDate")

    assert facts_of(raw(**dict.fromkeys(keywords, longest + b" "))) == facts_of(Dataset())
    assert facts_of(raw(SeriesDescription=longest)).description.startswith("HEAD")
    assert facts_of(raw(ImageType=longest)).image_type[0].startswith("HEAD")


def test_a_long_value_where_the_standard_has_items_is_not_taken_apart():
    """Of 64 KB of a Decimal String pydicom makes 13 MB of numbers, and a frame may have one."""
    per_frame = RawDataElement(Tag("PerFrameFunctionalGroupsSequence"), "DS", 64_000, b"1\\" * 32_000, 0, False, True)
    ds = Dataset({per_frame.tag: per_frame})

    assert facts_of(ds) == facts_of(Dataset())
    assert ds.get_item(per_frame.tag) is per_frame


def test_two_patients_are_told_apart_and_not_named():
    one = facts_of(raw(PatientID=b"4711"))
    padded = facts_of(raw(PatientID=b"4711 "))
    elsewhere = facts_of(raw(PatientID=b"4711", IssuerOfPatientID=b"OTHER"))

    assert one.patient_key == padded.patient_key != elsewhere.patient_key
    assert "4711" not in repr(one)


def item(**elements):
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize(("frames", "positions"), [(12, 12), (13, 0)])
def test_positions_of_more_frames_than_any_image_has_count_as_absent(frames, positions, monkeypatch):
    monkeypatch.setattr("ichnode.receive.header.MOST_POSITIONS", 12)
    groups = [item(PlanePositionSequence=Sequence([item(ImagePositionPatient=[0, 0, z])])) for z in range(frames)]

    assert len(facts_of(item(PerFrameFunctionalGroupsSequence=Sequence(groups))).positions) == positions


def test_an_enhanced_image_gives_the_positions_of_all_its_frames():
    ds = item(
        Modality="CT",
        SharedFunctionalGroupsSequence=Sequence(
            [
                item(
                    PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
                    PixelMeasuresSequence=Sequence([item(SliceThickness=1)]),
                    CTReconstructionSequence=Sequence([item(ConvolutionKernel="UB")]),
                    PixelValueTransformationSequence=Sequence(
                        [item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")]
                    ),
                )
            ]
        ),
        PerFrameFunctionalGroupsSequence=Sequence(
            [item(PlanePositionSequence=Sequence([item(ImagePositionPatient=[0, 0, z])])) for z in range(12)]
        ),
        ContrastBolusAgentSequence=Sequence([item(CodeMeaning="Iohexol")]),
    )

    facts = facts_of(read_header(BytesIO(encode(ds, False, True)), EXPLICIT))

    assert facts.positions == tuple((0, 0, z) for z in range(12))
    assert (facts.thickness_mm, facts.kernel, facts.rescale_type) == (1, "UB", "HU")
    assert facts.orientation == (1, 0, 0, 0, 1, 0)
    assert facts.has_rescale
    assert facts.contrast_agent == "Iohexol"
    assert facts.expected_count == 1


KEYWORDS = [
    "Modality", "ImageType", "InstanceNumber", "SliceThickness", "ImagePositionPatient", "ImageOrientationPatient",
    "SpecificCharacterSet", "SeriesDescription", "StudyDate", "PatientID", "ConvolutionKernel", "ImagesInAcquisition",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "ContrastBolusAgentSequence",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(KEYWORDS), st.binary(max_size=64)))
def test_no_bytes_whatever_make_it_raise(values):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        facts_of(raw(**values))


def test_a_person_is_known_by_name_and_birth_date_each_for_itself(make_slice):
    def key(name, birth_date):
        ds = make_slice(0)
        ds.PatientName, ds.PatientBirthDate = name, birth_date
        return facts_of(ds).person_key

    both, name_alone, date_alone = key("Doe^Jane", "19500101"), key("DOE^JANE^^", ""), key("", "19500101")
    assert both == name_alone.removesuffix("/") + date_alone
    assert key("", "") == ""
    assert key("Roe^Jane", "") != name_alone
    assert len(both) <= 64
    assert "Doe" not in both
