"""A haematoma beside an earlier scan of it: which part is which, how much it has grown, how it looked before."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ichnode.domain.followup import Baseline, Growth, Section, Tracked
from ichnode.domain.geometry import Geometry
from ichnode.domain.values import Findings, Volume
from ichnode.findings.expansion import expanded
from ichnode.findings.registration import Motion
from ichnode.findings.space import places_mm, sampled

HOUR_S: Final = 3600.0
AIR_HU: Final = -1024.0  # what lies beyond the earlier scan
_NUMBERED: Final = re.compile(r"ICH (\d+)")


def growth_since(baseline: Baseline, volume_ml: float, acquired_at: float) -> Growth:
    """Growth from ``baseline`` to a haematoma of ``volume_ml`` in a scan taken at ``acquired_at`` (seconds)."""
    first = baseline.earlier[0][0] if baseline.earlier else baseline.acquired_at
    scans = (*(baseline.earlier or ((baseline.acquired_at, baseline.volume_ml),)), (acquired_at, volume_ml))
    return Growth(
        hours=(acquired_at - baseline.acquired_at) / HOUR_S,
        baseline_ml=baseline.volume_ml,
        followup_ml=volume_ml,
        expanded=expanded(baseline.volume_ml, volume_ml),
        baseline=baseline,
        history=tuple(((at - first) / HOUR_S, ml) for at, ml in scans),
    )


def tracked(findings: Findings, geometry: Geometry, earlier: Tracked, there: Geometry, motion: Motion) -> Findings:
    """``findings`` (on ``geometry``) with each part named as the one that it was in ``earlier`` (on ``there``).

    Parts are paired by overlap, the largest first, each once: of parts that have grown together the name of the one
    with more in common goes on, of one that fell apart the larger remnant keeps it. Other parts get numbers of their
    own that the earlier scan does not use.
    """
    pairs = _pairs(_overlaps_ml(findings.labels, geometry, earlier, there, motion))
    used = [_number(identifier) for identifier, _ in earlier.tracking.values()]
    free = max(used, default=0)
    lesions = []
    for lesion in findings.lesions:
        if lesion.number in pairs:
            identifier, uid = earlier.tracking[pairs[lesion.number]]
            lesions.append(replace(lesion, tracking_id=identifier, tracking_uid=uid))
        else:
            free += 1
            lesions.append(replace(lesion, tracking_id=f"ICH {free}"))
    return replace(findings, lesions=tuple(lesions))


def before(geometry: Geometry, index: int, volume: Volume, earlier: Tracked, motion: Motion) -> Section:
    """The earlier ``volume`` and its haematoma in the plane of slice ``index`` of the later one's ``geometry``."""
    rows, columns = np.indices((geometry.rows, geometry.columns)).reshape(2, -1)
    plane = np.stack([np.full(rows.size, index), rows, columns], axis=1).astype(np.float64)
    places = motion.to_earlier(places_mm(plane, geometry))
    shape = (geometry.rows, geometry.columns)
    mask = sampled(earlier.labels > 0, volume.geometry, places, fill=0).reshape(shape) >= 0.5
    return Section(hu=sampled(volume.hu, volume.geometry, places, fill=AIR_HU).reshape(shape), mask=mask)


def _overlaps_ml(
    labels: NDArray[np.uint16], geometry: Geometry, earlier: Tracked, there: Geometry, motion: Motion
) -> dict[tuple[int, int], float]:
    """(part, earlier part) -> mL that they have in common."""
    marked = np.argwhere(labels > 0)
    places = motion.to_earlier(places_mm(marked.astype(np.float64), geometry))
    met = sampled(earlier.labels, there, places, fill=0, order=0).astype(np.intp)
    parts = labels[tuple(marked.T)].astype(np.intp)
    voxel_ml = geometry.voxel_volumes_ml[marked[:, 0]]
    common: dict[tuple[int, int], float] = {}
    for part, old in np.unique(np.stack([parts, met], axis=1)[met > 0], axis=0):
        common[int(part), int(old)] = float(voxel_ml[(parts == part) & (met == old)].sum())
    return common


def _pairs(overlaps_ml: Mapping[tuple[int, int], float]) -> dict[int, int]:
    """Part -> earlier part, by falling overlap, each once; ties go to the smaller numbers."""
    pairs: dict[int, int] = {}
    for part, old in sorted(overlaps_ml, key=lambda pair: (-overlaps_ml[pair], pair)):
        if part not in pairs and old not in pairs.values():
            pairs[part] = old
    return pairs


def _number(identifier: str) -> int:
    found = _NUMBERED.fullmatch(identifier)
    return int(found[1]) if found else 0
