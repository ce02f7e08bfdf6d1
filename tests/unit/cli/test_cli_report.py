"""ichnode show --report: what the stored report says, as text and as HTML."""

from datetime import datetime

import pytest
from pydicom import Dataset

from ichnode.app import store_of
from ichnode.cli.context import Exit
from ichnode.config_file import load_config
from ichnode.domain.outputs import ObjectKind
from ichnode.report.build import build_not_analysed
from ichnode.report.gate import encode
from ichnode.report.inputs import Installation

SERIES, STUDY = "1.2.3", "1.2"


@pytest.fixture
def stored(config, add_job):
    """A job that is done, whose report lies in the store."""
    add_job(SERIES, "done")
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.1"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.Modality = STUDY, SERIES, "CT"
    image.PatientName = "Somebody^Else"
    here = Installation(device_serial="X", node_version="1.0")
    built = build_not_analysed([image], "contrast agent given", [], here, datetime(2026, 1, 5))
    [report] = [item.dataset for item in built if item.kind is ObjectKind.SR]
    path = store_of(load_config(config)).resolve(f"outputs/{SERIES}.99.dcm")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(report))


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
