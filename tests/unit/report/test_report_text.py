"""A stored report as it is read by people: as text and as a page of HTML."""

from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import pytest
from pydicom import dcmread

from ichnode.domain.markers import Bat
from ichnode.domain.outputs import ObjectKind, Reference
from ichnode.domain.values import Onset
from ichnode.report.build import build_not_analysed, build_result
from ichnode.report.gate import encode
from ichnode.report.reading import read
from ichnode.report.text import COLUMNS, as_html, as_text


def stored(objects):
    """The report among some objects, as it is read from disk."""
    [report] = [item.dataset for item in objects if item.kind is ObjectKind.SR]
    return dcmread(BytesIO(encode(report)))


@pytest.fixture
def reading(everything, installation, at):
    def reading(**changes):
        findings = replace(everything.findings, **changes)
        return read(stored(build_result(everything.source, findings, installation, at)))

    return reading


def words(text):
    """A line a statement, its columns made one."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_notice_stands_before_any_figure(reading):
    said = words(as_text(reading()))

    assert said.index("RESEARCH ONLY - NOT FOR DIAGNOSTIC USE") == 2
    assert "RESEARCH ONLY" in as_html(reading()).split("</p>")[0]


def test_figures_have_their_units_and_plain_names(reading, everything):
    said = words(as_text(reading()))

    assert f"Volume: {round(everything.findings.volume_ml, 2)} mL" in said
    assert "Volume by ABC/2: 27.34 mL" in said
    assert "Largest diameter: 44.6 mm" in said
    assert "Finding Site: Brain, right" in said
    assert "Separate parts: 1" in said


def test_markers_come_present_ones_first_with_what_they_rest_on(reading):
    said = words(as_text(reading()))
    states = [line[:3] for line in said if line.startswith("[") and "hemorrhage" not in line]

    assert states == ["[x]"] * 3 + ["[?]"] * 2 + ["[ ]"] * 4
    place = said.index("[x] Black hole sign: Present")
    assert said[place + 1 : place + 3] == [
        "seen at the threshold",
        "area 50.3 mm2, difference in attenuation 34 HU, slice 11",
    ]


def test_the_interval_of_the_score_is_told_while_onset_is_unknown(reading):
    unknown = words(as_text(reading()))
    known = words(as_text(reading(bat=Bat(low=4, high=4), onset=Onset(hours=1.5, source="by hand"))))

    assert unknown[unknown.index("BAT score: Undetermined") + 1] == "2 to 4 of 5, risk undetermined, onset unknown"
    assert "BAT score: 4 of 5" in known
    assert "Time from symptom onset to CT: 1.5 h" in known


def test_growth_and_doubts_have_sections_of_their_own(reading):
    made = reading()
    rows = {section.heading: {row.label: row for row in section.rows} for section in made.sections}

    assert rows["Since the earlier scan"]["Expanded (by 6 mL or 33 percent or more)"].value == "Yes"
    assert rows["Since the earlier scan"]["Hematoma volume at baseline"].value == "18.1 mL"
    doubts = [(row.value, row.notes) for row in made.sections[-2].rows if row.label == "Doubt"]
    assert ("Gantry tilt", ("leans by 18.2 degrees",)) in doubts


def test_the_finding_comes_first_and_its_origin_last(reading):
    headings = [section.heading for section in reading().sections]

    assert headings == [
        "The finding",
        "Since the earlier scan",
        "Part ICH 1",
        "Quality and doubts",
        "What was looked at, and by whom",
    ]


def test_parts_are_told_by_their_number(reading, everything):
    [lesion] = everything.findings.lesions
    many = tuple(replace(lesion, number=number) for number in range(1, 12))

    parts = [section.heading for section in reading(lesions=many).sections if section.heading.startswith("Part")]

    assert parts == [f"Part ICH {number}" for number in range(1, 12)]


def test_a_report_on_what_was_not_analysed_says_why(scout, installation, at):
    old = Reference(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34", sop_instance_uid="2.25.1", series_instance_uid="2.25.2"
    )

    said = words(as_text(read(stored(build_not_analysed([scout], "bone kernel", [], installation, at, [old])))))

    assert "Not analysed: bone kernel" in said
    assert "Replaces: 1 earlier report" in said
    assert not any("hemorrhage" in line for line in said)


def test_nothing_of_the_patient_is_told(reading, everything):
    text = as_text(reading()) + as_html(reading())

    header = everything.source.images[0]
    assert not [word for word in (header.PatientID, "Phantom", header.AccessionNumber) if str(word) in text]


def test_text_keeps_to_its_columns_but_never_breaks_a_uid(reading):
    for line in as_text(reading()).splitlines():
        assert len(line) <= COLUMNS or len(line.split()[-1]) > 40


def test_html_is_one_sound_page_with_every_word_escaped(reading, everything):
    evil = replace(everything.findings.markers[0], reason="<script>alert(1)</script> & so on")
    growth = replace(everything.findings.growth, unregistered="<img src=x>")
    page = as_html(reading(markers=(evil,), growth=growth))
    open_tags = []

    class Check(HTMLParser):
        def handle_starttag(self, tag, _):
            if tag not in ("meta", "html"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert tag == "html" or open_tags.pop() == tag

    Check().feed(page)
    assert open_tags == []
    assert "<script>" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_text_and_html_say_the_same(reading):
    made = reading()
    page = as_html(made)

    for section in made.sections:
        for row in section.rows:
            assert row.label in as_text(made)
            assert f">{row.label}</th>" in page
