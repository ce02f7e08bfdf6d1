import pytest

from ichnode.domain.states import Decision
from ichnode.receive.rules import DEFAULT_RULES, Action, Rule
from ichnode.receive.select import Preference, decide_study
from ichnode.receive.series_facts import SeriesFacts

CT = "1.2.840.10008.5.1.4.1.1.2"


def series(number: int | None, thickness_mm: float | None = 5.0, **changes) -> SeriesFacts:
    values = {
        "id": number if number is not None else 999,
        "number": number,
        "sop_class_uid": CT,
        "modality": "CT",
        "image_type": frozenset({"ORIGINAL", "PRIMARY", "AXIAL"}),
        "thickness_mm": thickness_mm,
        "axial": 1.0,
        "slices": 28,
        "kernel": "UB",
    }
    return SeriesFacts(**(values | changes))


def decide(*members, rules=DEFAULT_RULES, preference=None, before=()):
    return decide_study(members, rules, preference or Preference(), analysed_before=before)


def analysed(decided) -> list[int]:
    return [key for key, (decision, _) in decided.items() if decision is Decision.ANALYSE]


def test_the_only_candidate_is_analysed():
    decided = decide(series(2))

    assert decided == {2: (Decision.ANALYSE, "analysed: the only candidate (5 mm, 28 slices, kernel UB)")}


def test_five_millimetres_are_preferred_and_the_others_say_so():
    decided = decide(series(202, 1.0), series(201, 5.0), series(203, 3.0))

    assert analysed(decided) == [201]
    assert decided[202][1] == "not analysed: series 201 (5 mm) of the same study was preferred to this 1 mm series"
    assert "best of 3 candidates" in decided[201][1]


def test_on_a_tie_the_lowest_series_number_is_taken():
    decided = decide(series(5), series(4), series(None))

    assert analysed(decided) == [4]
    assert decided[5][1] == "not analysed: series 4 of the same study was preferred, of the same rank"


def test_the_order_in_which_series_come_does_not_matter():
    members = [series(3, 3.0), series(2), series(4, kernel="YA"), series(5, slices=3)]

    assert decide(*members) == decide(*reversed(members))


def test_a_bone_kernel_yields_to_a_soft_one_whatever_its_thickness():
    decided = decide(series(203, 5.0, kernel="YA"), series(202, 1.0))

    assert analysed(decided) == [202]
    assert decided[203][1] == "not analysed: bone kernel YA; soft-tissue series 202 of the same study chosen"


def test_a_bone_kernel_is_analysed_where_no_soft_one_exists():
    assert analysed(decide(series(203, kernel="YA"), series(1, slices=1))) == [203]


def test_a_skipped_soft_series_does_not_displace_the_bone_one():
    assert analysed(decide(series(203, kernel="YA"), series(202, contrast_agent="Iohexol"))) == [203]


def test_every_series_gets_a_decision_and_a_reason():
    members = [series(1, slices=1), series(2), series(3, modality="SR"), series(4, axial=0.0), series(5, kernel="FC30")]

    decided = decide(*members)

    assert list(decided) == [1, 2, 3, 4, 5]
    assert all(text.startswith(("analysed: ", "not analysed: ")) for _, text in decided.values())


def test_a_study_without_a_candidate_analyses_nothing():
    decided = decide(series(1, slices=1), series(2, modality="MR"))

    assert analysed(decided) == []
    assert decided[2][1] == "not analysed: modality MR, not CT"


def test_a_complete_series_is_preferred_to_one_with_slices_missing():
    decided = decide(series(201, 5.0, missing=3), series(202, 1.0))

    assert analysed(decided) == [202]
    assert decided[201][1] == "not analysed: 3 slices missing; series 202 of the same study, complete, was preferred"


def test_an_incomplete_series_is_analysed_only_if_configured_so():
    lone = series(201, missing=1)

    assert "1 slice missing" in decide(lone)[201][1]
    assert analysed(decide(lone)) == [201]
    strict = decide(lone, preference=Preference(analyse_incomplete=False))
    assert strict == {201: (Decision.SKIP, "not analysed: 1 slice missing")}


def test_a_later_series_that_is_not_better_is_skipped_naming_the_earlier_one():
    decided = decide(series(301, 1.0), before=[series(201)])

    assert analysed(decided) == []
    assert "series 201 (5 mm) of the same study was analysed before" in decided[301][1]


def test_a_later_series_of_the_same_rank_is_skipped_even_with_a_lower_number():
    assert analysed(decide(series(100), before=[series(201)])) == []


@pytest.mark.parametrize("earlier", [series(202, 1.0), series(203, kernel="YA"), series(204, missing=2)])
def test_a_later_series_that_is_strictly_better_is_analysed(earlier):
    decided = decide(series(301), before=[earlier])

    assert analysed(decided) == [301]
    assert "better than the series analysed before" in decided[301][1]


def test_a_rule_of_the_site_may_skip_what_the_defaults_would_take():
    site = Rule(name="old-scanner", why="scanner {calling_ae} is not validated", calling_ae=("OLD*",))

    decided = decide(series(2, calling_ae="OLDCT"), rules=(site, *DEFAULT_RULES))

    assert decided[2] == (Decision.SKIP, "not analysed: scanner OLDCT is not validated")


def test_a_rule_of_the_site_may_force_a_series_that_the_defaults_skip():
    site = Rule(name="mpr", why="", action=Action.ANALYSE, series_description="^Brain 5mm MPR$")
    reformatted = frozenset({"DERIVED", "SECONDARY", "MPR"})

    decided = decide(
        series(2),
        series(9, 5.5, image_type=reformatted, series_description="Brain 5mm MPR", kernel="YA"),
        rules=(site, *DEFAULT_RULES),
    )

    assert analysed(decided) == [9]
    assert "by a rule of the site" in decided[2][1]


def test_a_series_without_any_thickness_comes_last():
    assert analysed(decide(series(1, None), series(2, 0.6))) == [2]
    assert analysed(decide(series(1, None))) == [1]
