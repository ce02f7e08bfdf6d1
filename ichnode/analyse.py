"""What happens to one series, in reading order: images -> volume -> prediction -> findings -> objects."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset

from ichnode.domain.errors import Rejected
from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.outputs import OutputFile, Reference
from ichnode.domain.states import JobState
from ichnode.domain.values import Expansion, Findings, Prediction, Volume
from ichnode.findings.measure import largest_components, measure
from ichnode.image.load import load_series, read_datasets
from ichnode.image.prepare import PRESETS, prepare
from ichnode.image.resample import resample
from ichnode.model.runtime import Device, Runtime, open_runtime
from ichnode.model.weights import Card, read_card
from ichnode.report.build import ReportObject, build_not_analysed, build_result
from ichnode.report.gate import check, encode
from ichnode.report.inputs import Installation, Source
from ichnode.store.files import sha256_of, write_durably
from ichnode.store.layout import Store
from ichnode.work.task import Done, Perform, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A warm network and the card that says how its answers are to be read."""

    runtime: Runtime
    card: Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an analysis takes from the configuration. It travels to the child process."""

    weights: Path
    device: Device
    threads: int
    cache: Path
    installation: Installation
    untrained_expansion: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """How an analysis ended: DONE or REJECTED, why in words, and the objects that tell the PACS."""

    state: JobState
    text: str
    objects: Sequence[ReportObject]
    findings: Findings | None = None


def open_network(weights: Path, settings: Settings) -> Network:
    """Loads and warms up the network. Raises ConfigError for weights that are not what their card says."""
    card = read_card(weights)
    runtime = open_runtime(weights, device=settings.device, cache=settings.cache, threads=settings.threads)
    runtime.warm_up()
    return Network(runtime=runtime, card=card)


def find(volume: Volume, network: Network, *, untrained_expansion: bool = False) -> Findings:
    """Segments the haematoma and measures it on the native grid. Raises Rejected for what is not a head."""
    prepared = prepare(volume, PRESETS[network.card.preset])
    prediction = network.runtime.predict(prepared)
    probability = resample(prediction.probability, prediction.geometry, volume.geometry, fill=0.0)
    mask = largest_components(probability >= network.card.threshold, volume.geometry, network.card.min_component_ml)
    expansion = _expansion(prediction, network.card, untrained_expansion) if mask.any() else None
    doubts = [Doubt(flag=flag) for flag in prepared.flags - volume.flags]
    return measure(volume, mask, prediction.model, expansion, doubts)


def analyse(
    datasets: Sequence[Dataset],
    network: Network,
    settings: Settings,
    *,
    at: datetime,
    missing: int = 0,
    predecessors: Sequence[Reference] = (),
) -> Result:
    """The whole walk of one series. What cannot be analysed ends as a report that says why, never as silence.

    ``at``: the time to write into the objects. ``missing``: slices known to be missing, which is flagged.
    """
    flags = frozenset({Flag.QF_MISSING} if missing else ())
    try:
        loaded = load_series(datasets)
        volume = replace(loaded, flags=loaded.flags | flags)
        findings = find(volume, network, untrained_expansion=settings.untrained_expansion)
    except Rejected as error:
        return explain(datasets, str(error), settings, at=at, missing=missing, predecessors=predecessors)
    source = Source(datasets=tuple(datasets), volume=volume)
    objects = build_result(source, findings, settings.installation, at, predecessors)
    return Result(state=JobState.DONE, text=_in_words(findings), objects=objects, findings=findings)


def explain(
    datasets: Sequence[Dataset],
    reason: str,
    settings: Settings,
    *,
    at: datetime,
    missing: int = 0,
    predecessors: Sequence[Reference] = (),
) -> Result:
    """The report that says that, and why, a series was not analysed."""
    flags = frozenset({Flag.QF_MISSING} if missing else ())
    objects = build_not_analysed(datasets, reason, flags, settings.installation, at, predecessors)
    return Result(state=JobState.REJECTED, text=reason, objects=objects)


def open_performer(settings: Settings, store: Store) -> tuple[str, Perform]:
    """What the worker's child process does: the network loaded once, then one task after the other."""
    network = open_network(settings.weights, settings)

    def perform(task: Task) -> Done:
        paths = [Path(path) for path in task.paths]
        datasets = read_datasets(paths)
        at = datetime.fromtimestamp(task.at).astimezone()
        if task.explain:
            result = explain(
                datasets, task.explain, settings, at=at, missing=task.missing, predecessors=task.predecessors
            )
        else:
            chosen = open_network(Path(task.weights), settings) if task.weights else network
            result = analyse(datasets, chosen, settings, at=at, missing=task.missing, predecessors=task.predecessors)
        outputs = tuple(write_object(store, made) for made in result.objects)
        return Done(state=result.state, text=result.text, outputs=outputs)

    return network.runtime.name, perform


def write_object(store: Store, made: ReportObject) -> OutputFile:
    """Checks an object against the standard and writes it durably. Raises NotConformant, OSError.

    What was written under this UID before stays: a published object never changes, whatever library or time zone did.
    """
    dataset = made.dataset
    path = store.output_path(dataset.SOPInstanceUID)
    target = store.resolve(path)
    if target.exists():
        encoded = target.read_bytes()
    else:
        check(dataset)
        encoded = encode(dataset)
        write_durably(target, encoded)
    return OutputFile(
        kind=made.kind,
        number=made.number,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        path=path,
        sha256=sha256_of(encoded),
    )


def _in_words(findings: Findings) -> str:
    if findings.undetermined:
        return "undetermined: the brain could not be told from the rest of the image"
    return f"haematoma of {findings.volume_ml:.1f} mL" if findings.present else "no haematoma found"


def _expansion(prediction: Prediction, card: Card, untrained_expansion: bool) -> Expansion | None:
    trained = card.expansion == "trained"
    if not trained and not untrained_expansion:
        return None
    return Expansion(probability=prediction.expansion, threshold=card.expansion_threshold, trained_on_patients=trained)
