"""What happens to one series, in reading order: images -> volume -> prediction -> findings -> objects."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from pydicom.dataset import Dataset

from ichnode.domain.errors import IchnodeError, Refused, Rejected
from ichnode.domain.figures import Figures
from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.followup import Baseline
from ichnode.domain.onset import OnsetRule
from ichnode.domain.outputs import ObjectKind, OutputFile, Reference
from ichnode.domain.profile import Profile
from ichnode.domain.states import JobState
from ichnode.domain.values import Expansion, Findings, Onset, Prediction, Volume
from ichnode.doubted import doubted_input
from ichnode.findings.describe import describe
from ichnode.findings.gates.headers import NOTHING_STATED, Stated, stated
from ichnode.findings.gates.judge import doubts_of_mask, refuse
from ichnode.findings.gates.sight import look
from ichnode.findings.measure import largest_components, measure
from ichnode.followed import followed
from ichnode.image.load import load_series, read_datasets
from ichnode.image.onset import onset_of
from ichnode.image.resample import resample
from ichnode.model.runtime import Device, Runtime, open_runtime
from ichnode.model.weights import Card, read_card
from ichnode.report.accord import check_together
from ichnode.report.build import ReportObject, build_not_analysed, build_result
from ichnode.report.gate import check, encode
from ichnode.report.inputs import Installation, Source
from ichnode.store.files import sha256_of, write_durably
from ichnode.store.layout import Store
from ichnode.work.task import Done, Perform, Task

log = logging.getLogger(__name__)


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
    profiles: tuple[Profile, ...]
    untrained_expansion: bool
    refused: frozenset[Flag] = frozenset()
    onset_rules: tuple[OnsetRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a patient besides the images.

    ``acquired_at``: when the images were taken, seconds since the epoch; ``baseline``: the earlier result to compare
    with; ``onset_h``: hours from onset to CT that a person told, which count more than any header.
    """

    acquired_at: float | None = None
    baseline: Baseline | None = None
    onset_h: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """How an analysis ended: DONE or REJECTED, why in words, and the objects that tell the PACS."""

    state: JobState
    text: str
    objects: Sequence[ReportObject]
    findings: Findings | None = None

    @property
    def figures(self) -> Figures | None:
        """What the queue keeps of it; None where nothing was measured."""
        if self.findings is None:
            return None
        return Figures.of(self.findings, report_uid=self._uid(ObjectKind.SR), seg_uid=self._uid(ObjectKind.SEG))

    def _uid(self, kind: ObjectKind) -> str | None:
        """The object of a kind that others refer to: of several forms always the same."""
        found = [one.dataset for one in self.objects if one.kind is kind]
        return str(min(found, key=lambda one: str(one.SOPClassUID)).SOPInstanceUID) if found else None


def open_network(weights: Path, settings: Settings) -> Network:
    """Loads and warms up the network. Raises ConfigError for weights that are not what their card says."""
    card = read_card(weights)
    runtime = open_runtime(weights, device=settings.device, cache=settings.cache, threads=settings.threads)
    runtime.warm_up()
    return Network(runtime=runtime, card=card)


def find(
    volume: Volume,
    network: Network,
    *,
    untrained_expansion: bool = False,
    onset: Onset | None = None,
    patient_position: str = "",
    stated: Stated = NOTHING_STATED,
    refused: frozenset[Flag] = frozenset(),
) -> Findings:
    """Segments the haematoma, measures and describes it on the native grid, and says what is to be doubted.

    ``patient_position``: as the header has it; it says where a fluid level would settle. Raises Rejected for what is
    not a head, Refused for what bears a ``refused`` flag.
    """
    sight = look(volume)
    prepared, doubts = doubted_input(volume, sight, network.card, stated, refused)
    prediction = network.runtime.predict(prepared)
    probability = resample(prediction.probability, prediction.geometry, volume.geometry, fill=0.0)
    mask = largest_components(probability >= network.card.threshold, volume.geometry, network.card.min_component_ml)
    expansion = _expansion(prediction, network.card, untrained_expansion) if mask.any() else None
    of_mask = doubts_of_mask(sight, mask)
    refuse(of_mask, refused)
    measured = measure(volume, mask, prediction.model, expansion, (*doubts, *of_mask))
    described = partial(describe, volume, measured, onset, patient_position=patient_position)
    return _extra(measured, "markers and size", described)


def analyse(
    datasets: Sequence[Dataset],
    network: Network,
    settings: Settings,
    *,
    at: datetime,
    missing: int = 0,
    predecessors: Sequence[Reference] = (),
    known: Known = Known(),
) -> Result:
    """The whole walk of one series. What cannot be analysed ends as a report that says why, never as silence.

    ``at``: the time to write into the objects. ``missing``: slices known to be missing, which is flagged.
    """
    flags = frozenset({Flag.QF_MISSING} if missing else ())
    try:
        loaded = load_series(datasets)
        volume = replace(loaded, flags=loaded.flags | flags)
        position = str(datasets[0].get("PatientPosition", ""))
        findings = find(
            volume,
            network,
            untrained_expansion=settings.untrained_expansion,
            onset=_onset(datasets, settings, known),
            patient_position=position,
            stated=stated(datasets, missing),
            refused=settings.refused,
        )
    except Rejected as error:
        bears = error.flags if isinstance(error, Refused) else frozenset()
        return explain(datasets, str(error), settings, at=at, missing=missing, predecessors=predecessors, flags=bears)
    if known.baseline is not None and known.acquired_at is not None and not findings.undetermined:
        compared = partial(followed, findings, volume, known.baseline, known.acquired_at)
        findings = _extra(findings, "growth since the earlier scan", compared)
    source = Source(datasets=tuple(datasets), volume=volume)
    objects = build_result(source, findings, settings.installation, at, predecessors, settings.profiles)
    return Result(state=JobState.DONE, text=_in_words(findings), objects=objects, findings=findings)


def _extra(findings: Findings, what: str, add: Callable[[], Findings]) -> Findings:
    """What ``add`` makes of ``findings``.

    A defect in an extra must not cost the volume and the segmentation: it goes to the log, and the reader is told what
    is missing.
    """
    try:
        return add()
    except IchnodeError:
        raise
    except Exception as error:
        log.exception("failed: %s", what)
        doubt = Doubt(flag=Flag.QF_DEFECT, evidence=f"{what} could not be read ({type(error).__name__})")
        return replace(findings, doubts=(*findings.doubts, doubt))


def explain(
    datasets: Sequence[Dataset],
    reason: str,
    settings: Settings,
    *,
    at: datetime,
    missing: int = 0,
    predecessors: Sequence[Reference] = (),
    flags: frozenset[Flag] = frozenset(),
    awaited: bool = True,
) -> Result:
    """The report that says that, and why, a series was not analysed; ``flags`` that decided so. ``awaited``: it was
    chosen to be analysed, so that there is a page too."""
    flags |= {Flag.QF_MISSING} if missing else set()
    objects = build_not_analysed(
        datasets, reason, flags, settings.installation, at, predecessors, settings.profiles, awaited=awaited
    )
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
                datasets,
                task.explain,
                settings,
                at=at,
                missing=task.missing,
                predecessors=task.predecessors,
                awaited=task.awaited,
            )
        else:
            chosen = open_network(Path(task.weights), settings) if task.weights else network
            result = analyse(
                datasets,
                chosen,
                settings,
                at=at,
                missing=task.missing,
                predecessors=task.predecessors,
                known=Known(acquired_at=task.acquired_at, baseline=task.baseline, onset_h=task.onset_h),
            )
        check_together([made.dataset for made in result.objects])
        wanted = _reports_alone(result.objects, store) if task.report_alone else result.objects
        outputs = tuple(write_object(store, made) for made in wanted)
        return Done(state=result.state, text=result.text, outputs=outputs, figures=result.figures)

    return network.runtime.name, perform


def _reports_alone(objects: Sequence[ReportObject], store: Store) -> Sequence[ReportObject]:
    """The reports; all of ``objects`` where a segmentation that they refer to is new, for it was sent nowhere yet."""
    segs = [one.dataset.SOPInstanceUID for one in objects if one.kind is ObjectKind.SEG]
    if all(store.resolve(store.output_path(uid)).exists() for uid in segs):
        return [one for one in objects if one.kind is ObjectKind.SR]
    return objects


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
        profiles=made.profiles,
    )


def _in_words(findings: Findings) -> str:
    if findings.undetermined:
        return "undetermined: the brain could not be told from the rest of the image"
    return f"haematoma of {findings.volume_ml:.1f} mL" if findings.present else "no haematoma found"


def _onset(datasets: Sequence[Dataset], settings: Settings, known: Known) -> Onset | None:
    if known.onset_h is not None:
        return Onset(hours=known.onset_h, source="told by hand")
    return onset_of(datasets[0], settings.onset_rules, known.acquired_at)


def _expansion(prediction: Prediction, card: Card, untrained_expansion: bool) -> Expansion | None:
    trained = card.expansion == "trained"
    if not trained and not untrained_expansion:
        return None
    return Expansion(probability=prediction.expansion, threshold=card.expansion_threshold, trained_on_patients=trained)
