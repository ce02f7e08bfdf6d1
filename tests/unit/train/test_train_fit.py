"""A run that was cut is the run that was not, to the last bit; what may not change does not; the rest learns."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ichnode.domain.errors import ConfigError
from ichnode.model.network import ExpansionNet
from ichnode.train.checkpoint import CHECKPOINT_FILE, Progress, load_checkpoint, save_checkpoint
from ichnode.train.fit import Cases, Machine, Watch, fit
from ichnode.train.samples import UNKNOWN, Showings, Source
from ichnode.train.step import Diverged, Trainee
from ichnode.train.validate import validate

AN_EPOCH = 4  # two training cases, two copies
CPU = Machine(threads=1, workers=0, checkpoint_steps=3)
TIMES = {"seconds", "waited_share", "waited_s"}


class Killed(BaseException):
    """A process that ends at once, without a checkpoint."""


def fresh(seed=1):
    torch.manual_seed(seed)
    return ExpansionNet()


def bits(tensors):
    return {name: (tensor.dtype, tensor.shape, tensor.numpy().tobytes()) for name, tensor in tensors.items()}


def without_times(found):
    if isinstance(found, dict):
        return {key: without_times(value) for key, value in found.items() if key not in TIMES}
    return [without_times(one) for one in found] if isinstance(found, list) else found


class Run:
    """Calls ``fit`` on one folder as often as wished; remembers the best weights as the last call had them."""

    def __init__(self, folder, cases, recipe, machine=CPU, *, first=fresh):
        self.folder, self.cases, self.recipe, self.machine, self.first = folder, cases, recipe, machine, first
        folder.mkdir(exist_ok=True)
        self.best, self.rows = None, []

    def go(self, *, stop_at=None, killed_at=None, killed_in_epoch=None):
        done = []

        def tell(step):
            done.append(step.done)
            if step.done == killed_at:
                raise Killed

        def epoch(rows):
            self.rows = list(rows)
            if len(rows) == killed_in_epoch:
                raise Killed

        def best(network, _progress):
            self.best = bits(network.state_dict())

        watch = Watch(tell=tell, epoch=epoch, best=best, stop=lambda: done[-1] == stop_at)
        return fit(self.first(), self.cases, self.recipe, self.machine, self.folder, watch=watch)

    @property
    def state(self):
        """All that the run is: tensors of the checkpoint, where it stands, best weights, curve; without the times."""
        path = self.folder / CHECKPOINT_FILE
        with safe_open(path, framework="pt") as file:
            progress = json.loads(file.metadata()["run"])
        return bits(load_file(path)), without_times(progress), self.best, without_times(self.rows)


@pytest.fixture(scope="module")
def cases(source_of, case):
    return Cases(
        train=(source_of("a", case(1), expanded=True), source_of("b", case(2))),
        val=(source_of("c", case(3), split="val", expanded=False), source_of("d", case(4, bleed=False), split="val")),
    )


@pytest.fixture(scope="module")
def hard(recipe):
    """A recipe in which all that could be forgotten over a cut is at work."""
    moved = {"copies": 2, "scale": 0.1, "shift": 0.05, "turn_deg": 5, "noise_hu": 2, "heal": 0.3, "blur_pixels": 0.7}
    schedule = {"kind": "cosine", "learning_rate": 1e-3, "warm_up_steps": 3}
    return recipe(augmentation=moved, schedule=schedule, loss={"voxel_bce": 1})


@pytest.fixture
def run(tmp_path, cases, hard):
    return lambda name, recipe=hard, cases=cases, **words: Run(tmp_path / name, cases, recipe, **words)


@pytest.fixture(scope="module")
def uncut(tmp_path_factory, cases, hard):
    whole = Run(tmp_path_factory.mktemp("uncut"), cases, hard)
    _, finished = whole.go()
    assert finished
    return whole.state


@pytest.mark.parametrize("stops", [(1,), (AN_EPOCH,), (2, 3, 6, 2 * AN_EPOCH)], ids=str)
def test_a_run_that_was_stopped_and_gone_on_with_is_bit_for_bit_the_run_that_was_not(run, uncut, stops):
    cut = run("cut")
    for step in stops:
        progress, finished = cut.go(stop_at=step)
        assert (progress.step, finished) == (step, step == 2 * AN_EPOCH)

    progress, finished = cut.go()

    assert finished
    assert progress.step == 2 * AN_EPOCH
    assert cut.state == uncut


@pytest.mark.parametrize(
    "death", [{"killed_at": 2}, {"killed_at": 5}, {"killed_in_epoch": 1}, {"killed_in_epoch": 2}], ids=str
)
def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint_to_the_same_end(run, uncut, death):
    cut = run("cut")
    with pytest.raises(Killed):
        cut.go(**death)

    _, finished = cut.go()

    assert finished
    assert cut.state == uncut


def test_a_run_may_go_on_with_other_workers_and_other_checkpoints(run, uncut):
    cut = run("cut")
    cut.go(stop_at=3)
    cut.machine = Machine(threads=1, workers=1, checkpoint_steps=1)

    cut.go()

    assert cut.state == uncut


def test_the_moments_of_adam_lie_in_memory_as_they_did(cases, hard, tmp_path):
    """Another order takes other paths through torch's loops, which round in their own way."""
    trainees = [Trainee(fresh(), hard, torch.device("cpu"), compiled=False) for _ in range(2)]
    trainees[0].learn(Showings(cases.train, hard)[0], 1e-3)

    save_checkpoint(tmp_path, trainees[0].network, trainees[0].optimizer, Progress(run={"recipe": "this"}))
    load_checkpoint(tmp_path, trainees[1].network, trainees[1].optimizer, {"recipe": "this"})

    orders = [
        [state["exp_avg"].stride() for state in one.optimizer.state.values() if "exp_avg" in state] for one in trainees
    ]
    assert orders[0] == orders[1]
    assert len(orders[0]) > 10


def test_what_a_killed_run_left_half_written_does_not_pile_up(run):
    half = run("one")
    (half.folder / "checkpoint.safetensors.part").write_bytes(b"half")

    half.go(stop_at=1)

    assert [path.name for path in half.folder.iterdir()] == [CHECKPOINT_FILE]


def test_a_finished_run_stays_as_it_is(run):
    whole = run("one")
    whole.go()
    before = (whole.folder / CHECKPOINT_FILE).read_bytes()

    progress, finished = whole.go()

    assert finished
    assert progress.step == 2 * AN_EPOCH
    assert (whole.folder / CHECKPOINT_FILE).read_bytes() == before


@pytest.fixture
def threads():
    yield torch.set_num_threads
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("other", "part"),
    [
        ("recipe", "recipe"),
        ("outcome", "cases"),
        ("split", "cases"),
        ("bytes", "cases"),
        ("start", "start"),
        ("threads", "threads"),
        ("torch", "torch"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused_and_kept(
    run, recipe, cases, source_of, case, threads, monkeypatch, other, part
):
    threads(1)
    first = run("one", machine=replace(CPU, threads=0))  # as many as torch chooses
    first.go(stop_at=1)
    before = (first.folder / CHECKPOINT_FILE).read_bytes()
    one, two = cases.train
    words = {}
    if other == "recipe":
        first.recipe = recipe(seed=2)
    elif other == "outcome":
        changed = source_of("a", case(1), expanded=False, source="another outcome")
        first.cases = Cases(train=(changed, two), val=cases.val)
    elif other == "split":
        first.cases = Cases(train=(one,), val=(source_of("b", case(2), split="val"), *cases.val))
    elif other == "bytes":  # of the same source, as other code would prepare it
        first.cases = Cases(train=(Source(one.folder, replace(one.entry, sha256="0")), two), val=cases.val)
    elif other == "start":
        words = {"start": "other weights"}
    elif other == "threads":
        threads(2)
    else:
        monkeypatch.setattr(torch, "__version__", "2.0.1")

    with pytest.raises(
        ConfigError, match=rf"is that of another run, with another {part} \(\S* then, .* now\)\.$"
    ) as no:
        fit(fresh(), first.cases, first.recipe, first.machine, first.folder, **words)

    assert "another --out" in no.value.hint
    assert (first.folder / CHECKPOINT_FILE).read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "nonsense", "no run", "half a run", "older", "tensor"])
def test_a_damaged_checkpoint_is_said(run, damage):
    broken = run("one")
    broken.go(stop_at=1)
    path = broken.folder / CHECKPOINT_FILE
    data = path.read_bytes()
    if damage == "tensor":
        with safe_open(path, framework="pt") as file:
            texts = file.metadata()
        tensors = load_file(path)
        save_file({name: tensor for name, tensor in tensors.items() if name != "adam.3.exp_avg"}, path, texts)
    else:
        path.write_bytes(
            {
                "cut": data[: len(data) // 2],
                "nonsense": b"nonsense",
                "no run": data.replace(b'"run"', b'"ran"', 1),
                "half a run": data.replace(b"best_epoch", b"best_epach", 1),
                "older": data.replace(b"torch", b"tarch", 1),
            }[damage]
        )

    with pytest.raises(ConfigError, match=r"The checkpoint .* is damaged: ") as said:
        broken.go()

    assert said.value.hint == "Name another --out to begin anew."


def test_a_checkpoint_is_on_the_disk_before_it_takes_the_place_of_the_last_one(run, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino) or real(handle))
    one = run("one")

    one.go(stop_at=1)

    assert synced[-2:] == [(one.folder / CHECKPOINT_FILE).stat().st_ino, one.folder.stat().st_ino]


@pytest.mark.parametrize("where", ["loss", "slope"])
def test_a_run_that_diverges_ends_with_checkpoint_and_best_weights_as_they_were(run, monkeypatch, where):
    wild = run("one")
    wild.go(stop_at=AN_EPOCH + 2)
    before = (wild.folder / CHECKPOINT_FILE).read_bytes(), wild.best
    wild.machine = Machine(threads=1, workers=0, checkpoint_steps=1)
    if where == "loss":
        monkeypatch.setattr("ichnode.train.step.segmentation_loss", lambda logits, *_: logits.sum() * float("nan"))
    else:  # sqrt at zero: its value is fine, its slope is not
        monkeypatch.setattr(
            "ichnode.train.step.segmentation_loss", lambda logits, *_: (logits - logits.detach()).abs().sum().sqrt()
        )

    with pytest.raises(Diverged, match="no number any more") as said:
        wild.go()

    assert "lower the learning rate" in said.value.hint
    assert ((wild.folder / CHECKPOINT_FILE).read_bytes(), wild.best) == before


def test_a_step_that_diverges_leaves_the_weights_as_they_were(hard, cases):
    trainee = Trainee(fresh(), hard, torch.device("cpu"), compiled=False)
    values, bleed, _ = Showings(cases.train, hard)[0]
    before = bits(trainee.network.state_dict())

    with pytest.raises(Diverged):
        trainee.learn((values * float("inf"), bleed, UNKNOWN), 1e-3)

    assert bits(trainee.network.state_dict()) == before


def parts(network):
    """The bits of the trunk, of the head, of the dense unit."""
    named = bits(network.state_dict())
    return tuple(
        {name: value for name, value in named.items() if (name.split(".")[0] if name[0] in "hd" else "") == part}
        for part in ("", "head", "dense")
    )


def test_a_recipe_for_the_head_leaves_the_trunk_untouched(recipe, cases, tmp_path):
    network = fresh()
    before = parts(network)

    progress, _ = fit(network, cases, recipe(trains="head"), CPU, tmp_path)

    trunk, head, dense = parts(network)
    assert trunk == before[0]
    assert all(head[name] != value for name, value in before[1].items() if "weight" in name)
    assert dense != before[2]
    assert "loss_segmentation" not in progress.rows[0]
    assert progress.rows[0]["loss_expansion"] > 0
    assert progress.best == -min(row["val_expansion_bce"] for row in progress.rows)


@pytest.mark.parametrize(("augmentation", "asked"), [({"mirror": True}, 2), ({"noise_hu": 1.0}, 6)])
def test_a_frozen_trunk_is_asked_once_about_what_comes_again(recipe, augmentation, asked):
    trainee = Trainee(fresh(), recipe(trains="head", augmentation=augmentation), torch.device("cpu"), compiled=False)
    seen = []
    trunk = trainee._trunk
    trainee._trunk = lambda x: seen.append(1) or trunk(x)
    values = torch.linspace(-1, 2, 8 * 16 * 16).reshape(1, 8, 16, 16)

    logits = [trainee.expansion(one) for one in (values, values.flip(-1)) * 3]

    assert len(seen) == asked
    assert [bool(one == logits[number % 2]) for number, one in enumerate(logits)] == [True] * 6
    assert logits[0] != logits[1]


def test_cases_without_an_outcome_leave_the_head_untouched(recipe, cases, tmp_path, source_of, case):
    network = fresh()
    before = parts(network)
    unknown = Cases(train=(source_of("e", case(5)), source_of("f", case(6, bleed=False))), val=cases.val)

    progress, _ = fit(network, unknown, recipe(), CPU, tmp_path)

    trunk, head, dense = parts(network)
    assert (head, dense) == before[1:]
    assert trunk != before[0]
    assert "loss_expansion" not in progress.rows[0]


def test_a_step_whose_outcome_is_unknown_leaves_a_head_that_has_learnt_where_it_is(recipe, cases):
    """Adam's moments would move it on even with a slope of zero."""
    trainee = Trainee(fresh(), recipe(), torch.device("cpu"), compiled=False)
    values, bleed, _ = Showings(cases.train, recipe())[0]
    trainee.learn((values, bleed, 1.0), 1e-3)
    before = parts(trainee.network)

    trainee.learn((values, bleed, UNKNOWN), 1e-3)

    trunk, head, dense = parts(trainee.network)
    assert (head, dense) == before[1:]
    assert trunk != before[0]


def test_the_first_steps_of_a_warm_up_are_as_long_as_their_rate(recipe, cases):
    trainee = Trainee(fresh(), recipe(), torch.device("cpu"), compiled=False)
    before = {name: tensor.clone() for name, tensor in trainee.network.state_dict().items()}

    trainee.learn(Showings(cases.train, recipe())[0], 1e-5)

    furthest = max(float((now - before[name]).abs().max()) for name, now in trainee.network.state_dict().items())
    assert furthest == pytest.approx(1e-5, rel=0.02)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_tiny_problem_is_learnt(recipe, tmp_path, source_of, case, precision):
    network = fresh()
    torch.nn.init.constant_(network.out.bias, -2.0)
    few = Cases(
        train=tuple(source_of(str(seed), case(seed)) for seed in (10, 11, 12)),
        val=(source_of("v", case(20), split="val"), source_of("w", case(21), split="val")),
    )
    words = recipe(epochs=6, precision=precision, schedule={"learning_rate": 1e-3}, loss={"voxel_bce": 1})

    progress, _ = fit(network, few, words, CPU, tmp_path)

    losses = [row["loss_segmentation"] for row in progress.rows]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]
    assert progress.rows[0]["val_dice_mean"] < 0.85
    assert progress.rows[-1]["val_dice_mean"] > 0.9


def test_the_weights_of_the_best_epoch_are_handed_over_not_those_of_the_last(run, monkeypatch):
    scores = iter([0.4, 0.9, 0.9, 0.2])

    class Seen:
        bce = None

        def __init__(self):
            self.score = next(scores)

        def row(self):
            return {"val_score": self.score}

    monkeypatch.setattr("ichnode.train.fit.validate", lambda *_: Seen())
    whole = run("one")
    whole.recipe = whole.recipe.model_copy(update={"epochs": 4})
    handed = []
    fit(fresh(), whole.cases, whole.recipe, CPU, whole.folder, watch=Watch(best=lambda _n, p: handed.append(p.step)))

    assert handed == [AN_EPOCH, 2 * AN_EPOCH]


def test_the_curve_says_the_mean_loss_of_each_term_over_the_steps_that_had_it(run, monkeypatch):
    told = iter([{"segmentation": 8.0, "expansion": 0.5}, {"segmentation": 6.0}] * AN_EPOCH)
    monkeypatch.setattr(Trainee, "learn", lambda *_: next(told))
    whole = run("one")

    whole.go()

    assert [row["loss_segmentation"] for row in whole.rows] == [7.0, 7.0]
    assert [row["loss_expansion"] for row in whole.rows] == [0.5, 0.5]
    assert [(row["epoch"], row["step"]) for row in whole.rows] == [(1, AN_EPOCH), (2, 2 * AN_EPOCH)]


def answering(found):
    """A network that finds the given mask, and is sure that the bleed expands."""
    logits = torch.from_numpy(np.where(found, 5.0, -5.0))[None]
    return lambda _values: (logits, torch.tensor([2.0]))


def test_a_false_bleed_in_a_head_without_one_counts_nought_a_silent_head_one(case, source_of):
    bleeding, sound = case(1), case(2, bleed=False)
    both = (source_of("a", bleeding, expanded=True), source_of("b", sound))

    found = validate(answering(bleeding.bleed), both)
    silent = validate(answering(np.zeros_like(bleeding.bleed)), both)

    assert found.dice == (1.0,)
    assert found.false_ml[0] == pytest.approx(bleeding.bleed.sum() * 0.875**2 * 5 / 1000)
    assert found.score == 0.5
    assert found.row()["val_false_ml_largest"] == found.false_ml[0]
    assert found.bce == pytest.approx(np.log1p(np.exp(-2.0)))
    assert (silent.dice, silent.false_ml, silent.score) == ((0.0,), (0.0,), 0.5)


def test_what_the_node_drops_as_a_speck_is_not_counted(case, source_of):
    bleeding = case(1)
    speck = np.zeros_like(bleeding.bleed)
    speck[2:6, 6:10, 3:7] = True  # 64 voxels of 3.8 mm³, below 0.3 mL
    both = (source_of("a", bleeding), source_of("b", case(2, bleed=False)))

    seen = validate(answering(speck), both)
    larger = validate(answering(np.roll(speck, 1, axis=1) | speck), both)

    assert seen.false_ml == (0.0,)
    assert larger.false_ml[0] > 0.3
