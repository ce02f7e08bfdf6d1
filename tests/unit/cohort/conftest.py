"""Small heads on disk as NIfTI, cohorts made of them, and where the real ones lie."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ichnode.cohort.table import Card, Case, Cohort, read_cohort, write_cohort
from ichnode.domain.geometry import Geometry

DATA = Path(os.environ.get("ICHNODE_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
CARD = Card(name="built", description="Heads made in code.", source="this test", licence="none")


@pytest.fixture(scope="session")
def real_data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"real head CT not found at {DATA}; set ICHNODE_DATA")
    return DATA


@pytest.fixture
def card() -> Card:
    return CARD


def stack(*, slices=32, size=96, spacing_mm=2.4, gap_mm=5.0, lean_mm=0.0) -> Geometry:
    """Straight slices about the origin; ``lean_mm`` is the drift towards the back a slice."""
    along = (np.arange(slices) - (slices - 1) / 2)[:, None]
    corner = np.array([1.0, 1.0, 0.0]) * -spacing_mm * (size - 1) / 2
    return Geometry(
        origins_mm=corner + along * [0.0, lean_mm, gap_mm],
        row_cosine=np.array([1.0, 0, 0]),
        column_cosine=np.array([0, 1.0, 0]),
        row_spacing_mm=spacing_mm,
        column_spacing_mm=spacing_mm,
        rows=size,
        columns=size,
    )


def ellipsoid(geometry: Geometry, centre, radii_mm) -> np.ndarray:
    """(Z, Y, X) bool: voxels of an upright stack whose centre lies in an ellipsoid of patient space."""
    z = geometry.origins_mm[:, 2, None, None]
    y = geometry.origins_mm[:, 1, None, None] + np.arange(geometry.rows)[None, :, None] * geometry.row_spacing_mm
    x = geometry.origins_mm[:, 0, None, None] + np.arange(geometry.columns) * geometry.column_spacing_mm
    return sum(((p - c) / r) ** 2 for p, c, r in zip((x, y, z), centre, radii_mm, strict=True)) < 1


def head(geometry: Geometry, *, bleed_hu=65, bleed=((30, 0, 10), (14, 18, 14))) -> tuple[np.ndarray, np.ndarray]:
    """HU (Z, Y, X) int16 of scalp, skull, brain with a darker middle and a bleed on the left; and the bleed's mask."""
    hu = np.full(geometry.shape, -1000, np.int16)
    hu[ellipsoid(geometry, (0, 0, 0), (80, 100, 78))] = 45
    hu[ellipsoid(geometry, (0, 0, 0), (75, 95, 74))] = 1000
    hu[ellipsoid(geometry, (0, 0, 0), (67, 87, 68))] = 35
    hu[ellipsoid(geometry, (-20, -10, 5), (12, 30, 15))] = 8  # off every middle, so that a flip is seen
    mask = ellipsoid(geometry, *bleed) if bleed else np.zeros(geometry.shape, bool)
    hu[mask] = bleed_hu
    return hu, mask


def affine_of(geometry: Geometry) -> np.ndarray:
    """Voxel (x, y, z) to RAS mm."""
    lps = np.eye(4)
    lps[:3, 0] = geometry.row_cosine * geometry.column_spacing_mm
    lps[:3, 1] = geometry.column_cosine * geometry.row_spacing_mm
    lps[:3, 2] = (geometry.origins_mm[-1] - geometry.origins_mm[0]) / (len(geometry.origins_mm) - 1)
    lps[:3, 3] = geometry.origins_mm[0]
    return np.diag([-1, -1, 1, 1]) @ lps


def save(path: Path, values: np.ndarray, affine: np.ndarray, orientation: str | None = None) -> Path:
    """``values`` (Z, Y, X) as NIfTI, stored with the axes that ``orientation`` names ("RAS", "PIR", ...)."""
    image = nibabel.Nifti1Image(np.ascontiguousarray(values.T), affine)
    if orientation is not None:
        now = nibabel.orientations.io_orientation(affine)
        wanted = nibabel.orientations.axcodes2ornt(orientation)
        image = image.as_reoriented(nibabel.orientations.ornt_transform(now, wanted))
    nibabel.save(image, path)
    return path


@pytest.fixture
def built(tmp_path: Path) -> Callable[..., Case]:
    """Writes one head and its mask to disk; ``hu``, ``mask`` and the mask's own affine and axes may be others."""

    def make(
        name="one",
        *,
        patient=None,
        split="train",
        geometry=None,
        hu=None,
        mask=None,
        suffix=".nii",
        orientation=None,
        mask_affine=None,
        mask_orientation=None,
        **fields,
    ) -> Case:
        geometry = geometry or stack()
        made_hu, made_mask = head(geometry)
        hu, mask = made_hu if hu is None else hu, made_mask if mask is None else mask
        affine = affine_of(geometry)
        ct = save(tmp_path / f"{name}_ct{suffix}", hu, affine, orientation)
        mask_affine = affine if mask_affine is None else mask_affine
        drawn = save(tmp_path / f"{name}_mask{suffix}", mask.astype(np.uint8), mask_affine, mask_orientation)
        return Case(name=name, patient=patient or name, split=split, ct=ct, mask=drawn, **fields)

    return make


@pytest.fixture
def cohort_of(tmp_path: Path) -> Callable[[Sequence[Case]], Cohort]:
    """Writes the table and the card beside the images, and reads them."""

    def make(cases: Sequence[Case], card: Card = CARD) -> Cohort:
        write_cohort(tmp_path, card, cases)
        return read_cohort(tmp_path)

    return make


@pytest.fixture
def straight() -> Callable[..., Geometry]:
    return stack


@pytest.fixture
def drawn_head() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return head


@pytest.fixture
def nifti() -> Callable[..., Path]:
    return save


@pytest.fixture
def ras_affine() -> Callable[[Geometry], np.ndarray]:
    return affine_of
