"""Negative controls: objects broken on purpose, each of which some judge must not let pass."""

import copy
import warnings
from pathlib import Path

import pytest
from pydicom import Dataset

from ichnode.report.accord import check_together
from ichnode.report.build import build_result
from ichnode.report.gate import NotConformant
from tests.peers.breaks import BREAKS, ONE_UID
from tests.peers.judges import JUDGES
from tests.peers.spoil import lenient

Result = dict[str, Dataset]
PAGE = Path(__file__).resolve().parents[3] / "docs/explanation/validation.md"
TOGETHER = "together"  # the name of accord.check_together among the judges


@pytest.fixture(scope="module")
def sound(make_case, installation, at) -> Result:
    case = make_case("axial")
    built = build_result(case.source, case.findings, installation, at)
    return {f"SC {one.number}" if one.kind == "SC" else str(one.kind): one.dataset for one in built}


@pytest.fixture(scope="module")
def broken(sound) -> dict[str, Dataset]:
    """The broken object of every line of BREAKS, and the sound ones, by name."""
    objects = {f"sound {kind}": sound[kind] for kind in ("SEG", "SR", "SC 1", "SC 2")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what is broken on purpose
        for each in BREAKS:
            objects[each.name] = copy.deepcopy(sound[each.kind])
            if each.name == ONE_UID:
                objects[each.name].SOPInstanceUID = sound["SC 1"].SOPInstanceUID
            else:
                each.spoil(objects[each.name])
    return objects


@pytest.fixture(scope="module")
def complaints(broken, tmp_path_factory) -> dict[tuple[str, str], list[str]]:
    """(judge, name) -> what the judge holds against the object; each is asked about its breaks and the sound ones."""
    folder, paths = tmp_path_factory.mktemp("broken"), {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, (name, dataset) in enumerate(broken.items()):
            paths[name] = folder / f"{number:03d}.dcm"
            paths[name].write_bytes(lenient(dataset))
    names = {path: name for name, path in paths.items()}
    found = {}
    for judge in JUDGES:
        asked = [name for name in paths if name.startswith("sound ")]
        asked += [each.name for each in BREAKS if judge.name in each.noticed_by.split(", ")]
        for path, said in judge([paths[name] for name in asked]).items():
            found[judge.name, names[path]] = said
    return found


@pytest.mark.parametrize("each", BREAKS, ids=[each.name for each in BREAKS])
def test_a_break_is_noticed_by_those_who_can(each, complaints, broken, sound):
    judges = each.noticed_by.split(", ")
    assert [judge for judge in judges if judge != TOGETHER and not complaints[judge, each.name]] == []
    if TOGETHER in judges:
        with pytest.raises(NotConformant):
            check_together([broken[each.name] if kind == each.kind else whole for kind, whole in sound.items()])


def test_nobody_holds_anything_against_the_unbroken_objects(complaints, sound):
    assert {key: said for key, said in complaints.items() if key[1].startswith("sound ") and said} == {}
    check_together(list(sound.values()))


def test_the_node_itself_notices_every_break_before_it_sends():
    """Others check in our tests; what leaves a hospital's node has passed the gate and accord alone."""
    unnoticed = [each.name for each in BREAKS if not {"gate", TOGETHER} & set(each.noticed_by.split(", "))]
    assert unnoticed == ["header names another instance"]  # which the gate's own encoding writes anew


def test_the_page_on_validation_has_this_table():
    page = PAGE.read_text()
    missing = [f"| {each.name} | {each.kind} | {each.noticed_by} |" for each in BREAKS]
    assert [line for line in missing if line not in page] == []
