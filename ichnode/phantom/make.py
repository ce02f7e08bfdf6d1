"""From a specification to a phantom: head, lesions, scan, follow-up, and the truth about all of them."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ichnode.domain.flags import Flag
from ichnode.domain.geometry import Geometry, Vector
from ichnode.domain.values import FrameSource, Volume
from ichnode.phantom.acquire import Acquired, Acquisition, Pose, acquire
from ichnode.phantom.anatomy import Head, make_head
from ichnode.phantom.bleed import Lesions, make_lesions
from ichnode.phantom.growth import grow
from ichnode.phantom.identity import uid
from ichnode.phantom.scene import Scene
from ichnode.phantom.spec import VERSION, PhantomSpec
from ichnode.phantom.vendors import VENDORS

# What each part is drawn from: changing one part leaves the others as they were.
HEAD, LESIONS, POSE, NOISE, FOLLOWUP_POSE, FOLLOWUP_NOISE = range(1, 7)
TOP_MM: Final = (0.0, 6.0, 13.0)  # beyond the top of the vault: bone, scalp and a little air
FLOOR_MM: Final = (0.0, 27.0, -66.0)  # the foramen magnum, where a scan of the head begins
UNEQUAL_FACTORS: Final = (0.45, 1.0, 1.4)  # of the slice distance: skull base, middle, vertex


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scan:
    """One scan: ``volume`` as a node would load it, ``bleed`` (Z, Y, X) the voxels that are at least half blood.

    ``volume_ml`` of that mask on the grid; ``share_ml``: the blood itself, voxel shares summed.
    """

    volume: Volume
    bleed: NDArray[np.bool_]
    volume_ml: float
    share_ml: float
    acquisition: Acquisition
    padded: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Phantom:
    """A phantom and its truth. ``followup`` is None unless the specification asks for growth."""

    spec: PhantomSpec
    baseline: Scan
    followup: Scan | None
    lesions: Lesions

    @property
    def volume(self) -> Volume:
        """The baseline scan."""
        return self.baseline.volume

    @property
    def bleed(self) -> NDArray[np.bool_]:
        """(Z, Y, X) the baseline's mask."""
        return self.baseline.bleed

    def truth(self) -> dict[str, Any]:
        """All that is known, JSON-able."""
        geometry = self.volume.geometry
        found: dict[str, Any] = {
            "version": VERSION,
            "spec": self.spec.as_dict(),
            "volume_ml": round(self.baseline.volume_ml, 4),
            "share_ml": round(self.baseline.share_ml, 4),
            "tilt_deg": round(geometry.tilt_deg, 4),
            "spacing_mm": [geometry.row_spacing_mm, geometry.column_spacing_mm],
            "gaps_mm": [round(float(gap), 4) for gap in geometry.gaps_mm],
            "pose": {
                "turn_deg": list(self.baseline.acquisition.pose.turn_deg),
                "shift_mm": list(self.baseline.acquisition.pose.shift_mm),
            },
            "lesions": self.lesions.truth.as_dict(),
        }
        if self.followup is not None:
            found["followup"] = {
                "volume_ml": round(self.followup.volume_ml, 4),
                "share_ml": round(self.followup.share_ml, 4),
            }
        return found


def make_phantom(spec: PhantomSpec) -> Phantom:
    """The phantom that ``spec`` describes; the same specification yields the same bytes."""
    head = make_head(_rng(spec, HEAD), craniotomy=spec.craniotomy)
    lesions = make_lesions(
        _rng(spec, LESIONS),
        head,
        volume_ml=spec.volume_ml,
        markers=spec.markers,
        strength=spec.strength,
        distractors=spec.distractors,
        site=spec.site,
    )
    baseline = _scan(head, lesions, spec, POSE, NOISE)
    followup = None
    if spec.growth_ml is not None:
        followup = _scan(head, grow(lesions, head, growth_ml=spec.growth_ml), spec, FOLLOWUP_POSE, FOLLOWUP_NOISE)
    return Phantom(spec=spec, baseline=baseline, followup=followup, lesions=lesions)


def _rng(spec: PhantomSpec, part: int) -> np.random.Generator:
    return np.random.default_rng([spec.seed, part])


def _scan(head: Head, lesions: Lesions, spec: PhantomSpec, pose: int, grain: int) -> Scan:
    acquisition = draw_acquisition(head, spec, _rng(spec, pose))
    acquired = acquire(Scene(head=head, lesions=lesions.lesions), acquisition, _rng(spec, grain))
    bleed = acquired.blood >= 0.5
    weights = acquired.geometry.voxel_volumes_ml
    return Scan(
        volume=_volume(acquired, spec, "baseline" if pose == POSE else "followup"),
        bleed=bleed,
        volume_ml=float(bleed.sum(axis=(1, 2)) @ weights),
        share_ml=float(acquired.blood.sum(axis=(1, 2), dtype=np.float64) @ weights),
        acquisition=acquisition,
        padded=acquired.padded,
    )


def draw_acquisition(head: Head, spec: PhantomSpec, rng: np.random.Generator) -> Acquisition:
    """A scan of ``head`` with the options of ``spec``: pose, field of view, noise, from below the skull to above it."""
    turn = rng.normal(0, (4.0, 2.0, 4.0))
    shift = rng.normal(0, (4.0, 5.0, 1.0)) + np.array([0.0, -4.0, rng.uniform(-300, 300)])
    pixel = float(rng.choice([0.4297, 0.4492, 0.4688, 0.4883]))
    quiet, first, hardening = rng.uniform(0.85, 1.2), rng.random(), rng.uniform(0.6, 1.3)
    pose = Pose(turn_deg=tuple(np.round(turn, 3)), shift_mm=tuple(np.round(shift, 3)))
    thin = np.clip((5.0 / spec.thickness_mm) ** 0.5, 0.8, 2.0)
    acquisition = Acquisition(
        table_mm=(0.0, 1.0),
        thickness_mm=spec.thickness_mm,
        centre_mm=(float(round(shift[0] * 0.5, 1)), float(round(shift[1] * 0.5, 1))),
        pose=pose,
        pixel_mm=pixel * 512 / spec.matrix,
        rows=spec.matrix,
        columns=spec.matrix,
        tilt_deg=spec.tilt_deg,
        noise_hu=float(3.0 * quiet * thin),
        blur_mm=VENDORS[spec.vendor].blur_mm,
        hardening=float(hardening),
        vendor=spec.vendor,
    )
    return replace(acquisition, table_mm=_table_mm(head, acquisition, spec, first))


def _table_mm(head: Head, acquisition: Acquisition, spec: PhantomSpec, first: float) -> tuple[float, ...]:
    """Table positions that cover the head; ``first`` in [0, 1] shifts them by a part of the slice distance."""
    geometry = acquisition.geometry
    top = np.array([0, 0, head.shell.semi_mm[2]]) + np.asarray(TOP_MM)
    axis = np.array([*acquisition.centre_mm, 0.0])
    low, high = sorted(
        _crossing(acquisition.pose.to_patient(place) - axis, geometry) for place in (np.array(FLOOR_MM), top)
    )
    step = spec.thickness_mm
    places = [low - first * step]
    while places[-1] < high:
        places.append(places[-1] + step * (_factor((places[-1] - low) / (high - low)) if spec.unequal else 1.0))
    return tuple(round(float(place), 3) for place in places)


def _crossing(point: Vector, geometry: Geometry) -> float:
    """Table position of the plane through ``point`` (3,)."""
    return float(point @ geometry.normal / geometry.normal[2])


def _factor(height: float) -> float:
    base, middle, vertex = UNEQUAL_FACTORS
    return base if height < 0.3 else middle if height < 0.75 else vertex


def _volume(acquired: Acquired, spec: PhantomSpec, which: str) -> Volume:
    geometry = acquired.geometry
    seen = {
        Flag.QF_TILT: geometry.is_tilted,
        Flag.QF_UNEQUAL: geometry.is_unequal,
        Flag.QF_THICK: spec.thickness_mm > 6,
    }
    sources = tuple(FrameSource(sop_instance_uid=uid(spec, which, str(k))) for k in range(geometry.shape[0]))
    flags = frozenset(flag for flag, is_set in seen.items() if is_set)
    return Volume(hu=acquired.hu, geometry=geometry, sources=sources, flags=flags)
