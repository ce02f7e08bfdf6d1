"""The images of a case as the rest of the code wants them: HU, geometry, and where the bleed is."""

import hashlib
import json
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from ichnode.cohort.table import Card, Case, Spacing
from ichnode.domain.errors import BadGeometry, Rejected, Retryable
from ichnode.domain.flags import Flag
from ichnode.domain.geometry import Geometry
from ichnode.domain.values import FrameSource, Volume
from ichnode.findings.expansion import expanded
from ichnode.image.load import AIR_HU, MIN_AIR, MIN_AXIAL, MIN_SLICES, THICKNESS_MM, load_series, read_datasets
from ichnode.image.pixels import PADDING_HU

UNCLIPPED_HU: Final = (-1000, 1000)  # air and bone: what lay beyond the limits of a clipped image
SAME_PLACE_MM: Final = 1.0  # corners of CT and mask may lie as far apart: rounding of headers, not another head
LARGEST_HU: Final = 32767
NIBABEL: Final = (ImageFileError, HeaderDataError)
DAMAGED: Final = (OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error, *NIBABEL)
LPS_OF_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])

Affine = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labelled:
    """A head and its bleed on the native grid. ``bleed`` (Z, Y, X) has the shape of ``volume.hu``."""

    volume: Volume
    bleed: Mask

    @property
    def bleed_ml(self) -> float:
        """Volume of the bleed: voxels of each slice times the thickness that the slice stands for."""
        return _volume_ml(self.bleed, self.volume.geometry)


def read_case(case: Case, card: Card) -> Labelled:
    """CT and mask of a case, native grid; clipping undone as the card says, spacing overridden as the table says.

    A mask stored with other axes (rows the other way round, say) is turned to the CT's. No mask is an empty one.

    Raises Rejected when a file is missing or damaged, or geometry of CT and mask differ.
    """
    return _labelled(case.ct, case.mask, card, case.spacing_mm)


def read_followup(case: Case, card: Card) -> Labelled | None:
    """CT and mask of the follow-up, as read_case; None where the table names no CT."""
    if case.followup_ct is None:
        return None
    return _labelled(case.followup_ct, case.followup_mask, card, case.spacing_mm)


def followup_ml(case: Case, card: Card) -> float | None:
    """Volume of the bleed at follow-up; None without its mask. Without its CT, the mask's own geometry counts."""
    if case.followup_mask is None:
        return None
    followup = read_followup(case, card)
    if followup is not None:
        return followup.bleed_ml
    values, geometry = _read_nifti(case.followup_mask, np.eye(3))
    return _volume_ml(_as_mask(values, case.followup_mask), _overridden(geometry, case.spacing_mm))


def outcome_of(case: Case, card: Card, baseline_ml: float) -> bool | None:
    """Whether the bleed expanded: as the table says, else by the follow-up mask, else None.

    ``baseline_ml``: the bleed of the first CT. Raises Rejected for a follow-up that cannot be read.
    """
    if case.expanded is not None:
        return case.expanded
    later_ml = followup_ml(case, card)
    return None if later_ml is None or case.mask is None else expanded(baseline_ml, later_ml)


def source_digest(case: Case, card: Card) -> str:
    """Hex digest of all that a case is made from: bytes of its files, outcome, spacing, clipping; not its paths.

    Raises Rejected for a file that is missing or cannot be read.
    """
    digest = hashlib.sha256(json.dumps([card.clipped_hu, case.spacing_mm, case.expanded]).encode())
    for path in (case.ct, case.mask, case.followup_ct, case.followup_mask):
        digest.update(bytes_digest(path).encode() if path else b"-")
    return digest.hexdigest()


def bytes_digest(path: Path) -> str:
    """Hex digest of a file's bytes, or of those of all files in a folder, in the order of their names.

    Raises Rejected for what is missing or cannot be read.
    """
    _check_there(path)
    digest = hashlib.sha256()
    for file in _files(path) if path.is_dir() else [path]:
        try:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError as error:
            raise Rejected(f"{file} cannot be read: {error.strerror}.") from error
    return digest.hexdigest()


def _labelled(ct: Path, mask: Path | None, card: Card, spacing_mm: Spacing | None) -> Labelled:
    volume = _read_ct(ct, card)
    geometry = _overridden(volume.geometry, spacing_mm)
    volume = replace(volume, geometry=geometry, flags=volume.flags | _flags(geometry))
    if mask is None:
        return Labelled(volume=volume, bleed=np.zeros(geometry.shape, np.bool_))
    values, own = _read_nifti(mask, np.stack([geometry.row_cosine, geometry.column_cosine, geometry.normal]))
    _check_same_grid(geometry, own.shape, _overridden(own, spacing_mm), mask)
    return Labelled(volume=volume, bleed=_as_mask(values, mask))


def _read_ct(path: Path, card: Card) -> Volume:
    if path.is_dir():
        files = _files(path)
        if not files:
            raise Rejected(f"The folder {path} is empty.")
        if card.clipped_hu is not None:
            raise Rejected(f"{path} is DICOM: clipped_hu in the card is for NIfTI alone.")
        try:
            return load_series(read_datasets(files))
        except (Rejected, Retryable) as error:
            raise type(error)(f"{path}: {error}") from error
    values, geometry = _read_nifti(path, np.eye(3))
    if geometry.normal[2] < MIN_AXIAL or len(values) < MIN_SLICES:
        raise Rejected(f"{path} is no stack of at least {MIN_SLICES} axial slices.")
    hu = _unclipped(_as_hu(values), card)
    if np.count_nonzero(hu < AIR_HU) < MIN_AIR * hu.size:
        raise Rejected(f"{path} shows no air round the head: its values are not HU, or were clipped.")
    sources = tuple(FrameSource(sop_instance_uid=f"{path.name}.{k}") for k in range(len(hu)))
    return Volume(hu=hu, geometry=geometry, sources=sources)


def _read_nifti(path: Path, axes: NDArray[np.float64]) -> tuple[NDArray[Any], Geometry]:
    """Values (Z, Y, X) and their geometry, turned as near to ``axes`` as _upright can."""
    _check_there(path)
    try:
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            raise Rejected(f"{path} is not NIfTI.")
        with ImageOpener(path) as file:  # the header as it stands: nibabel takes a spacing of 0 for 1
            spacing = image.header_class.from_fileobj(file, check=False)["pixdim"][1:4]
        values, affine = np.asarray(image.dataobj), np.asarray(image.affine, np.float64)
    except DAMAGED as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise Rejected(f"{path} cannot be read as NIfTI: {reason}") from error
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3 or values.dtype.kind not in "iufb":
        raise Rejected(f"{path} is not one volume of numbers (shape {values.shape}, type {values.dtype}).")
    if not np.isfinite(values).all():
        raise Rejected(f"{path} holds values that are no numbers.")
    if not (spacing > 0).all() or not np.isfinite(affine).all() or np.linalg.matrix_rank(affine) < 4:
        raise BadGeometry(f"The header of {path} does not say where its voxels lie.")
    try:
        return _upright(values, LPS_OF_RAS @ affine, axes)
    except BadGeometry as error:
        raise BadGeometry(f"{path}: {error}") from error


def _upright(values: NDArray[Any], affine: Affine, axes: NDArray[np.float64]) -> tuple[NDArray[Any], Geometry]:
    """The volume (Z, Y, X) turned so that columns, rows, slices grow along ``axes`` (3, 3; a line each), as near as
    whole turns and flips can bring it, and its geometry."""
    turned = np.eye(4)
    turned[:3, :3] = axes
    orientation = nibabel.orientations.io_orientation(turned @ affine)
    to_old = nibabel.orientations.inv_ornt_aff(orientation, values.shape)
    values = nibabel.orientations.apply_orientation(values, orientation).transpose(2, 1, 0)
    affine = affine @ to_old
    row, column, step, origin = affine[:3].T
    geometry = Geometry(
        origins_mm=origin + np.outer(np.arange(len(values)), step),
        row_cosine=row / np.linalg.norm(row),
        column_cosine=column / np.linalg.norm(column),
        row_spacing_mm=float(np.linalg.norm(column)),
        column_spacing_mm=float(np.linalg.norm(row)),
        rows=values.shape[1],
        columns=values.shape[2],
    )
    return values, geometry


def _overridden(geometry: Geometry, spacing_mm: Spacing | None) -> Geometry:
    """The geometry with another mean slice distance, row and column spacing; lean and first position stay."""
    if spacing_mm is None:
        return geometry
    between_slices, between_rows, between_columns = spacing_mm
    first = geometry.origins_mm[0]
    stretch = between_slices / float(np.mean(geometry.gaps_mm))
    return replace(
        geometry,
        origins_mm=first + (geometry.origins_mm - first) * stretch,
        row_spacing_mm=between_rows,
        column_spacing_mm=between_columns,
    )


def _check_same_grid(ct: Geometry, shape: tuple[int, int, int], mask: Geometry, path: Path) -> None:
    if ct.shape != shape:
        sizes = " and ".join(" × ".join(map(str, reversed(size))) for size in (ct.shape, shape))
        raise BadGeometry(f"CT and mask {path.name} have different sizes: {sizes} voxels.")
    apart = float(np.linalg.norm(_corners(ct) - _corners(mask), axis=1).max())
    if apart > SAME_PLACE_MM:
        raise BadGeometry(f"CT and mask {path.name} lie up to {apart:.1f} mm apart, though their sizes are the same.")


def _corners(geometry: Geometry) -> NDArray[np.float64]:
    """(8, 3) centres of the corner voxels of first and last slice."""
    down = geometry.column_cosine * geometry.row_spacing_mm * (geometry.rows - 1)
    across = geometry.row_cosine * geometry.column_spacing_mm * (geometry.columns - 1)
    ends = geometry.origins_mm[[0, -1]]
    return np.concatenate([ends + i * down + j * across for i in (0, 1) for j in (0, 1)])


def _unclipped(hu: NDArray[np.int16] | NDArray[np.float32], card: Card) -> NDArray[np.int16] | NDArray[np.float32]:
    """Interpolation would make a hyperdense rim of a skull that ends at 100 HU: its true density is put back."""
    if card.clipped_hu is None:
        return hu
    low, high = card.clipped_hu
    air, bone = UNCLIPPED_HU
    out = hu.copy()
    out[hu >= high] = bone
    out[hu <= low] = air
    return out


def _as_hu(values: NDArray[Any]) -> NDArray[np.int16] | NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what float32 cannot hold is cut off all the same
        hu = np.clip(values.astype(np.float32), PADDING_HU, LARGEST_HU)
    is_whole = values.dtype.kind in "iub" or bool((hu == np.round(hu)).all())
    return hu.astype(np.int16) if is_whole else hu


def _as_mask(values: NDArray[Any], path: Path) -> Mask:
    mask = np.ascontiguousarray(values != 0)
    labels = np.unique(values[mask])
    if len(labels) > 1 or (labels < 0).any():
        shown = ", ".join(f"{label:g}" for label in labels[:5])
        raise Rejected(f"The mask {path} holds other labels ({shown}) than one positive number, and 0 beside it.")
    return mask


def _volume_ml(mask: Mask, geometry: Geometry) -> float:
    return float(mask.sum(axis=(1, 2)) @ geometry.voxel_volumes_ml)


def _flags(geometry: Geometry) -> frozenset[Flag]:
    gap_mm = float(np.median(geometry.gaps_mm))
    seen = {
        Flag.QF_TILT: geometry.is_tilted,
        Flag.QF_UNEQUAL: geometry.is_unequal,
        Flag.QF_THICK: not THICKNESS_MM[0] <= gap_mm <= THICKNESS_MM[1],
    }
    return frozenset(flag for flag, is_set in seen.items() if is_set)


def _check_there(path: Path) -> None:
    if not path.exists():
        raise Rejected(f"{path} is not there.")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
