"""Dirty headers: what the PACS matches by goes over byte for byte, what would be invalid is left empty."""

import warnings
from dataclasses import replace

import pytest
from pydicom import Dataset, dcmread

from ichnode.report import gate
from ichnode.report.build import build_not_analysed, build_result
from ichnode.report.header import graft
from ichnode.report.stated import raw_value

CHINESE = "Wang^XiaoDong=王^小东"


def written(dataset, installation, at, tmp_path):
    """The file of a report about ``dataset``, and that file as read."""
    report, _ = build_not_analysed([dataset], "test", [], installation, at)
    return filed(report.dataset, tmp_path)


def filed(dataset, tmp_path):
    """The bytes of an object's file, and that file as read."""
    gate.check(dataset)
    path = tmp_path / "out.dcm"
    path.write_bytes(gate.encode(dataset))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a character set that nobody knows
        return path.read_bytes(), dcmread(path)


@pytest.mark.parametrize("character_set", ["GB18030", "ISO_IR 192", "GBK"])
def test_a_chinese_name_is_read_back_as_it_was(scout, put_chinese, installation, at, tmp_path, character_set):
    put_chinese(scout, character_set)

    _, read = written(scout, installation, at, tmp_path)

    assert (str(read.PatientName), read.StudyDescription) == (CHINESE, "头颅CT平扫")


@pytest.mark.parametrize("character_set", ["GB18030", "ISO_IR 192", ["", "ISO 2022 IR 58"]])
def test_every_object_and_page_has_the_chinese_name_of_its_source(
    make_case, put_chinese, installation, at, tmp_path, character_set
):
    everything = make_case("everything")
    for image in everything.source.datasets:
        put_chinese(image, character_set)

    built = build_result(everything.source, everything.findings, installation, at)
    built += build_not_analysed(everything.source.datasets, "test", [], installation, at)

    for item in built:
        raw, read = filed(item.dataset, tmp_path)
        assert raw_value(everything.source.images[0], "PatientName") in raw
        assert str(read.PatientName).startswith("Wang^XiaoDong=")


def test_an_accented_name_goes_over_and_our_words_stay_ascii(make_case, installation, at, tmp_path):
    everything = make_case("everything")
    for image in everything.source.datasets:
        image.PatientName, image.StudyDescription = "Müller^Zoë", "Schädel-CT"
    marker = replace(everything.findings.markers[0], reason="größer als 9 mm²")
    findings = replace(everything.findings, markers=(marker,))

    for item in build_result(everything.source, findings, installation, at):
        raw, read = filed(item.dataset, tmp_path)
        assert str(read.PatientName) == "Müller^Zoë"
        assert "größer".encode("latin-1") not in raw


def test_escape_sequences_of_iso_2022_go_over_untouched(scout, put_chinese, installation, at, tmp_path):
    put_chinese(scout, ["", "ISO 2022 IR 58"])

    raw, read = written(scout, installation, at, tmp_path)

    assert list(read.SpecificCharacterSet) == ["", "ISO 2022 IR 58"]
    assert b"Wang^XiaoDong=\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1\xb6\xab" in raw


@pytest.mark.parametrize("declared", [None, "GB2312", "GBK", "ISO_IR 192", "NOBODY_KNOWS"])
def test_bytes_are_carried_whatever_character_set_is_declared(scout, put_bytes, installation, at, tmp_path, declared):
    name = CHINESE.encode("gbk")
    del scout.SpecificCharacterSet
    if declared is not None:
        put_bytes(scout, "SpecificCharacterSet", "CS", declared.encode())
    study = "头颅".encode("gbk")
    put_bytes(scout, "PatientName", "PN", name)
    put_bytes(scout, "StudyDescription", "LO", study)

    raw, _ = written(scout, installation, at, tmp_path)

    assert name in raw
    assert study in raw


def test_a_name_that_someone_has_looked_at_keeps_its_bytes(scout, put_bytes, installation, at, tmp_path):
    del scout.SpecificCharacterSet
    name = CHINESE.encode("gbk")
    put_bytes(scout, "PatientName", "PN", name)
    put_bytes(scout, "PatientID", "LO", "号1".encode("gbk"))
    assert scout.PatientName
    assert scout.PatientID

    raw, _ = written(scout, installation, at, tmp_path)

    assert name in raw
    assert "号1".encode("gbk") in raw


def test_the_wrong_name_of_gb2312_is_made_right(scout, put_bytes, installation, at, tmp_path):
    put_bytes(scout, "SpecificCharacterSet", "CS", b"GB2312")
    put_bytes(scout, "PatientName", "PN", CHINESE.encode("gb2312"))

    _, read = written(scout, installation, at, tmp_path)

    assert read.SpecificCharacterSet == "GB18030"
    assert str(read.PatientName) == CHINESE


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("PatientSex", "CS", b"U "),
        ("PatientBirthDate", "DA", b"19501301"),
        ("StudyDate", "DA", b"2026.01.05"),
        ("StudyTime", "TM", b"25:00"),
        ("PatientAge", "AS", b"76"),
        ("PatientWeight", "DS", b"80 kg"),
    ],
)
def test_a_value_that_would_be_invalid_is_left_empty(scout, put_bytes, installation, at, tmp_path, keyword, vr, value):
    put_bytes(scout, keyword, vr, value)

    _, read = written(scout, installation, at, tmp_path)

    assert raw_value(read, keyword) == b""


def test_missing_identity_becomes_empty_attributes(scout, installation, at, tmp_path):
    for keyword in ("PatientName", "PatientID", "StudyDate", "AccessionNumber", "ReferringPhysicianName"):
        delattr(scout, keyword)

    _, read = written(scout, installation, at, tmp_path)

    assert "AccessionNumber" in read
    assert raw_value(read, "PatientName") == b""


def test_the_issuers_go_along(scout):
    issuer = Dataset()
    issuer.LocalNamespaceEntityID = "HOSPITAL"
    scout.IssuerOfAccessionNumberSequence = [issuer]
    target = Dataset()

    graft(target, scout)

    assert target.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "HOSPITAL"


def test_a_sequence_with_other_letters_is_left_out_rather_than_spoilt(scout, put_bytes):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "头颅"
    scout.SpecificCharacterSet, scout.ProcedureCodeSequence = "GB18030", [code]
    put_bytes(code, "CodeMeaning", "LO", "头颅".encode("gb18030"))
    target = Dataset()

    graft(target, scout)

    assert "ProcedureCodeSequence" not in target


def test_a_scanner_that_does_not_name_itself_in_ascii_is_left_out(scout, installation, at, tmp_path):
    scout.SpecificCharacterSet, scout.Manufacturer = "GB18030", "东软"

    _, read = written(scout, installation, at, tmp_path)

    purposes = [item.PurposeOfReferenceCodeSequence[0].CodeValue for item in read.ContributingEquipmentSequence]
    assert purposes == ["109102", "109102"]


def test_the_source_is_left_as_it_was(make_case, installation, at):
    datasets = make_case("gb18030").source.datasets
    before = [str(ds) for ds in datasets]

    build_not_analysed(datasets, "test", [], installation, at)

    assert [str(ds) for ds in datasets] == before
