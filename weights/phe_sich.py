"""The cases of PHE-SICH-CT-IDS as volumes: read by the training and the measuring script."""

import json
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from ichnode.domain.geometry import Geometry
from ichnode.domain.values import FrameSource, Volume

BONE_HU, AIR_HU = 1000, -1000


def case_names(data: Path, split: str) -> list[str]:
    """The cases of ``split`` ("train" or "val"), in the order of the manifest."""
    manifest = json.loads((data / "phe-sich" / "manifest.json").read_text())
    return [case["id"] for case in manifest[split]]


def load_case(data: Path, split: str, name: str) -> tuple[Volume, NDArray[np.bool_]]:
    """One head and its bleed (Z, Y, X), both on the native grid.

    The source is clipped to [-20, 100] HU; its limits are put back to bone and air, or interpolation would make a
    hyperdense rim of the clipped skull.
    """
    image = nibabel.load(data / "phe-sich" / split / f"{name}_ct.nii.bz2")
    bleed = nibabel.load(data / "phe-sich" / split / f"{name}_bleed.nii.bz2")
    clipped = np.asarray(image.dataobj).astype(np.int16).T  # (X, Y, Z) -> (Z, Y, X)
    hu = np.select([clipped >= 100, clipped <= -20], [BONE_HU, AIR_HU], clipped).astype(np.int16)
    dx, dy, dz = (float(zoom) for zoom in image.header.get_zooms()[:3])
    slices, rows, columns = hu.shape
    first = np.array([-dx * (columns - 1) / 2, -dy * (rows - 1) / 2, 0.0])
    geometry = Geometry(
        origins_mm=first + np.outer(np.arange(slices), [0.0, 0.0, dz]),
        row_cosine=np.array([1.0, 0.0, 0.0]),
        column_cosine=np.array([0.0, 1.0, 0.0]),
        row_spacing_mm=dy,
        column_spacing_mm=dx,
        rows=rows,
        columns=columns,
    )
    sources = tuple(FrameSource(sop_instance_uid=f"{name}.{k}") for k in range(slices))
    return Volume(hu=hu, geometry=geometry, sources=sources), np.asarray(bleed.dataobj).T > 0
