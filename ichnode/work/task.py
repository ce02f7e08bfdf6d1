"""What a worker hands to its child process for one job, and what it gets back."""

from collections.abc import Callable
from dataclasses import dataclass

from ichnode.domain.figures import Figures
from ichnode.domain.followup import Baseline
from ichnode.domain.outputs import OutputFile, Reference
from ichnode.domain.states import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One job, with all that the child needs: it has neither the queue nor the configuration.

    ``paths``: instance files, absolute. ``at``: the time written into the objects, fixed with the series, so that a
    second run writes the same bytes. ``explain``: the sentence why the series is not analysed; empty: analyse it.
    ``awaited``: it was chosen to be analysed, and someone looks for its result.
    ``missing``: slices known to be missing. ``weights``: folder that a replay asked for, or None.
    ``predecessors``: the reports that this one supersedes. ``acquired_at``: when the images were taken. ``baseline``:
    the earlier result to compare with. ``onset_h``: hours from onset to CT, as a person told them. ``report_alone``:
    only the SR is to be made anew.
    """

    job_id: int
    paths: tuple[str, ...]
    at: float
    explain: str
    awaited: bool
    missing: int
    weights: str | None
    predecessors: tuple[Reference, ...]
    acquired_at: float | None = None
    baseline: Baseline | None = None
    onset_h: float | None = None
    report_alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The job ended: DONE or REJECTED, in words without patient data, with its durable objects and its figures."""

    state: JobState
    text: str
    outputs: tuple[OutputFile, ...]
    figures: Figures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The job did not end; ``error`` says why. ``permanent``: another attempt would not help (wrong weights).
    ``blameless``: no series would have fared better (a full disk), so that the attempt does not count."""

    error: str
    hint: str = ""
    permanent: bool = False
    blameless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The child has loaded its network and warmed it up. ``runtime`` names it."""

    runtime: str


Reply = Done | Broken | Ready
Perform = Callable[[Task], Done]
OpenPerformer = Callable[[], tuple[str, Perform]]  # runs in the child: (name of the runtime, what does a task)
