"""What lies in a head beside the haematoma and must not be taken for it: none of it counts for the mask."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from ichnode.phantom.field import Waves, ramp, waves
from ichnode.phantom.haematoma import Array, Haematoma, Inside, within
from ichnode.phantom.sites import SITES, draw_place
from ichnode.phantom.truth import Evidence

DISTRACTORS: Final = ("intraventricular", "calcification", "infarct", "subdural")
VENTRICLES_MM: Final = (45.0, 75.0, 55.0)  # half-box about the origin that holds them
SAMPLE_MM: Final = 2.0
LOBES: Final = ("frontal", "parietal", "temporal", "occipital", "cerebellum")


class Cavity(Protocol):
    """A head as far as distractors need it."""

    def brain_at(self, points: Array) -> Inside:
        """Inside of the skull (..., 3) -> (...,)."""
        ...

    def ventricle_at(self, points: Array) -> Inside:
        """Inside of the ventricles of the undisplaced head."""
        ...


class Beside:
    """The part all distractors share: they push nothing and are no blood of the parenchyma."""

    __slots__ = ()

    def displace(self, points: Array) -> Array:
        """``points`` themselves."""
        return points

    def blood_at(self, points: Array) -> Inside:
        """Nowhere, (...,)."""
        return np.zeros(points.shape[:-1], bool)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Intraventricular(Beside):
    """Blood that has sunk in the ventricles: behind ``level_mm`` (y), on ``side`` (1 left, -1 right, 0 both)."""

    head: Cavity
    level_mm: float
    side: int
    hu: float
    pushed_by: Haematoma | None

    @property
    def box_mm(self) -> Array:
        """(2, 3) corners of the box outside of which nothing is changed."""
        half = np.asarray(VENTRICLES_MM, np.float32) + 10
        return np.asarray([-half, half], np.float32)

    def paint(self, points: Array, hu: Array) -> Array:
        """``hu`` (...,) with the ventricles' blood at ``points`` (..., 3)."""
        painted = hu.copy()
        near = within(points, self.box_mm)
        looked_up = self.pushed_by.displace(points[near]) if self.pushed_by else points[near]
        near[near] = filled(self.head, looked_up, self.level_mm, self.side)
        painted[near] = self.hu
        return painted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calcification(Beside):
    """Dense spots: balls at ``centres_mm`` (N, 3) with ``radii_mm`` (N,) and ``hu`` (N,) at their middle."""

    centres_mm: Array
    radii_mm: Array
    hu: Array

    @property
    def box_mm(self) -> Array:
        """(2, 3) corners of the box outside of which nothing is changed."""
        margin = self.radii_mm[:, None] + 1
        return np.asarray([(self.centres_mm - margin).min(axis=0), (self.centres_mm + margin).max(axis=0)], np.float32)

    def paint(self, points: Array, hu: Array) -> Array:
        """``hu`` (...,) with the spots at ``points`` (..., 3), never made darker."""
        painted = hu.copy()
        near = within(points, self.box_mm)
        at, local = points[near], painted[near]
        for centre, radius, peak in zip(self.centres_mm, self.radii_mm, self.hu, strict=True):
            share = ramp(radius - np.linalg.norm(at - centre, axis=-1), 1.0)
            local = np.maximum(local, local + share * (peak - local))
        painted[near] = local
        return painted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Infarct(Beside):
    """An old infarct: tissue darkened to ``hu`` in an ellipsoid with a ragged edge of ``soft_mm``."""

    head: Cavity
    centre_mm: Array  # (3,)
    semi_mm: Array  # (3,)
    hu: float
    soft_mm: float
    ragged: Waves

    @property
    def box_mm(self) -> Array:
        """(2, 3) corners of the box outside of which nothing is changed."""
        margin = 2 * self.semi_mm + self.soft_mm
        return np.asarray([self.centre_mm - margin, self.centre_mm + margin], np.float32)

    def paint(self, points: Array, hu: Array) -> Array:
        """``hu`` (...,) with the infarct at ``points`` (..., 3); what is darker or denser than tissue stays."""
        painted = hu.copy()
        near = within(points, self.box_mm)
        near[near] = self.head.brain_at(points[near])
        at, local = points[near], hu[near]
        radius = np.linalg.norm((at - self.centre_mm) / self.semi_mm, axis=-1)
        outside_mm = (radius - 1 + 0.12 * self.ragged(at)) * self.semi_mm.min()
        share = ramp(-outside_mm, self.soft_mm) * ((local > self.hu) & (local < 60))
        painted[near] = local + share * (np.float32(self.hu) - local)
        return painted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subdural(Beside):
    """A thin crescent under the skull of one ``side``, ``thick_mm`` at ``middle_mm`` (y, z) gone at ``reach_mm``."""

    head: Cavity
    side: int
    thick_mm: float
    middle_mm: tuple[float, float]
    reach_mm: float
    hu: float

    @property
    def box_mm(self) -> Array:
        """(2, 3) corners of the box outside of which nothing is changed."""
        y, z = self.middle_mm
        low, high = sorted((self.side * 20.0, self.side * 95.0))
        reach = self.reach_mm
        return np.asarray([[low, y - reach, z - reach], [high, y + reach, z + reach]], np.float32)

    def paint(self, points: Array, hu: Array) -> Array:
        """``hu`` (...,) with the crescent at ``points`` (..., 3)."""
        painted = hu.copy()
        near = within(points, self.box_mm)
        near[near] = self.head.brain_at(points[near])
        at = points[near]
        off = ((at[..., 1:] - np.asarray(self.middle_mm, np.float32)) ** 2).sum(axis=-1) / np.float32(self.reach_mm**2)
        outwards = at / np.linalg.norm(at, axis=-1, keepdims=True)
        thick = np.float32(self.thick_mm) * np.clip(1 - off, 0, 1)
        near[near] = ~self.head.brain_at(at + outwards * thick[..., None])
        painted[near] = self.hu
        return painted


Distractor = Intraventricular | Calcification | Infarct | Subdural


def filled(head: Cavity, points: Array, level_mm: float, side: int) -> Inside:
    """Whether undisplaced ``points`` (..., 3) lie in a ventricle behind ``level_mm`` on ``side``."""
    behind = (points[..., 1] > level_mm) & (points[..., 0] * side >= 0)
    behind[behind] = head.ventricle_at(points[behind])
    return behind


def draw_distractors(
    rng: np.random.Generator, head: Cavity, wanted: AbstractSet[str], blood: Haematoma | None
) -> tuple[tuple[Distractor, ...], dict[str, tuple[Evidence, ...]]]:
    """The ``wanted`` distractors in the order of painting, and what is to be told of each."""
    made: list[Distractor] = []
    told: dict[str, tuple[Evidence, ...]] = {}
    for name in (name for name in DISTRACTORS[::-1] if name in wanted):
        match name:
            case "intraventricular":
                drawn, evidence = _intraventricular(rng, head, blood)
            case "calcification":
                drawn, evidence = _calcification(rng)
            case "infarct":
                drawn, evidence = _infarct(rng, head)
            case _:
                drawn, evidence = _subdural(rng, head)
        made.append(drawn)
        told[name] = evidence
    return tuple(made), told


def _intraventricular(
    rng: np.random.Generator, head: Cavity, blood: Haematoma | None
) -> tuple[Distractor, tuple[Evidence, ...]]:
    axes = [np.arange(-half, half, SAMPLE_MM) for half in VENTRICLES_MM]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
    side = blood.place.side if blood and rng.random() < 0.6 else 0
    lumen = points[filled(head, points, -np.inf, side)]
    level = float(np.quantile(lumen[:, 1], 1 - rng.uniform(0.08, 0.5))) if len(lumen) else 0.0
    drawn = Intraventricular(head=head, level_mm=level, side=side, hu=float(rng.uniform(48, 64)), pushed_by=blood)
    volume_ml = float((lumen[:, 1] > level).sum() * SAMPLE_MM**3 / 1000)
    return drawn, ({"level_y_mm": round(level, 1), "volume_ml": round(volume_ml, 2), "hu": round(drawn.hu, 1)},)


def _calcification(rng: np.random.Generator) -> tuple[Distractor, tuple[Evidence, ...]]:
    """Both pallida, not quite alike, and sometimes a spot elsewhere."""
    centres, radii = [], []
    for side in (-1, 1):
        for _ in range(int(rng.integers(1, 4))):
            centres.append(np.array([side * 19.0, -4.0, -2.0]) + rng.normal(0, [2, 4, 3]))
            radii.append(rng.uniform(1.2, 3.2))
    if rng.random() < 0.5:
        centres.append(rng.uniform([-45, -50, 5], [45, 50, 40]))
        radii.append(rng.uniform(1.5, 4))
    peaks = rng.uniform(110, 260, len(radii))
    drawn = Calcification(
        centres_mm=np.asarray(centres, np.float32),
        radii_mm=np.asarray(radii, np.float32),
        hu=np.asarray(peaks, np.float32),
    )
    told = tuple(
        {"centre_mm": [round(float(v), 1) for v in c], "radius_mm": round(float(r), 2), "hu": round(float(p), 1)}
        for c, r, p in zip(centres, radii, peaks, strict=True)
    )
    return drawn, told


def _infarct(rng: np.random.Generator, head: Cavity) -> tuple[Distractor, tuple[Evidence, ...]]:
    site = str(rng.choice([name for name in LOBES if name in SITES]))
    centre = draw_place(rng, head, 15, site).centre_mm
    semi = rng.uniform([8, 10, 8], [18, 24, 18])
    old = rng.random() < 0.6
    drawn = Infarct(
        head=head,
        centre_mm=centre,
        semi_mm=np.asarray(semi, np.float32),
        hu=float(rng.uniform(8, 13) if old else rng.uniform(16, 22)),
        soft_mm=float(rng.uniform(1.5, 3) if old else rng.uniform(4, 7)),
        ragged=waves(rng, 14),
    )
    told = {"centre_mm": [round(float(v), 1) for v in centre], "semi_mm": [round(float(v), 1) for v in semi]}
    return drawn, ({**told, "hu": round(drawn.hu, 1)},)


def _subdural(rng: np.random.Generator, head: Cavity) -> tuple[Distractor, tuple[Evidence, ...]]:
    drawn = Subdural(
        head=head,
        side=int(rng.choice([-1, 1])),
        thick_mm=float(rng.uniform(3, 6)),
        middle_mm=(float(rng.uniform(-20, 25)), float(rng.uniform(25, 35))),
        reach_mm=float(rng.uniform(28, 45)),
        hu=float(rng.uniform(50, 66)),
    )
    return drawn, ({"side": "left" if drawn.side > 0 else "right", "thick_mm": round(drawn.thick_mm, 1)},)
