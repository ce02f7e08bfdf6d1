"""A phantom on disk: CT images, mask as NIfTI, truth as JSON. A folder that is whole is not written again."""

import json
import shutil
from pathlib import Path
from typing import Final

import nibabel
import numpy as np
from numpy.typing import NDArray

from ichnode.cohort.table import Case
from ichnode.domain.errors import ConfigError
from ichnode.domain.geometry import Geometry
from ichnode.phantom.dicom import images
from ichnode.phantom.make import Phantom, Scan, make_phantom
from ichnode.phantom.spec import VERSION, PhantomSpec

TRUTH: Final = "truth.json"
LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0])


def write_phantom(phantom: Phantom, folder: Path) -> None:
    """Writes ``ct/``, ``mask.nii.gz`` and ``truth.json`` to ``folder``, and the follow-up's if there is one.

    All appear at once: whoever is interrupted leaves no half phantom behind. What was in ``folder`` is replaced.

    Raises ConfigError when ``folder`` holds something else.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / TRUTH).exists():
        raise ConfigError(f"{folder} holds something that is no phantom.", hint="Name a new or an empty folder.")
    draft = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    _write_scan(phantom.baseline, phantom.spec, "baseline", draft / "ct", draft / "mask.nii.gz")
    if phantom.followup is not None:
        _write_scan(phantom.followup, phantom.spec, "followup", draft / "followup", draft / "followup_mask.nii.gz")
    (draft / TRUTH).write_text(json.dumps(phantom.truth(), indent=1, sort_keys=True) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def ensure_phantom(spec: PhantomSpec, folder: Path) -> bool:
    """Makes and writes the phantom unless ``folder`` holds this very one already. Returns whether it was made."""
    if is_written(spec, folder):
        return False
    write_phantom(make_phantom(spec), folder)
    return True


def is_written(spec: PhantomSpec, folder: Path) -> bool:
    """Whether ``folder`` holds the phantom of ``spec``, made by this version."""
    try:
        truth = json.loads((folder / TRUTH).read_text())
    except (OSError, ValueError):
        return False
    return bool(truth.get("version") == VERSION and truth.get("spec") == spec.as_dict())


def case_of(spec: PhantomSpec, name: str, split: str, folder: Path) -> Case:
    """The row of the cohort for the phantom in ``folder``."""
    bleeds, followed = spec.volume_ml is not None, spec.growth_ml is not None
    return Case(
        name=name,
        patient=f"PHANTOM-{spec.seed:06d}",
        split=split,
        ct=folder / "ct",
        mask=folder / "mask.nii.gz" if bleeds else None,
        followup_ct=folder / "followup" if followed else None,
        followup_mask=folder / "followup_mask.nii.gz" if followed else None,
        expanded=spec.expanded,
        onset_h=spec.onset_h,
        spacing_mm=None,
    )


def affine(geometry: Geometry) -> NDArray[np.float64]:
    """(4, 4) from voxel (x, y, z) to RAS mm.

    The third column is the mean step from slice to slice: first and last slice stand exactly where they are, a tilted
    stack is sheared, unequal gaps are evened out.
    """
    matrix = np.eye(4)
    matrix[:3, 0] = LPS_TO_RAS @ geometry.row_cosine * geometry.column_spacing_mm
    matrix[:3, 1] = LPS_TO_RAS @ geometry.column_cosine * geometry.row_spacing_mm
    way = (geometry.origins_mm[-1] - geometry.origins_mm[0]) / (geometry.shape[0] - 1)
    matrix[:3, 2] = LPS_TO_RAS @ way
    matrix[:3, 3] = LPS_TO_RAS @ geometry.origins_mm[0]
    return matrix


def _write_scan(scan: Scan, spec: PhantomSpec, which: str, series: Path, mask: Path) -> None:
    series.mkdir()
    for number, image in enumerate(images(scan, spec, which), start=1):
        image.save_as(series / f"{number:03d}.dcm", enforce_file_format=True)
    voxels = nibabel.Nifti1Image(scan.bleed.T.astype(np.uint8), affine(scan.volume.geometry))
    nibabel.save(voxels, mask)
