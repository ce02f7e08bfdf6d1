"""The same haematoma in two scans: what is known of the earlier one, and how much it has grown."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichnode.domain.outputs import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """An earlier result of the same patient, as the queue hands it on.

    ``acquired_at``: when its images were taken, seconds since the epoch. ``paths``: its images, absolute. ``seg_path``:
    its segmentation, absolute. Both are empty where retention has deleted them. ``report`` and ``seg``: what a
    reference to it names; no ``seg`` where nothing was found. ``earlier``: (acquired at, mL) of every scan that came
    before the one in hand, from this one on, ascending. ``job_id``: the job that made it. ``weights_sha256``: of what
    measured it, hex; empty where that was not kept.
    """

    study_instance_uid: str
    acquired_at: float
    volume_ml: float
    paths: tuple[str, ...]
    report: Reference
    seg_path: str | None = None
    seg: Reference | None = None
    earlier: tuple[tuple[float, float], ...] = ()
    job_id: int | None = None
    weights_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracked:
    """The parts of an earlier haematoma, as its segmentation has them.

    ``labels`` (Z, Y, X) uint16 on the grid of the earlier scan: the segment at each voxel, 0 outside. ``tracking``:
    segment number -> tracking ID and UID.
    """

    labels: NDArray[np.uint16]
    tracking: Mapping[int, tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Section:
    """The earlier scan in the plane of a slice of the later one: ``hu`` (Y, X) float32 and its ``mask`` (Y, X) bool."""

    hu: NDArray[np.float32]
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Growth:
    """How a haematoma has changed since an earlier scan, ``hours`` before. Volumes in mL, of all its parts.

    ``expanded``: by the definition, at least 6 mL or at least 33 %. ``baseline``: the earlier result. ``history``:
    (hours since the first scan, mL), ascending, this scan last. ``before``: the earlier scan, moved onto the later
    one's key slice; None where the heads could not be laid on each other: ``unregistered`` says why.
    """

    hours: float
    baseline_ml: float
    followup_ml: float
    expanded: bool
    baseline: Baseline
    history: tuple[tuple[float, float], ...] = ()
    before: Section | None = None
    unregistered: str = ""

    @property
    def growth_ml(self) -> float:
        """mL gained; negative where it has shrunk."""
        return self.followup_ml - self.baseline_ml

    @property
    def growth_percent(self) -> float | None:
        """The gain in percent of the baseline; None where there was nothing to grow."""
        return 100 * self.growth_ml / self.baseline_ml if self.baseline_ml > 0 else None
