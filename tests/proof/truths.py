"""What of a phantom's markers a slice can show, where the phantom's own truth is told in space: worked out anew."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from scipy.sparse.csgraph import connected_components

from ichnode.domain.errors import ConfigError
from ichnode.phantom.anatomy import Head, make_head
from ichnode.phantom.bleed import Lesions, make_lesions
from ichnode.phantom.features import Pocket
from ichnode.phantom.haematoma import Focus, Haematoma
from ichnode.phantom.make import HEAD, LESIONS, POSE, draw_acquisition
from ichnode.phantom.markers import FOCI, HYPODENSITY_HU, MIN_AREA_MM2, SATELLITE_GAP_MM
from ichnode.phantom.spec import PhantomSpec

STEP_MM: Final = 0.1
REACH_MM: Final = 12.0  # beyond a focus: as far as the gaps that are planted need


def lesions_of(spec: PhantomSpec) -> tuple[Head, Lesions | None]:
    """The head and the lesions of ``spec``; none where the bleed has no room for its markers."""
    head = make_head(np.random.default_rng([spec.seed, HEAD]))
    try:
        lesions = make_lesions(
            np.random.default_rng([spec.seed, LESIONS]),
            head,
            volume_ml=spec.volume_ml,
            markers=spec.markers,
            strength=spec.strength,
            distractors=spec.distractors,
        )
    except ConfigError:
        return head, None
    return head, lesions


def shown(spec: PhantomSpec, present: Mapping[str, bool]) -> dict[str, bool]:
    """Which markers slices can show, where ``present`` is what the phantom says of itself.

    Two truths of a phantom are mended. The gap of a satellite, planted by an estimate of the distance in space, is
    measured in the plane of the slices, as the sign is defined. Pockets planted into each other are one place.
    """
    told = dict(present)
    if not (present["heterogeneous"] or spec.markers & {"satellite", "island"}):
        return told
    head, lesions = lesions_of(spec)
    blood = blood_of(lesions)
    if blood is None or lesions is None:
        return told
    enclosed = lesions.truth.markers["hypodensity"].evidence
    streaks = sum(each["kind"] == "band" for each in enclosed)
    told["heterogeneous"] = present["heterogeneous"] and places_apart(blood) + streaks >= FOCI
    if blood.foci:
        gaps = gaps_in_slice_mm(spec, head, blood)
        told["satellite"] = any(gap >= SATELLITE_GAP_MM for gap in gaps)
    return told


def gaps_in_slice_mm(spec: PhantomSpec, head: Head, blood: Haematoma) -> list[float]:
    """From each separate focus to the main bleed in the plane of the slices through the focus's middle, mm."""
    acquisition = draw_acquisition(head, spec, np.random.default_rng([spec.seed, POSE]))
    axes = acquisition.pose.turn.T @ np.stack([acquisition.geometry.row_cosine, acquisition.geometry.column_cosine], 1)
    return [_gap_mm(blood, focus, axes) for focus in blood.foci]


def _gap_mm(blood: Haematoma, focus: Focus, axes: np.ndarray) -> float:
    """``axes`` (3, 2): the ways along a row and a column in the head."""
    ways = np.arange(-focus.radius_mm - REACH_MM, focus.radius_mm + REACH_MM, STEP_MM)
    plane = np.stack(np.meshgrid(ways, ways), axis=-1).reshape(-1, 2)
    points = (focus.centre_mm + plane @ axes.T).astype(np.float32)
    main = plane[blood.main(points)[0] < 0]
    return float(np.linalg.norm(main, axis=1).min() - focus.radius_mm) if len(main) else REACH_MM


def places_apart(blood: Haematoma) -> int:
    """How many places ``blood`` has that make it heterogeneous: planted pockets that overlap are one place."""
    pockets = [
        each
        for each in blood.features
        if isinstance(each, Pocket)
        and each.lowering_hu >= HYPODENSITY_HU
        and np.pi * (each.radius * blood.scale_mm) ** 2 >= MIN_AREA_MM2
    ]
    centres, radii = np.array([each.centre[:2] for each in pockets]), np.array([each.radius for each in pockets])
    if not pockets:
        return 0
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    return int(connected_components(apart < radii[:, None] + radii[None])[0])


def blood_of(lesions: Lesions | None) -> Haematoma | None:
    """The bleed among ``lesions``."""
    return next((each for each in lesions.lesions if isinstance(each, Haematoma)), None) if lesions else None
