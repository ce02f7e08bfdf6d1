"""Lesions of a phantom head: one haematoma of a set volume with its markers, and distractors. This is the door.

Coordinates are head coordinates (LPS mm: x to the left, y to the back, z up, origin at the brain's centre). A lesion is
analytic: it may be asked at any points, so that every acquisition of it is exact.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ichnode.domain.errors import ConfigError
from ichnode.phantom.describe import describe
from ichnode.phantom.distractors import DISTRACTORS, draw_distractors
from ichnode.phantom.field import waves
from ichnode.phantom.foci import apart, draw_foci, put
from ichnode.phantom.haematoma import Haematoma
from ichnode.phantom.markers import FOCI, INCOMPATIBLE, MARKERS, MIN_VOLUME_ML, SATELLITE_GAP_MM
from ichnode.phantom.metaballs import Quadrature, scale_for
from ichnode.phantom.plant import PLANTED, Planter, plant
from ichnode.phantom.shapes import draw_irregular, draw_smooth
from ichnode.phantom.sites import SITES, Place, draw_place
from ichnode.phantom.truth import LesionTruth

Points = NDArray[np.float32]  # (..., 3) head coordinates, mm
Values = NDArray[np.float32]  # (...,) HU
Inside = NDArray[np.bool_]  # (...,)

SMALLEST_ML: Final = 0.2
LARGEST_ML: Final = 150.0
BRAIN_HU: Final = (18.0, 46.0)  # tissue, neither fluid nor calcium
ISLAND_GAP_MM: Final = 2.0
ATTEMPTS: Final = 12  # haematomas drawn until one has room for its markers


class HeadLike(Protocol):
    """What a lesion needs to know of the head: where the brain is, its ventricles, and how dense it is."""

    def hu_at(self, points: Points) -> Values:
        """HU of the head without lesions, (..., 3) -> (...,)."""
        ...

    def brain_at(self, points: Points) -> Inside:
        """Inside of the skull (..., 3) -> (...,)."""
        ...

    def ventricle_at(self, points: Points) -> Inside:
        """Inside of the ventricles of the undisplaced head."""
        ...


class Lesion(Protocol):
    """Something drawn into a head."""

    @property
    def box_mm(self) -> NDArray[np.float32]:
        """(2, 3) lowest and highest corner of the box outside of which the lesion changes nothing at all."""
        ...

    def displace(self, points: Points) -> Points:
        """Where the undisplaced anatomy of ``points`` is to be looked up; identity far away and outside the brain."""
        ...

    def paint(self, points: Points, hu: Values) -> Values:
        """``hu`` with the lesion drawn, same shape, at ``points`` (never displaced ones)."""
        ...

    def blood_at(self, points: Points) -> Inside:
        """Inside intracerebral blood that counts for the mask."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesions:
    """Lesions in the order of painting, and the truth about them (``truth.as_dict()`` is JSON-able)."""

    lesions: tuple[Lesion, ...]
    truth: LesionTruth


def make_lesions(
    rng: np.random.Generator,
    head: HeadLike,
    *,
    volume_ml: float | None,
    markers: AbstractSet[str] = frozenset(),
    strength: float = 1.5,
    distractors: AbstractSet[str] = frozenset(),
    site: str | None = None,
) -> Lesions:
    """Lesions of a head: a haematoma of ``volume_ml`` (None: none) with ``markers``, and ``distractors``.

    Names are those of markers.MARKERS, distractors.DISTRACTORS and sites.SITES (``site`` None: drawn). ``strength``
    counts for all markers alike: see plant.plant, shapes.draw_irregular and foci.draw_foci. markers.fitting says which
    markers a volume can have.

    Raises ConfigError for an unknown name, for a volume out of range and for markers that find no room.
    """
    _check(volume_ml, markers, distractors, site)
    if volume_ml is None:
        beside, told = draw_distractors(rng, head, distractors, None)
        return Lesions(lesions=beside, truth=LesionTruth(distractors=told))
    blood, inside, brain_hu = _with_markers(rng, head, volume_ml, markers, strength, site)
    truth = describe(blood, inside, dict.fromkeys(sorted(markers), strength), brain_hu)
    beside, told = draw_distractors(rng, head, distractors, blood)
    return Lesions(lesions=(*beside, blood), truth=replace(truth, distractors=told))


def brain_reference_hu(head: HeadLike, blood: Haematoma, inside: Quadrature) -> float:
    """Median HU of brain where the haematoma would be in the other hemisphere; in the pons, where it is."""
    points = inside.points[:: max(1, len(inside.points) // 4000)] * np.float32(blood.scale_mm) + blood.place.centre_mm
    if blood.place.side:
        points = points * np.array([-1, 1, 1], np.float32)
    hu = head.hu_at(points)
    tissue = hu[(hu > BRAIN_HU[0]) & (hu < BRAIN_HU[1])]
    return float(np.median(tissue)) if len(tissue) else float(np.mean(BRAIN_HU))


def _check(volume_ml: float | None, markers: AbstractSet[str], distractors: AbstractSet[str], site: str | None) -> None:
    for kind, names, known in (
        ("marker", markers, MARKERS),
        ("distractor", distractors, DISTRACTORS),
        ("site", {site} - {None}, tuple(SITES)),
    ):
        if unknown := sorted(str(name) for name in names if name not in known):
            raise ConfigError(f"There is no {kind} {unknown[0]!r}.", hint=f"Known: {', '.join(known)}.")
    if volume_ml is None and markers:
        raise ConfigError("A head without a bleed cannot have markers.", hint="Set a volume or leave the markers out.")
    if volume_ml is not None and not SMALLEST_ML <= volume_ml <= LARGEST_ML:
        raise ConfigError(f"{volume_ml:g} mL is no volume of a haematoma.", hint=f"{SMALLEST_ML} to {LARGEST_ML} mL.")
    for marker in sorted(markers):
        if volume_ml is not None and volume_ml < MIN_VOLUME_ML[marker]:
            raise ConfigError(
                f"{volume_ml:g} mL is too small for {marker}.", hint=f"It needs {MIN_VOLUME_ML[marker]:g} mL."
            )
    if markers >= INCOMPATIBLE:
        raise ConfigError(f"{' and '.join(sorted(INCOMPATIBLE))} exclude each other.", hint="Leave one of them out.")


def _with_markers(
    rng: np.random.Generator,
    head: HeadLike,
    volume_ml: float,
    markers: AbstractSet[str],
    strength: float,
    site: str | None,
) -> tuple[Haematoma, Quadrature, float]:
    """A haematoma that has room for all ``markers``, its shape's inside, and the HU of brain beside it."""
    dark = [marker for marker in PLANTED if marker in markers]
    for _ in range(ATTEMPTS):
        blood, inside = _draw(rng, head, volume_ml, site, strength if "irregular" in markers else None)
        whole: Haematoma | None = blood
        for marker in sorted(markers & {"island", "satellite"}):
            whole = _with_foci(rng, whole, inside, volume_ml, marker, strength) if whole else None
        if whole is None:
            continue
        brain_hu = brain_reference_hu(head, whole, inside)
        planter = Planter(rng, whole.shape, inside, whole.scale_mm)
        if all(plant(planter, one, strength=strength, blood_hu=whole.blood_hu, brain_hu=brain_hu) for one in dark):
            return replace(whole, features=tuple(planter.features)), inside, brain_hu
    raise ConfigError(
        f"{volume_ml:g} mL have no room for {', '.join(sorted(markers))}.", hint="Set more volume or fewer markers."
    )


def _draw(
    rng: np.random.Generator, head: HeadLike, volume_ml: float, site: str | None, irregular: float | None
) -> tuple[Haematoma, Quadrature]:
    """A haematoma without foci and features: place, shape, scale, density; ``irregular``: strength of the lobes."""
    place = draw_place(rng, head, volume_ml, site)
    slender = SITES[place.site].slender * float(np.exp(rng.normal(0, 0.12)))
    if irregular is None:
        shape, inside = draw_smooth(rng, volume_ml, slender)
    else:
        shape, inside = draw_irregular(rng, volume_ml, slender**0.5, irregular)
    radius_mm = (volume_ml * 750 / np.pi) ** (1 / 3)
    blood = Haematoma(
        place=place,
        shape=shape,
        largest_z=inside.largest_z,
        scale_mm=_scale(blood_ml=volume_ml, inside=inside, place=place),
        foci=(),
        blood_hu=float(np.clip(rng.normal(65, 4), 56, 76)),
        texture_hu=float(rng.uniform(1.2, 2.2)),
        texture=waves(rng, 9, count=16, spread=0.5),
        features=(),
        oedema_mm=float((1.5 + 0.16 * radius_mm) * rng.uniform(0.7, 1.3)),
        oedema_share=float(rng.uniform(0.3, 0.85)),
        radius_mm=radius_mm,
    )
    return blood, inside


def _with_foci(
    rng: np.random.Generator, blood: Haematoma, inside: Quadrature, volume_ml: float, marker: str, strength: float
) -> Haematoma | None:
    """The haematoma with foci, whose volume is taken from the main one; None: there is no room for them."""
    count = max(1, round(FOCI * strength)) if marker == "island" else 1
    gap_mm = ISLAND_GAP_MM if marker == "island" else strength * SATELLITE_GAP_MM
    drawn = draw_foci(rng, blood, marker=marker, count=count, gap_mm=gap_mm, volume_ml=volume_ml)
    if drawn is None:
        return None
    foci = (*blood.foci, *drawn)
    main_ml = volume_ml - sum(focus.volume_ml for focus in foci)
    smaller = replace(blood, scale_mm=_scale(blood_ml=main_ml, inside=inside, place=blood.place))
    kept = tuple(moved for focus in foci if (moved := put(smaller, focus)))
    return replace(smaller, foci=kept) if len(kept) == len(foci) and apart(kept) else None


def _scale(*, blood_ml: float, inside: Quadrature, place: Place) -> float:
    scale_mm = scale_for(inside, blood_ml, place.room_around)
    if scale_mm is None:
        raise ConfigError(f"A haematoma of {blood_ml:g} mL finds no room.", hint="Set a smaller volume.")
    return scale_mm
