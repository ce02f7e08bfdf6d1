import pytest

from ichnode.domain.states import Decision
from ichnode.receive.rules import DEFAULT_RULES, Rule
from ichnode.receive.scan import scan
from ichnode.receive.select import Preference


@pytest.fixture
def write(tmp_path, make_slice):
    """Writes one series of 12 slices below a folder."""

    def _write(series, count=12, **elements):
        for number in range(1, count + 1):
            path = tmp_path / f"s{series}" / f"{number}.dcm"
            path.parent.mkdir(exist_ok=True)
            make_slice(number, series=series, **elements).save_as(path, enforce_file_format=True)
        return tmp_path

    return _write


def test_a_folder_is_decided_as_the_study_would_be(write):
    write(1, count=2)
    write(2)
    folder = write(3, SliceThickness=1)

    scanned = scan(folder, DEFAULT_RULES, Preference())

    assert [(s.facts.number, s.decision) for s in scanned] == [
        (1, Decision.SKIP),
        (2, Decision.ANALYSE),
        (3, Decision.SKIP),
    ]
    assert [len(s.files) for s in scanned] == [2, 12, 12]
    assert scanned[0].text == "not analysed: only 2 slices, at least 10 are needed"


def test_two_studies_in_one_folder_are_decided_apart(write):
    write(1)
    folder = write(2, StudyInstanceUID="1.2.9")

    assert [s.decision for s in scan(folder, DEFAULT_RULES, Preference())] == [Decision.ANALYSE] * 2


def test_other_files_are_passed_over(write, tmp_path):
    write(1)
    (tmp_path / "notes.txt").write_text("not DICOM")
    (tmp_path / "empty").touch()

    assert len(scan(tmp_path, DEFAULT_RULES, Preference())) == 1


def test_missing_slices_show(write, tmp_path):
    write(1)
    (tmp_path / "s1" / "5.dcm").unlink()

    (series,) = scan(tmp_path, DEFAULT_RULES, Preference())

    assert series.facts.missing == 1
    assert "1 slice missing" in series.text


def test_the_sender_can_be_assumed(write):
    folder = write(1)
    rule = Rule(name="r", why="from {calling_ae}", calling_ae=("CT1",))

    assert scan(folder, [rule], Preference(), calling_ae="CT1")[0].text == "not analysed: from CT1"
    assert scan(folder, [rule], Preference())[0].decision is Decision.ANALYSE


def test_the_real_studies_are_decided_rightly(data):
    philips = {s.facts.number: s.decision for s in scan(data / "dicom" / "philips-study", DEFAULT_RULES, Preference())}
    (ge,) = scan(data / "dicom" / "ge-tilt", DEFAULT_RULES, Preference())

    assert [number for number, decision in philips.items() if decision is Decision.ANALYSE] == [201]
    assert sorted(philips) == [100, 201, 202, 203, 401]
    assert (ge.decision, ge.facts.missing) == (Decision.ANALYSE, 0)
