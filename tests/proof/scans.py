"""Phantoms for the proof of the markers: drawn, scanned around their bleed and kept in a folder for the next run."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ichnode.domain.geometry import Geometry
from ichnode.phantom.acquire import Acquired, Acquisition, acquire
from ichnode.phantom.haematoma import Haematoma
from ichnode.phantom.make import NOISE, POSE, draw_acquisition
from ichnode.phantom.markers import INCOMPATIBLE, MARKERS
from ichnode.phantom.metaballs import quadrature
from ichnode.phantom.scene import Scene
from ichnode.phantom.spec import PhantomSpec, draw_spec
from tests.proof.truths import lesions_of, shown

AROUND_MM = (14.0, 6.0)  # in front of the bleed and behind it, above it and below it: further off no marker is read


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scanned:
    """A phantom's bleed as it is scanned, (Z, Y, X), and which markers it truly has, by their names in phantoms."""

    spec: PhantomSpec
    mask: np.ndarray
    hu: np.ndarray
    geometry: Geometry
    present: dict[str, bool]
    side: str


def population(first: int, count: int) -> list[PhantomSpec]:
    """``count`` bleeds at 1.5 times the thresholds: with one marker, with two, with none; scans of all kinds."""
    return [_drawn(seed, None, 1.5) for seed in range(first, first + count)]


def ladder(first: int, each: int, strengths: Iterable[float]) -> list[PhantomSpec]:
    """``each`` bleeds with one marker alone at each of the ``strengths``, in thick slices of the small matrix; the same
    heads at every strength."""
    return [
        replace(_drawn(first + number * each + k, name, strength), thickness_mm=5.0, tilt_deg=0.0, matrix=256)
        for k in range(each)
        for strength in strengths
        for number, name in enumerate(MARKERS)
    ]


def scans(specs: Iterable[PhantomSpec], folder: Path, *, kept_only: bool = False) -> Iterator[Scanned]:
    """The scans of ``specs``, from ``folder`` where they lie there; bleeds without room for their markers left out.
    ``present`` is what their slices can show.

    ``kept_only``: what does not lie there is left out as well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for spec in specs:
        path = folder / f"{spec.seed}-{'+'.join(sorted(spec.markers)) or 'plain'}-{spec.strength:g}.npz"
        if not path.exists():
            if kept_only:
                continue
            _keep(path, _scan(spec))
        kept = _kept(path, spec)
        if kept:
            yield replace(kept, present=shown(spec, kept.present))


def _drawn(seed: int, marker: str | None, strength: float) -> PhantomSpec:
    rng = np.random.default_rng([seed, 99])
    kind, thin, tilted, fine = rng.random(4)
    some = [str(name) for name in rng.choice(MARKERS, 2, replace=False)]
    if set(some) >= INCOMPATIBLE:
        some = some[:1]
    chosen = [marker] if marker else some[: 1 if kind < 0.5 else 2 if kind < 0.85 else 0]
    spec = draw_spec(
        seed,
        markers=frozenset(chosen),
        thickness_mm=1.0 if thin < 0.4 else 5.0,
        tilt_deg=float(round(rng.choice([-1, 1]) * rng.uniform(5, 20), 1)) if tilted < 0.4 else 0.0,
        matrix=512 if fine < 0.15 else 256,
    )
    return replace(spec, strength=strength)


def _scan(spec: PhantomSpec) -> Scanned | None:
    head, lesions = lesions_of(spec)
    if lesions is None:
        return None
    pose, noise = (np.random.default_rng([spec.seed, part]) for part in (POSE, NOISE))
    near = _NearBleed(Scene(head=head, lesions=lesions.lesions), lesions.truth.brain_hu or 0.0)
    acquired = _scan_near(near, draw_acquisition(head, spec, pose), noise)
    return Scanned(
        spec=spec,
        mask=acquired.blood >= 0.5,
        hu=acquired.hu,
        geometry=acquired.geometry,
        present={name: told.present for name, told in lesions.truth.markers.items()},
        side=str(lesions.truth.side),
    )


def _scan_near(near_bleed: "_NearBleed", whole: Acquisition, rng: np.random.Generator) -> Acquired:
    """The slices that show the bleed, scanned as ever near it; what lies far in front and behind is plain brain."""
    (blood,) = (lesion for lesion in near_bleed.lesions if isinstance(lesion, Haematoma))
    inside = quadrature(blood.shape).points[::5] * np.float32(blood.scale_mm) + blood.place.centre_mm
    ends = [inside, *(focus.centre_mm + np.outer((-1, 1), np.full(3, focus.radius_mm)) for focus in blood.foci)]
    points = np.concatenate(ends).astype(np.float64)
    reach = whole.pose.to_patient(points) @ whole.geometry.normal
    heights = whole.geometry.positions_mm
    near = (heights > reach.min() - AROUND_MM[1]) & (heights < reach.max() + AROUND_MM[1])
    near_bleed.depth_mm = float(points[:, 1].min()) - AROUND_MM[0], float(points[:, 1].max()) + AROUND_MM[0]
    acquisition = replace(whole, table_mm=tuple(np.asarray(whole.table_mm)[near].tolist()))
    return acquire(near_bleed, acquisition, rng)


class _NearBleed:
    """A scene that is worked out in full only between two depths, head y in mm: four times as quick.

    Elsewhere is brain of ``brain_hu``, that of the other hemisphere: the swirl is compared with it.
    """

    def __init__(self, scene: Scene, brain_hu: float) -> None:
        self.head, self.lesions, self.blood_at = scene.head, scene.lesions, scene.blood_at
        self.depth_mm = (-np.inf, np.inf)
        self._scene, self._brain_hu = scene, brain_hu

    def hu_at(self, points: np.ndarray) -> np.ndarray:
        hu = np.where(self.head.outline_mm(points) < 0, self._brain_hu, -1000).astype(np.float32)
        near = (points[:, 1] > self.depth_mm[0]) & (points[:, 1] < self.depth_mm[1])
        hu[near] = self._scene.hu_at(points[near])
        return hu


def _keep(path: Path, scanned: Scanned | None) -> None:
    part = path.with_suffix(".part.npz")
    if scanned is None:
        np.savez(part)
    else:
        geometry = scanned.geometry
        np.savez(
            part,
            hu=scanned.hu,
            mask=np.packbits(scanned.mask),
            origins=geometry.origins_mm,
            column=geometry.column_cosine,
            pixel=geometry.row_spacing_mm,
            told=json.dumps({"present": scanned.present, "side": scanned.side}),
        )
    part.rename(path)


def _kept(path: Path, spec: PhantomSpec) -> Scanned | None:
    with np.load(path) as kept:
        if not kept.files:
            return None
        hu, pixel = kept["hu"], float(kept["pixel"])
        told = json.loads(str(kept["told"]))
        return Scanned(
            spec=spec,
            mask=np.unpackbits(kept["mask"], count=hu.size).reshape(hu.shape).astype(bool),
            hu=hu,
            geometry=Geometry(
                origins_mm=kept["origins"],
                row_cosine=np.array([1.0, 0.0, 0.0]),
                column_cosine=kept["column"],
                row_spacing_mm=pixel,
                column_spacing_mm=pixel,
                rows=hu.shape[1],
                columns=hu.shape[2],
            ),
            present=told["present"],
            side=told["side"],
        )
