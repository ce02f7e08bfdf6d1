"""The vault along rays from its middle: where bone is missing, and where it is seen twice."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichnode.domain.flags import Doubt, Flag
from ichnode.findings.gates.rules import RULES, GateRules
from ichnode.findings.gates.sight import AIR_HU, BONE_HU, Sight

Mask = NDArray[np.bool_]

RAYS: Final = 120
STEP_MM: Final = 1.0
REACH_MM: Final = 130.0
THIN_BONE_HU: Final = 130.0  # a squama of 2 mm in a pixel as large still has this
THICKEST_MM: Final = 3.0  # of the marrow between the tables of a skull, as far as pixels of 2 mm show it
MOST_APART_MM: Final = 25.0  # two walls further apart are not one wall seen twice


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rays:
    """HU along rays from the middle of each slab of the vault.

    ``hu`` (V, RAYS, R), NaN beyond the picture; ``edge_mm`` (V, RAYS): from the middle to the end of the cavity.
    Ray 0 runs along the columns, the next ones towards higher rows.
    """

    hu: NDArray[np.float32]
    edge_mm: NDArray[np.float64]
    slabs: NDArray[np.int64]


def rays_of(sight: Sight) -> Rays:
    """The rays of the vault."""
    angles = np.arange(RAYS) * 2 * np.pi / RAYS
    along = np.arange(0, REACH_MM, STEP_MM)
    rows = np.sin(angles)[:, None] * along / sight.pixel_mm[0]
    columns = np.cos(angles)[:, None] * along / sight.pixel_mm[1]
    lines, edges = [], []
    for k in sight.vault:
        middle = ndimage.center_of_mass(sight.cavity[k])
        at = np.stack([middle[0] + rows, middle[1] + columns])
        lines.append(ndimage.map_coordinates(sight.hu[k], at, order=1, cval=np.nan))
        inside = ndimage.map_coordinates(sight.cavity[k].astype(np.float32), at, order=1) > 0.5
        edges.append((len(along) - inside[:, ::-1].argmax(axis=1)) * STEP_MM * inside.any(axis=1))
    shape = (0, RAYS, len(along))
    return Rays(
        hu=np.stack(lines) if lines else np.zeros(shape, np.float32),
        edge_mm=np.stack(edges) if edges else np.zeros(shape[:2]),
        slabs=sight.vault,
    )


def bone_gap(sight: Sight, rays: Rays, rules: GateRules = RULES) -> Doubt | None:
    """QF_BONEGAP, where the vault has a hole through which stripping may leak: a craniotomy, a defect, a fontanelle."""
    bony = (rays.hu > THIN_BONE_HU).any(axis=2)
    open_rays = np.asarray(~bony & ~np.isnan(rays.hu).any(axis=2))
    widths = np.array([_longest_mm(*both) for both in zip(open_rays, rays.edge_mm, strict=True)])
    holes = np.flatnonzero(widths >= rules.open_mm) if len(widths) else np.zeros(0, np.int64)
    if not len(holes) or sight.depth_mm[rays.slabs[holes]].sum() < rules.open_height_mm:
        return None
    where = sight.slices(rays.slabs[holes])
    return Doubt(flag=Flag.QF_BONEGAP, evidence=f"no bone over {widths.max():.0f} mm of the skull, {where}")


def seen_twice(rays: Rays) -> NDArray[np.float64]:
    """(V,) share of the outline with two walls of bone and no air between: the head moved within the slice.

    Air between two walls is a frontal sinus.
    """
    bone = rays.hu > BONE_HU
    starts = bone[:, :, 1:] & ~bone[:, :, :-1]
    first = starts.argmax(axis=2)
    last = starts.shape[2] - 1 - starts[:, :, ::-1].argmax(axis=2)
    apart = (last - first) * STEP_MM
    places = np.arange(bone.shape[2])
    between = (places > first[:, :, None]) & (places < last[:, :, None])
    airy = (between & (rays.hu < AIR_HU)).any(axis=2)
    return np.asarray(((apart > THICKEST_MM) & (apart <= MOST_APART_MM) & ~airy).mean(axis=1), np.float64)


def _longest_mm(open_rays: Mask, edge_mm: NDArray[np.float64]) -> float:
    """Length of the longest stretch of neighbouring open rays; the ends meet.

    Measured at the usual distance of the bone: in front of a hole the cavity ends too early.
    """
    ray_mm = float(np.median(edge_mm)) * 2 * np.pi / RAYS
    if open_rays.all():
        return ray_mm * RAYS
    labels, count = ndimage.label(np.roll(open_rays, -int((~open_rays).argmax())))
    return ray_mm * max(np.bincount(labels)[1:], default=0) if count else 0.0
