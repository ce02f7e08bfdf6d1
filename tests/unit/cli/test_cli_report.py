"""ichnode show --report: what the stored report says, as text and as HTML."""

from datetime import datetime

import pytest
from pydicom import Dataset
from sqlalchemy import update

from ichnode.app.wire import open_database_of, store_of
from ichnode.cli.context import Exit
from ichnode.config.file import load_config
from ichnode.domain.figures import Figures
from ichnode.domain.outputs import ObjectKind
from ichnode.domain.states import JobState
from ichnode.queue.jobs import claim, finish, replay
from ichnode.queue.tables import OUTPUTS
from ichnode.report.build import build_not_analysed
from ichnode.report.gate import encode
from ichnode.report.inputs import Installation
from tests.unit.cli.conftest import report

SERIES, STUDY = "1.2.3", "1.2"


def store(config, name: str, words: str) -> None:
    """A report that says why a series was not analysed, put into the store."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.1"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.Modality = STUDY, SERIES, "CT"
    image.PatientName = "Somebody^Else"
    here = Installation(device_serial="X", node_version="1.0")
    built = build_not_analysed([image], words, [], here, datetime(2026, 1, 5))
    [document] = [item.dataset for item in built if item.kind is ObjectKind.SR]
    path = store_of(load_config(config)).resolve(f"outputs/{name}.dcm")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(document))


@pytest.fixture
def stored(config, add_job):
    """A job that is done, whose report lies in the store."""
    add_job(SERIES, "done")
    store(config, f"{SERIES}.99", "contrast agent given")


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("what", ["1", STUDY, SERIES])
def test_the_report_is_read_from_the_store_by_job_study_or_series(ichnode, what):
    said = ichnode("show", what, "--report")

    assert said.code == Exit.OK
    assert "Not analysed: contrast agent given" in said.out
    assert "RESEARCH ONLY" in said.out
    assert "Somebody" not in said.out


@pytest.mark.usefixtures("stored")
def test_the_same_report_is_had_as_a_page(ichnode):
    said = ichnode("show", STUDY, "--report", "--html")

    assert said.code == Exit.OK
    assert said.out.startswith("<!doctype html>")
    assert "contrast agent given" in said.out


def test_the_report_that_holds_is_shown_though_an_earlier_job_made_it(ichnode, config, add_job):
    """The third job came to the words of the first again: it has no object of its own, and takes the second back."""
    add_job(SERIES)
    db = open_database_of(load_config(config))
    for now, name in ((2000, "9.1"), (2010, "9.2"), (2020, "9.1")):
        store(config, name, f"the words of {name}")
        lease = claim(db, owner="w", now=now, lease_s=60, max_attempts=1)
        figures = Figures(volume_ml=1.0, report_uid=name)
        finish(
            db, lease, JobState.DONE, outputs=[report(name)], routes=[], reason="", now=now + 1, figures=figures
        )  # fmt: skip
        replay(db, [lease.series_id], weights=None, now=now + 2)
    db.close()

    said = {what: ichnode("show", what, "--report").out for what in (STUDY, "1", "2", "3")}

    words = {what: {name for name in ("9.1", "9.2") if f"the words of {name}" in out} for what, out in said.items()}
    assert words == {STUDY: {"9.1"}, "1": {"9.1"}, "2": {"9.2"}, "3": {"9.1"}}
    assert ichnode("show", "4", "--report").code == Exit.NO  # it has not begun


@pytest.mark.usefixtures("stored")
def test_html_alone_means_the_report(ichnode):
    assert ichnode("show", STUDY, "--html").out.startswith("<!doctype html>")


def test_where_there_is_no_report_the_answer_is_no(ichnode, add_job):
    add_job(SERIES)

    said = ichnode("show", STUDY, "--report")

    assert said.code == Exit.NO
    assert "no report" in said.err


@pytest.mark.usefixtures("stored")
def test_a_file_that_is_gone_is_told_and_no_defect(ichnode, config):
    store_of(load_config(config)).resolve(f"outputs/{SERIES}.99.dcm").unlink()

    said = ichnode("show", STUDY, "--report")

    assert said.code == Exit.LATER
    assert "No such file" in said.err


@pytest.mark.usefixtures("stored")
def test_a_report_that_retention_deleted_is_told_with_the_day_and_how_to_make_it_anew(ichnode, config):
    db = open_database_of(load_config(config))
    with db.write() as connection:
        connection.execute(update(OUTPUTS).values(purged_at=1795305600.0))
    db.close()

    said = ichnode("show", STUDY, "--report")

    assert said.code == Exit.NO
    assert "The report is no longer kept here: retention deleted it on 2026-11-2" in said.err
    assert f"ichnode replay {STUDY} --from-pacs NAME" in said.err
