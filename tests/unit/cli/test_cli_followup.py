"""onset, outcomes, and the figures that show prints."""

import subprocess
import sys

import pytest

from ichnode.app.wire import open_database_of
from ichnode.cli.context import Exit
from ichnode.config.file import load_config
from ichnode.domain.figures import Figures
from ichnode.domain.states import JobState
from ichnode.queue.followups import Comparison
from ichnode.queue.jobs import claim, finish, replay
from ichnode.queue.results import onset_h

FACTS = {
    "weights": "w 1",
    "lesions_ml": [12.0, 1.4],
    "hu_mean": 61.2,
    "hu_sd": 7.9,
    "laterality": "left",
    "abc2_ml": 15.2,
    "markers": [
        {"name": "swirl", "present": False, "reason": "no dark stripe"},
        {"name": "black hole", "present": True, "reason": "34 HU darker"},
    ],
    "bat": "2 to 4, undetermined",
    "onset": {"hours": 1.5, "source": "StudyComments"},
    "doubts": [{"flag": "QF_TILT", "meaning": "Gantry tilt", "evidence": "leans by 18 degrees"}],
}


@pytest.fixture
def measure(config, add_job):
    """A series that is analysed with these figures."""

    def ended(series, *, at=0.0, **figures):
        add_job(series)
        db = open_database_of(load_config(config))
        lease = claim(db, owner="w", now=2000, lease_s=60, max_attempts=1)
        facts = FACTS | figures.pop("facts", {})
        values = Figures(**({"volume_ml": 13.4, "facts": facts} | figures))
        compared = Comparison(acquired_at=at)
        finish(
            db, lease, JobState.DONE, outputs=[], routes=[], reason="ok", now=2001, figures=values, compared=compared
        )
        db.close()
        return lease.job_id

    return ended


@pytest.fixture
def followed(measure):
    """Pairs of scans: what was predicted, what came; each of its own patient."""

    def add(number, probability, expanded, *, hours=24.0, trained=True):
        said = {} if probability is None else {
            "expansion_probability": probability, "expansion_threshold": 0.4, "expansion_trained": trained
        }  # fmt: skip
        first = measure(f"1.{number}.1.1", **said)
        growth = {
            "hours": hours,
            "baseline_ml": 13.4,
            "baseline_study": "x",
            "history": [],
            "unregistered": "",
        }
        measure(
            f"1.{number}.2.1", at=3600 * hours, baseline_job_id=first, growth_ml=9.0 if expanded else 1.0,
            growth_percent=67.2 if expanded else 7.5, expanded=expanded, facts={"growth": growth},
        )  # fmt: skip

    return add


def test_show_lists_the_figures_of_a_result_with_the_evidence(ichnode, measure):
    measure("1.2.3.4")
    said = ichnode("show", "1.2.3")
    for line in (
        "volume 13.4 mL in 2 parts, left, ABC/2 15.2 mL, 61 ± 8 HU",
        "onset 1.50 h before the CT (StudyComments)",
        "BAT 2 to 4, undetermined",
        "marker black hole: present (34 HU darker)",
        "doubt QF_TILT: Gantry tilt (leans by 18 degrees)",
    ):
        assert line in said.out
    assert said.out.index("black hole") < said.out.index("swirl")
    assert ichnode("show", "1.2.3", "--json").json[0]["jobs"][0]["figures"]["volume_ml"] == 13.4


def test_show_tells_growth_and_why_it_rests_on_volume_alone(ichnode, measure):
    growth = {"hours": 24.0, "baseline_ml": 10.0, "baseline_study": "1.9", "history": [], "unregistered": "gone"}
    measure("1.2.3.4", growth_ml=3.4, growth_percent=34.0, expanded=True, facts={"growth": growth})
    said = ichnode("show", "1.2.3")
    assert "growth +3.4 mL (+34 %) since 10.0 mL 24.0 h before: expanded" in said.out
    assert "by volume alone: gone" in said.out


def test_an_onset_told_queues_the_report_alone(ichnode, measure, config):
    measure("1.2.3.4")
    said = ichnode("onset", "1.2.3", "01:30")
    assert (said.code, said.out) == (
        Exit.OK,
        "onset 1.50 h before the study's first CT: a new report is queued (job 2)\n",
    )
    assert "(report) queued" in ichnode("show", "1.2.3").out
    db = open_database_of(load_config(config))
    assert onset_h(db, 1) == 1.5
    db.close()
    assert "onset to CT: 1.50 h, told by hand" in ichnode("show", "1.2.3").out


def test_an_onset_is_taken_back(ichnode, measure):
    measure("1.2.3.4")
    ichnode("onset", "1.2.3", "1.5")
    said = ichnode("onset", "1.2.3", "--unknown", "--json")
    assert said.json == {"study": "1.2.3", "hours": None, "jobs": [], "waiting": [2]}  # the report that waits says it


def test_an_onset_told_says_truly_what_comes_of_it(ichnode, measure, add_job, config):
    measure("1.2.3.4")
    db = open_database_of(load_config(config))
    replay(db, [1], weights=None, now=3000)
    db.close()
    assert "a new report is queued (job 3)" in ichnode("onset", "1.2.3", "1.5").out
    assert "first CT: job 3, waiting already, will tell it" in ichnode("onset", "1.2.3", "2.5").out
    add_job("1.2.9.1", "failed")
    assert "no report is out that could be made anew" in ichnode("onset", "1.2.9", "1.5").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("200:00",), "An onset 200 hours before the CT cannot be."),
        (("nan",), "cannot be"),
        (("half past two",), "is no time from onset to CT"),
        (("1:75",), "is no time from onset to CT"),
        ((), "Tell either a time or --unknown"),
        (("1:30", "--unknown"), "Tell either a time or --unknown"),
    ],
)
def test_an_onset_that_cannot_be_is_refused_with_the_reason(ichnode, measure, words, said):
    measure("1.2.3.4")
    answer = ichnode("onset", "1.2.3", *words)
    assert answer.code == Exit.USAGE
    assert said in answer.err


def test_a_study_that_nobody_knows_has_no_onset(ichnode):
    assert ichnode("onset", "1.2.3", "1:30").code == Exit.NO


def test_outcomes_of_a_new_node_are_none(ichnode):
    assert ichnode("outcomes").out == "0 follow-ups of 0 studies\n"


def test_outcomes_show_predicted_beside_observed_with_auc_and_calibration(ichnode, followed):
    for number, (chance, came) in enumerate([(0.9, True), (0.6, False), (0.5, True), (0.2, False), (0.1, False)], 1):
        followed(number, chance, came)
    said = ichnode("outcomes")
    assert "5 follow-ups of 5 studies, 2 expanded" in said.out
    assert "w 1: n = 5, 2 expanded, AUC 0.83 (95 %" in said.out
    [figures] = ichnode("outcomes", "--json").json["figures"]
    assert (figures["n"], figures["expanded"], figures["trained_on_patients"]) == (5, 2, True)
    assert figures["auc"]["value"] == pytest.approx(5 / 6)
    assert figures["calibration"]["brier"] == pytest.approx((0.01 + 0.36 + 0.25 + 0.04 + 0.01) / 5)


def test_outcomes_show_long_uids_whole(ichnode, measure):
    first, second = (f"1.2.840.113619.2.{'9' * 40}.{number}" for number in (1, 2))
    measure(f"{first}.1", expansion_probability=0.5, expansion_threshold=0.4, expansion_trained=True)
    measure(f"{second}.1", at=86400.0, baseline_job_id=1, growth_ml=1.0, expanded=False)
    said = ichnode("outcomes").out.splitlines()
    assert said[0] == f"{first} -> {second}"
    assert said[1] == "    13.4 mL, after 24.0 h +1.0 mL: not expanded; predicted 50% by w 1"


def test_growth_is_told_where_the_weights_may_not_speak_of_expansion(ichnode, followed):
    followed(1, None, True)
    said = ichnode("outcomes")
    assert "+9.0 mL (+67 %)" in said.out
    assert "AUC" not in said.out
    assert ichnode("outcomes", "--json").json["figures"] == []


def test_of_two_follow_ups_of_one_study_the_one_nearest_to_a_day_counts(ichnode, measure):
    first = measure("1.1.1.1", expansion_probability=0.5, expansion_threshold=0.4, expansion_trained=False)
    for number, hours, came in ((2, 6.0, False), (3, 26.0, True)):
        measure(f"1.1.{number}.1", at=3600 * hours, baseline_job_id=first, growth_ml=1.0, expanded=came)
    said = ichnode("outcomes", "--json").json
    assert len(said["pairs"]) == 2
    assert [(f["n"], f["expanded"], f["trained_on_patients"], f["auc"]) for f in said["figures"]] == [
        (1, 1, False, None)
    ]


def test_outcomes_as_csv_have_a_pair_a_row(ichnode, followed):
    followed(1, 0.9, True)
    lines = ichnode("outcomes", "--csv").out.splitlines()
    assert lines[0].startswith("baseline_study,followup_study,hours,")
    assert lines[1].startswith("1.1.1,1.1.2,24.0,13.4,9.0,67.2,True,w 1,0.9,0.4,True")
    assert ichnode("outcomes", "--csv", "--json").code == Exit.USAGE


def test_outcomes_need_no_package_that_draws(config, followed):
    followed(1, 0.9, True)
    followed(2, 0.1, False)
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['matplotlib', 'jinja2', 'nibabel']));"
        "sys.argv = ['ichnode', 'outcomes']; from ichnode.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"ICHNODE_CONFIG": str(config), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "AUC 1.00" in done.stdout
