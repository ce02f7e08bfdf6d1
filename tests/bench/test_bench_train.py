"""How long training takes: a step at full size, a showing from the loader, a case of `ichnode cohort prepare`.

Measured in processor time on one thread, so that the verdict does not hang on what else the machine does. The limits
are wide: they are for what becomes slower by a factor, not by a tenth.
"""

import json
import time

import pytest
import torch

from ichnode.cohort.prepare import prepare_cohort
from ichnode.cohort.table import Card, Case, Cohort
from ichnode.model.network import ExpansionNet
from ichnode.train.fit import Cases, Machine, Watch, fit
from ichnode.train.recipe import read_recipe
from ichnode.train.samples import Showings, sources, stream
from tests.peers.tools import data

CASES, SHOWINGS = 3, 6
CASE_LIMIT_S, LOADER_LIMIT, STEP_LIMIT_S = 3, 1, 120


@pytest.fixture(scope="module")
def cohort():
    """Real heads with an outcome invented, so that both losses are at work."""
    folder = data("phe-sich")
    names = [case["id"] for case in json.loads((folder / "manifest.json").read_text())["train"][:CASES]]
    card = Card(name="bench", description="", source="s", licence="l", clipped_hu=(-20, 100))
    cases = tuple(
        Case(
            name=name,
            patient=name,
            split="train",
            ct=folder / "train" / f"{name}_ct.nii.bz2",
            mask=folder / "train" / f"{name}_bleed.nii.bz2",
            expanded=True,
        )
        for name in names
    )
    return Cohort(folder=folder, card=card, cases=cases)


@pytest.fixture(scope="module")
def prepared(cohort, tmp_path_factory):
    """The prepared cases and the seconds that they took."""
    out = tmp_path_factory.mktemp("prepared")
    start = time.process_time()
    outcome = prepare_cohort(cohort, out, "fov224", jobs=1, told=lambda _name, _fault: None)
    taken_s = time.process_time() - start
    assert outcome.made == CASES
    return out, taken_s


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_case_is_prepared_fast_enough(prepared):
    _, taken_s = prepared
    print(f"cohort prepare: {taken_s / CASES:.2f} s a case (limit {CASE_LIMIT_S} s)")
    assert taken_s / CASES < CASE_LIMIT_S


@pytest.mark.parametrize("name", ["zhong2021", "plane2026"])
def test_showings_are_made_fast_enough(prepared, name):
    folder, _ = prepared
    showings = Showings(sources([folder], "train", "fov224"), read_recipe(name))
    start = time.process_time()

    for _, _showing in zip(range(SHOWINGS), stream(showings, 0, 0, pin=False), strict=False):
        pass

    rate = SHOWINGS / (time.process_time() - start)
    print(f"loader, {name}: {rate:.1f} showings/s of one process (limit {LOADER_LIMIT})")
    assert rate > LOADER_LIMIT


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_at_full_size_is_fast_enough(prepared, precision, tmp_path):
    """The second of a run, with the showing that it needs: the first one lays out memory."""
    folder, _ = prepared
    recipe = read_recipe("zhong2021").model_copy(update={"precision": precision})
    both = Cases(train=sources([folder], "train", "fov224"), val=())
    ended_s = []
    watch = Watch(tell=lambda _step: ended_s.append(time.process_time()), stop=lambda: len(ended_s) == 2)

    fit(ExpansionNet(), both, recipe, Machine(threads=1, workers=0), tmp_path, watch=watch)

    taken_s = ended_s[1] - ended_s[0]
    print(f"step, {precision}, one thread: {taken_s:.1f} s (limit {STEP_LIMIT_S} s)")
    assert taken_s < STEP_LIMIT_S
