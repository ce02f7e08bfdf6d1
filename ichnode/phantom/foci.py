"""Separate small haematomas beside the main one: satellites and islands."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Final

import numpy as np

from ichnode.phantom.haematoma import Array, Focus, Haematoma

FOCI_SHARE: Final = 0.3  # of the whole volume that foci have at most
LARGEST_MM: Final = 4.4  # radius: under the 10 mm diameter of a satellite
BETWEEN_MM: Final = 2.0  # two foci never touch
TRIES: Final = 200


def draw_foci(
    rng: np.random.Generator, blood: Haematoma, *, marker: str, count: int, gap_mm: float, volume_ml: float
) -> tuple[Focus, ...] | None:
    """``count`` balls around the main haematoma on the height of its largest slice; None: they find no room."""
    largest = min(LARGEST_MM, (FOCI_SHARE * volume_ml / count * 750 / np.pi) ** (1 / 3))
    found: list[Focus] = []
    for attempt in range(TRIES):
        shrink = 1 - 0.4 * attempt / TRIES
        angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.75, 1) * largest * shrink
        direction = np.array([np.cos(angle), np.sin(angle), rng.uniform(-0.2, 0.2)])
        direction = (direction / np.linalg.norm(direction)).astype(np.float32)
        gap = gap_mm * (1 if count == 1 else rng.uniform(1, 1.8))
        placed = put(
            blood,
            Focus(marker=marker, centre_mm=direction, radius_mm=float(radius), direction=direction, gap_mm=float(gap)),
        )
        if placed and apart((*blood.foci, *found, placed)):
            found.append(placed)
        if len(found) == count:
            return tuple(found)
    return None


def put(blood: Haematoma, focus: Focus) -> Focus | None:
    """``focus`` moved out along its direction until its gap to the main haematoma is kept; None: not in the brain."""
    axis = blood.place.centre_mm + np.array([0, 0, blood.scale_mm * blood.largest_z], np.float32)
    ways = np.arange(0, blood.scale_mm * blood.shape.reach + 25, 0.1, dtype=np.float32)
    ball = _ball() * np.float32(focus.radius_mm)
    coarse = blood.main(axis + ways[:, None] * focus.direction)[0] >= focus.radius_mm
    inner = np.flatnonzero(~coarse)
    for way in ways[inner[-1] + 1 if len(inner) else 0 :]:
        surface = axis + way * focus.direction + ball
        if blood.main(surface)[0].min() >= focus.gap_mm:
            centre = axis + way * focus.direction
            return replace(focus, centre_mm=centre) if blood.place.room_at(surface).all() else None
    return None


def apart(foci: Sequence[Focus]) -> bool:
    """Whether no two of ``foci`` come nearer to each other than BETWEEN_MM."""
    return all(
        np.linalg.norm(one.centre_mm - other.centre_mm) > one.radius_mm + other.radius_mm + BETWEEN_MM
        for one, other in combinations(foci, 2)
    )


def _ball() -> Array:
    """(200, 3) points spread evenly over the unit sphere (Fibonacci)."""
    k = np.arange(200) + 0.5
    height = 1 - k / 100
    turn = k * np.pi * (1 + 5**0.5)
    width = np.sqrt(1 - height**2)
    return np.stack([width * np.cos(turn), width * np.sin(turn), height], axis=1).astype(np.float32)
