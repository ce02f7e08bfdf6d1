import re

import pytest

from ichnode.domain.errors import ConfigError
from ichnode.receive.rules import BONE_KERNELS, DEFAULT_RULES, OTHER_BODY_PARTS, Action, Rule
from ichnode.receive.series_facts import SeriesFacts, series_facts

CT = "1.2.840.10008.5.1.4.1.1.2"
HEAD = {
    "id": 1,
    "sop_class_uid": CT,
    "modality": "CT",
    "image_type": frozenset({"ORIGINAL", "PRIMARY", "AXIAL"}),
    "thickness_mm": 5.0,
    "axial": 1.0,
    "slices": 28,
    "number": 2,
}


def series(**changes) -> SeriesFacts:
    return SeriesFacts(**(HEAD | changes))


def first_match(facts: SeriesFacts) -> str:
    return next((rule.name for rule in DEFAULT_RULES if rule.matches(facts)), "")


def test_an_ordinary_head_ct_matches_no_default_rule():
    assert first_match(series()) == ""
    assert first_match(series(body_part="HEAD", kernel="H31s", contrast_agent="", axial=0.95)) == ""


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"modality": "MR"}, "modality"),
        ({"modality": ""}, "modality"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, "not-ct-image"),
        ({"image_type": frozenset({"ORIGINAL", "PRIMARY", "LOCALIZER"})}, "localizer"),
        ({"series_description": "Scout AP", "slices": 2}, "localizer-by-name"),
        ({"image_type": frozenset({"DERIVED", "SECONDARY", "MPR"})}, "reformatted"),
        ({"image_type": frozenset({"DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"})}, "reformatted"),
        ({"image_type": frozenset({"DERIVED", "PRIMARY", "MIP"})}, "reformatted"),
        ({"image_type": frozenset({"ORIGINAL", "PRIMARY", "PERFUSION"})}, "perfusion"),
        ({"series_description": "CTP 5.0"}, "perfusion-by-name"),
        ({"series_description": "MonoE 70keV"}, "perfusion-by-name"),
        ({"repeats": True}, "repeats"),
        ({"is_lossy": True}, "lossy"),
        ({"body_part": "CHEST"}, "other-body-part"),
        ({"contrast_agent": "Iohexol 350"}, "contrast"),
        ({"series_description": "CTA head 1.0"}, "contrast-by-name"),
        ({"series_description": "BRAIN with contrast"}, "contrast-by-name"),
        ({"axial": 0.1}, "not-axial"),
        ({"slices": 9}, "few-slices"),
        ({"kernel": "YA"}, "bone"),
        ({"series_description": "BONE BRAIN 1MM"}, "bone-by-name"),
    ],
)
def test_the_default_rules_give_the_true_reason(changes, name):
    assert first_match(series(**changes)) == name


@pytest.mark.parametrize(
    "changes",
    [
        {"body_part": ""},
        {"body_part": "HEADNECK"},
        {"body_part": "BRAIN"},
        {"series_description": "BRAIN without contrast"},
        {"series_description": "BRAIN W/O CONTRAST"},
        {"series_description": "STD BRAIN 5MM"},
        {"image_type": frozenset({"DERIVED", "SECONDARY", "AXIAL"})},
        {"slices": 10},
        {"axial": None},
        {"axial": 0.9},
    ],
)
def test_what_proves_nothing_skips_nothing(changes):
    assert first_match(series(**changes)) == ""


@pytest.mark.parametrize(
    "kernel",
    ["YA", "YB", "YC", "Y", "H60s", "H70h", "Hr60f", "Hr68h\\2", "Br64s", "B70f", "J70h\\2", "J77s", "BONE", "BONEPLUS",
     "BONE+", "EDGE", "LUNG", "DETAIL", "FC30", "FC81", "FC52", "bone"],
)  # fmt: skip
def test_bone_kernels_of_all_makers_are_known(kernel):
    assert re.search(BONE_KERNELS, kernel, re.IGNORECASE)


@pytest.mark.parametrize(
    "kernel",
    ["UB", "UA", "UC", "B", "C", "H31s", "H30f", "Hr40f", "Hc40", "J30s", "J45s", "Br36", "B31f", "STANDARD", "STD+",
     "SOFT", "FC21", "FC26", "FC64", "FC68", "NEURO BONELESS", ""],
)  # fmt: skip
def test_soft_kernels_are_not_taken_for_bone(kernel):
    assert not re.search(BONE_KERNELS, kernel, re.IGNORECASE)


@pytest.mark.parametrize("part", ["CHEST", "ABDOMEN", "CSPINE", "L SPINE", "NECK", "PELVIS", "LEG", "EXTREM"])
def test_other_body_parts_are_known(part):
    assert re.search(OTHER_BODY_PARTS, part, re.IGNORECASE)


@pytest.mark.parametrize("part", ["HEAD", "BRAIN", "HEADNECK", "HEAD_NECK", "SKULL", "WHOLE BODY", "", "CRANIUM"])
def test_heads_and_unclear_words_are_not_other_body_parts(part):
    assert not re.search(OTHER_BODY_PARTS, part, re.IGNORECASE)


@pytest.mark.parametrize(
    ("condition", "matching", "other"),
    [
        ({"calling_ae": ("SCAN*", "CT1")}, {"calling_ae": "SCANNER7"}, {"calling_ae": "PACS"}),
        ({"modality": ("CT",)}, {}, {"modality": "MR"}),
        ({"thickness_min_mm": 5}, {"thickness_mm": 5.0}, {"thickness_mm": 4.9}),
        ({"thickness_max_mm": 1}, {"thickness_mm": 1.0}, {"thickness_mm": None}),
        ({"slices_above": 28}, {"slices": 29}, {"slices": 28}),
        ({"slices_below": 28}, {"slices": 27}, {"slices": 28}),
        ({"contrast": False}, {}, {"contrast_agent": "Iohexol"}),
        ({"lossy": False}, {}, {"is_lossy": True}),
        ({"description": "trauma"}, {"description": "1A TRAUMA / x"}, {"description": ""}),
        ({"image_type_any": ("a", "derived\\mpr")}, {"image_type": frozenset({"DERIVED", "MPR"})}, {}),
    ],
)
def test_each_condition_holds_or_does_not(condition, matching, other):
    rule = Rule(name="r", why="", **condition)

    assert rule.matches(series(**matching))
    assert not rule.matches(series(**other))


def test_all_conditions_of_a_rule_must_hold():
    rule = Rule(name="r", why="", modality=("CT",), kernel="^UB$")

    assert rule.matches(series(kernel="UB"))
    assert not rule.matches(series(kernel="UB", modality="MR"))


def test_a_fact_that_is_not_stated_reads_unknown_in_the_reason():
    rule = Rule(name="r", why="{thickness_mm:.1f} mm, kernel {kernel}")

    assert rule.reason(series(), other="") == "5.0 mm, kernel unknown"
    assert rule.reason(series(thickness_mm=None, kernel="UB"), other="") == "unknown mm, kernel UB"


@pytest.mark.parametrize(
    "broken",
    [{"kernel": "("}, {"body_part": "[a"}, {"why": "{kernell}"}, {"why": "{kernel:.2f}"}, {"why": "{"}, {"why": "{0}"}],
)
def test_a_rule_that_cannot_work_is_refused_by_name(broken):
    with pytest.raises(ConfigError, match="mine"):
        Rule(**({"name": "mine", "why": ""} | broken))


def test_facts_of_a_series_are_what_most_of_its_images_say(make_facts):
    facts = [make_facts(n) for n in range(12)] + [make_facts(99, kernel="YA", body_part="CHEST", thickness_mm=1.0)]

    boiled = series_facts(facts, series_id=1, sop_class_uid=CT)

    assert (boiled.kernel, boiled.body_part, boiled.thickness_mm) == ("", "", 5.0)
    assert (boiled.slices, boiled.axial, boiled.repeats) == (13, 1.0, False)


def test_several_images_at_each_position_are_noticed(make_facts):
    perfusion = [make_facts(n, z=5.0 * (n % 4)) for n in range(40)]

    boiled = series_facts(perfusion, series_id=1, sop_class_uid=CT)

    assert boiled.repeats
    assert boiled.slices == 4


def test_an_empty_contrast_field_and_a_denied_one_are_no_contrast(make_facts):
    for word in ("", "NONE", "no", " None "):
        assert not series_facts([make_facts(contrast_agent=word)], series_id=1, sop_class_uid=CT).contrast_agent
    assert (
        series_facts([make_facts(contrast_agent="Iohexol")], series_id=1, sop_class_uid=CT).contrast_agent == "Iohexol"
    )


def test_an_oblique_stack_is_measured_along_its_own_normal(make_facts):
    tilted = (1.0, 0.0, 0.0, 0.0, 0.9483237, -0.3173047)
    facts = [
        make_facts(n, orientation=tilted, positions=((0.0, 0.0, 4.218 * n),), thickness_mm=None) for n in range(12)
    ]

    boiled = series_facts(facts, series_id=1, sop_class_uid=CT)

    assert boiled.axial == pytest.approx(0.948, abs=1e-3)
    assert boiled.thickness_mm == pytest.approx(4.0, abs=0.01)


def test_a_site_may_force_a_series():
    assert Rule(name="r", why="", action=Action.ANALYSE).action is Action.ANALYSE
