"""rules test, analyse, send, echo, and replay from a folder or a PACS: real images, real associations."""

import shutil
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import SecondaryCaptureImageStorage
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as Get

from ichnode.cli.context import Exit

HEAD = Path(__file__).parents[3] / "ichnode/demo/head-ct"
_FIRST = dcmread(HEAD / "01.dcm", stop_before_pixels=True)
HEAD_STUDY, HEAD_SERIES = str(_FIRST.StudyInstanceUID), str(_FIRST.SeriesInstanceUID)


@pytest.fixture
def few(tmp_path):
    """Three slices of the head that ships: too few to be analysed."""
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("10.dcm", "11.dcm", "12.dcm"):
        shutil.copy(HEAD / name, folder)
    return folder


def test_of_a_study_as_a_pacs_sends_it_exactly_the_5_mm_series_is_analysed(ichnode, philips):
    rows = ichnode("rules", "test", philips, "--json").json
    decided = {row["description"]: row["decision"] for row in rows}
    assert len(rows) == 5
    assert [name for name, decision in decided.items() if decision == "analyse"] == ["STD BRAIN 5MM"]
    assert all(row["text"].startswith("not analysed: ") for row in rows if row["decision"] == "skip")

    said = ichnode("rules", "test", philips)

    assert said.code == Exit.OK
    assert "analysed: best of 3 candidates (5 mm, 28 slices, kernel UB)" in said.out
    assert "not analysed: bone kernel YA; soft-tissue series 201 of the same study chosen" in said.out


def test_rules_test_answers_no_when_nothing_would_be_analysed(ichnode, few, tmp_path):
    said = ichnode("rules", "test", few)
    assert said.code == Exit.NO
    assert "not analysed: only 3 slices, at least 10 are needed" in said.out
    (tmp_path / "empty").mkdir()
    empty = ichnode("rules", "test", tmp_path / "empty")
    assert empty.code == Exit.NO
    assert "holds no DICOM image" in empty.err


def test_rules_test_takes_the_rules_of_the_configuration_and_the_calling_title(ichnode, config):
    rule = '[[rule]]\nname = "er"\nwhy = "not from {calling_ae}"\ncalling_ae = ["ER*"]\n'
    config.write_text(config.read_text() + rule)
    assert ichnode("rules", "test", HEAD).code == Exit.OK
    said = ichnode("rules", "test", HEAD, "--calling-ae", "ER2")
    assert (said.code, "not analysed: not from ER2" in said.out) == (Exit.NO, True)


def test_analyse_writes_the_objects_to_a_folder(ichnode, tmp_path):
    """The whole analysis with the weights and the head that ship. Slow: the network is converted and run on the CPU."""
    out = tmp_path / "out"
    said = ichnode("analyse", HEAD, "--out", out, "--json")
    assert said.code == Exit.OK
    (row,) = said.json
    assert row["state"] == "done"
    assert row["volume_ml"] > 1
    assert {"QF_TILT", "QF_UNEQUAL"} <= set(row["flags"])
    classes = [dcmread(path).SOPClassUID.name for path in row["objects"]]
    assert classes[:2] == ["Segmentation Storage", "Comprehensive 3D SR Storage"]
    assert set(classes[2:]) == {"Secondary Capture Image Storage"}


def test_analyse_says_why_nothing_is_to_be_analysed(ichnode, few, tmp_path):
    said = ichnode("analyse", few, "--out", tmp_path / "out")
    assert said.code == Exit.REJECTED
    assert "series 501" in said.err or "only 3 slices" in said.err
    assert not (tmp_path / "out").exists()


def test_analyse_with_weights_that_are_not_there_is_a_configuration_error(ichnode, tmp_path):
    (tmp_path / "weights").mkdir()
    said = ichnode("analyse", HEAD, "--out", tmp_path / "out", "--weights", tmp_path / "weights")
    assert said.code == Exit.USAGE
    assert "card.toml" in said.err


def test_send_brings_every_file_of_a_folder_to_a_peer(ichnode, start_scp):
    port, received = start_scp()
    said = ichnode("send", HEAD, f"127.0.0.1:{port}", "--called", "PACS")
    assert (said.code, said.out) == (Exit.OK, f"28 of 28 files arrived at 127.0.0.1:{port}.\n")
    assert len(set(received)) == 28


def test_send_counts_what_did_not_arrive_by_reason(ichnode, start_scp, few):
    picture = dcmread(few / "10.dcm")
    picture.SOPClassUID = picture.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    picture.save_as(few / "10.dcm")
    port, received = start_scp()
    said = ichnode("send", few, f"127.0.0.1:{port}", "--called", "PACS", "--json")
    assert said.code == Exit.NO
    reason = "Secondary Capture Image Storage: the SOP class is not supported"
    assert said.json == {"files": 3, "sent": 2, "not_sent": {reason: 1}}
    assert len(received) == 2


def test_send_passes_over_what_is_no_dicom_in_a_folder_but_not_what_was_named(ichnode, start_scp, few, tmp_path):
    notes = few / "notes.txt"
    notes.write_text("no DICOM")
    port, _ = start_scp()
    assert ichnode("send", few, f"127.0.0.1:{port}", "--called", "PACS").out.startswith("3 of 3 files arrived")
    named = ichnode("send", notes, f"127.0.0.1:{port}", "--called", "PACS")
    assert (named.code, "1 not: notes.txt is not a DICOM file" in named.out) == (Exit.NO, True)
    (tmp_path / "empty").mkdir()
    empty = ichnode("send", tmp_path / "empty", f"127.0.0.1:{port}")
    assert (empty.code, "holds no DICOM file" in empty.err) == (Exit.NO, True)


def test_send_to_nobody_says_so_once(ichnode, few, free_port):
    said = ichnode("send", few, f"127.0.0.1:{free_port}")
    assert said.code == Exit.NO
    assert said.out.splitlines() == [
        f"0 of 3 files arrived at 127.0.0.1:{free_port}.",
        f"  3 not: no connection to 127.0.0.1:{free_port}: refused, or no route",
    ]


def test_echo_asks_every_peer_of_the_configuration_or_one_by_name_or_address(ichnode, add_remote, start_scp, free_port):
    port, _ = start_scp()
    add_remote("destination", port, name="archive")
    add_remote("pacs", free_port, name="gone")
    every = ichnode("echo")
    assert every.code == Exit.NO
    assert "archive answers (" in every.out
    assert f"gone: no connection to 127.0.0.1:{free_port}" in every.out
    assert ichnode("echo", "archive").code == Exit.OK
    assert ichnode("echo", f"127.0.0.1:{port}", "--called", "PACS", "--json").json[f"127.0.0.1:{port}"]["ok"] is True
    wrong_title = ichnode("echo", f"127.0.0.1:{port}", "--called", "OTHER")
    assert wrong_title.code == Exit.NO
    assert "it does not know the called AE title OTHER" in wrong_title.out
    assert wrong_title.out.endswith("\n      -> Check the peer's ae_title.\n")
    unknown = ichnode("echo", "nobody")
    assert unknown.code == Exit.USAGE
    assert "Configured: archive, gone." in unknown.err


def test_a_dry_replay_of_a_folder_tells_what_would_become_of_it(ichnode, philips):
    said = ichnode("replay", "--folder", philips, "--dry-run", "--why", "--json")
    assert said.code == Exit.OK
    assert [row["analysed"] for row in said.json] == [False, True, False, False, False]
    assert ichnode("status", "--json").json["instances"] == 0


def test_a_replay_of_a_folder_takes_it_in_and_queues_the_chosen_series(ichnode):
    said = ichnode("replay", "--folder", HEAD, "--no-wait", "--json")
    assert said.code == Exit.OK
    assert [row["job"] for row in said.json] == [1]
    status = ichnode("status", "--json").json
    assert (status["instances"], status["jobs"]) == (28, {"queued": 1})


def test_a_replay_of_a_folder_names_the_files_that_it_could_not_take(ichnode, few):
    (few / "notes.txt").write_text("no DICOM")
    said = ichnode("replay", "--folder", few, "--no-wait", "--why")
    assert said.code == Exit.NO
    assert f"{few / 'notes.txt'}: The file is not a DICOM file." in said.err
    assert "no job: not analysed: only 3 slices, at least 10 are needed" in said.out


@pytest.fixture
def pacs(start_scp, add_remote):
    """A PACS that holds the head that ships, and answers C-FIND and C-GET."""

    def on_find(event):
        match = Dataset()
        match.StudyInstanceUID = HEAD_STUDY
        match.NumberOfStudyRelatedInstances = 28
        match.Modality = "CT"
        match.SeriesInstanceUID = HEAD_SERIES
        if event.identifier.QueryRetrieveLevel == "SERIES":
            other = Dataset()
            other.SeriesInstanceUID, other.Modality = "1.2.3", "SR"  # a dose report: not to be pulled
            yield 0xFF00, other
        if event.identifier.StudyInstanceUID in ("", HEAD_STUDY):
            yield 0xFF00, match

    def on_get(event):
        assert event.identifier.SeriesInstanceUID == HEAD_SERIES
        paths = sorted(HEAD.glob("*.dcm"))
        yield len(paths)
        for path in paths:
            yield 0xFF00, dcmread(path)

    port, _ = start_scp((evt.EVT_C_FIND, on_find), (evt.EVT_C_GET, on_get), classes=(Find, Get))
    add_remote("pacs", port)


@pytest.mark.usefixtures("pacs")
def test_a_replay_from_a_pacs_pulls_the_study_and_queues_it(ichnode):
    dry = ichnode("replay", HEAD_STUDY, "--from-pacs", "pacs", "--dry-run")
    assert (dry.code, dry.out) == (Exit.OK, f"{HEAD_STUDY}: 28 images would be pulled from pacs\n")
    assert ichnode("status", "--json").json["instances"] == 0

    said = ichnode("replay", "--since", "2020-01-01", "--from-pacs", "pacs", "--no-wait", "--json")

    assert said.code == Exit.OK
    assert [(row["study"], row["job"]) for row in said.json] == [(HEAD_STUDY, 1)]
    assert ichnode("status", "--json").json["instances"] == 28


@pytest.mark.usefixtures("pacs")
def test_a_replay_from_a_pacs_needs_one_that_is_configured_and_a_study_that_it_has(ichnode):
    unknown = ichnode("replay", "1.2", "--from-pacs", "nowhere")
    assert unknown.code == Exit.USAGE
    assert "No [[pacs]] is called nowhere." in unknown.err
    missing = ichnode("replay", "9.9.9", "--from-pacs", "pacs")
    assert missing.code == Exit.NO
    assert "pacs has no such study." in missing.err
    everything = ichnode("replay", "--state", "done", "--from-pacs", "pacs")
    assert everything.code == Exit.USAGE


def test_a_pacs_that_does_not_answer_is_tried_again_later(ichnode, add_remote, free_port):
    add_remote("pacs", free_port)
    said = ichnode("replay", "1.2", "--from-pacs", "pacs")
    assert said.code == Exit.LATER
    assert f"no connection to 127.0.0.1:{free_port}" in said.err
