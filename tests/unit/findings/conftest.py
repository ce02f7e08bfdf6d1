import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ichnode.domain.geometry import Geometry
from ichnode.domain.values import FrameSource, Volume

DATA = Path(os.environ.get("ICHNODE_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"real head CT not found at {DATA}; set ICHNODE_DATA")
    return DATA


@pytest.fixture(scope="session")
def real_bleed(real_data):
    """A real head with a labelled bleed: (Volume, mask), from its NIfTI, lying on the back with slices upwards."""
    ct = nibabel.load(real_data / "phe-sich" / "train" / "0042_ct.nii.bz2")
    hu = np.asarray(ct.dataobj).astype(np.int16).transpose(2, 1, 0)
    bleed = np.asarray(nibabel.load(real_data / "phe-sich" / "train" / "0042_bleed.nii.bz2").dataobj)
    hu = np.where(hu >= 100, 1000, hu).astype(np.int16)  # the data end at 100 HU; a skull does not
    dx, dy, dz = (float(mm) for mm in ct.header.get_zooms()[:3])
    signs = np.sign(np.diag(ct.affine)[:3]) * (-1, -1, 1)  # RAS to LPS
    geometry = Geometry(
        origins_mm=np.outer(np.arange(len(hu)) * dz, [0.0, 0.0, 1.0]),
        row_cosine=np.array([signs[0], 0.0, 0.0]),
        column_cosine=np.array([0.0, signs[1], 0.0]),
        row_spacing_mm=dy,
        column_spacing_mm=dx,
        rows=hu.shape[1],
        columns=hu.shape[2],
    )
    sources = tuple(FrameSource(sop_instance_uid=f"1.{k}") for k in range(len(hu)))
    return Volume(hu=hu, geometry=geometry, sources=sources), bleed.transpose(2, 1, 0) > 0
