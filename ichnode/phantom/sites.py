"""Where spontaneous haematomas sit, and how one is fitted into a head."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Inside = NDArray[np.bool_]

TRIES: Final = 24
ENOUGH: Final = 0.97  # of a sphere of the haematoma's size within the brain: no better place is sought
FALX_MM: Final = 1.5  # a haematoma of one hemisphere stops this far from the midline


class Brain(Protocol):
    """A head as far as a place is sought in it."""

    def brain_at(self, points: Points) -> Inside:
        """Inside of the skull (..., 3) -> (...,)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place: ``at`` (x to the side, y to the back, z up) and its spread as shares of the brain's half-extents."""

    at: tuple[float, float, float]
    spread: float
    largest_ml: float
    slender: float  # front to back against side to side
    weight: float  # how often it is drawn; after series of spontaneous haemorrhage: half deep, a third lobar
    hemisphere: bool = True


SITES: Final = {
    "putamen": Site(at=(0.40, -0.02, -0.02), spread=0.06, largest_ml=150, slender=1.9, weight=0.38),
    "thalamus": Site(at=(0.22, 0.14, 0.02), spread=0.04, largest_ml=40, slender=1.35, weight=0.20),
    "frontal": Site(at=(0.42, -0.48, 0.32), spread=0.10, largest_ml=150, slender=1.35, weight=0.08),
    "parietal": Site(at=(0.46, 0.36, 0.45), spread=0.10, largest_ml=150, slender=1.3, weight=0.09),
    "temporal": Site(at=(0.66, 0.02, -0.22), spread=0.07, largest_ml=100, slender=1.6, weight=0.08),
    "occipital": Site(at=(0.34, 0.66, 0.02), spread=0.07, largest_ml=100, slender=1.3, weight=0.05),
    "cerebellum": Site(at=(0.32, 0.55, -0.62), spread=0.06, largest_ml=30, slender=1.1, weight=0.07),
    "pons": Site(at=(0.0, 0.16, -0.58), spread=0.03, largest_ml=12, slender=0.9, weight=0.05, hemisphere=False),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """A centre (3,) mm, the hemisphere (1 left, -1 right, 0 neither) and the brain a haematoma may fill from there."""

    site: str
    side: int
    centre_mm: NDArray[np.float32]
    brain: Brain

    def room_at(self, points: Points) -> Inside:
        """Whether blood of this haematoma may be at ``points`` (..., 3): in the brain, on its side of the falx."""
        within = self.brain.brain_at(points)
        return within & (points[..., 0] * self.side > FALX_MM) if self.side else within

    def room_around(self, offsets: Points) -> Inside:
        """The same for points given in mm off the centre."""
        return self.room_at(offsets + self.centre_mm)


def draw_place(rng: np.random.Generator, brain: Brain, volume_ml: float, site: str | None) -> Place:
    """A place for ``volume_ml``: of some draws around the site the first that has room, else the one with most."""
    name = site or _draw_site(rng, volume_ml)
    chosen = SITES[name]
    side = int(rng.choice([-1, 1])) if chosen.hemisphere else 0
    mirror = np.array([side or 1, 1, 1])
    low, high = _extents_mm(brain.brain_at)
    radius = (volume_ml * 750 / np.pi) ** (1 / 3)
    sphere = rng.normal(size=(200, 3))
    sphere *= radius / np.linalg.norm(sphere, axis=1, keepdims=True)
    best, most = None, -1.0
    for attempt in range(TRIES):
        share = (np.array(chosen.at) + rng.normal(0, chosen.spread * (1 + attempt / 12), 3)) * mirror
        centre = np.where(share > 0, share * high, -share * low).astype(np.float32)
        place = Place(site=name, side=side, centre_mm=centre, brain=brain)
        free = float(place.room_around(sphere.astype(np.float32)).mean()) if place.room_around(_ORIGIN).all() else 0.0
        if free > most:
            best, most = place, free
        if free > ENOUGH:
            break
    assert best is not None  # TRIES is not 0
    return best


_ORIGIN: Final = np.zeros((1, 3), np.float32)


def _draw_site(rng: np.random.Generator, volume_ml: float) -> str:
    fitting = {name: site.weight for name, site in SITES.items() if volume_ml <= site.largest_ml} or {"putamen": 1.0}
    weights = np.array(list(fitting.values()))
    return str(rng.choice(list(fitting), p=weights / weights.sum()))


def _extents_mm(brain_at: Callable[[Points], Inside]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far the brain reaches from the origin along -x, -y, -z (negative) and along x, y, z, each (3,)."""
    steps = np.arange(0, 130, 1.0)
    reach = np.zeros((2, 3))
    for axis in range(3):
        for row, sign in enumerate((-1, 1)):
            points = np.zeros((len(steps), 3), np.float32)
            points[:, axis] = sign * steps
            inside = brain_at(points)
            reach[row, axis] = sign * (steps[inside].max() if inside.any() else 0.0)
    return reach[0], reach[1]
