"""Whether the cases of a cohort fit together: what would spoil a training or an evaluation, said of each case."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichnode.cohort.parallel import in_processes
from ichnode.cohort.read import followup_ml, read_case, read_followup
from ichnode.cohort.sheet import Tile, tile_of
from ichnode.cohort.table import Card, Case, Cohort
from ichnode.domain.errors import BadGeometry, Rejected, Retryable
from ichnode.domain.flags import Flag
from ichnode.domain.values import Volume
from ichnode.findings.expansion import expanded
from ichnode.image.strip import brain_mask

MIN_INSIDE: Final = 0.9  # share of the mask within the brain; all 80 of the shared training cases have 1.0
DENSITY_HU: Final = (25.0, 100.0)  # median within the mask: from a clot whose serum has parted to a dense one
MIN_CONTRAST_HU: Final = 5.0  # medians of mask and brain apart: a mask put on the wrong side has none
MAX_END_SHARE: Final = 0.5  # brain area of an outermost slice to the largest; there at most 0.36
BORDER_MM: Final = 10.0  # the head itself, not the skin of it
CUT_MM: Final = 30.0  # along as much of one side; there at most 2
TISSUE_HU: Final = 0.0

Mask = NDArray[np.bool_]


class Kind(StrEnum):
    """What can be wrong with a case. The value is its name in JSON and on the contact sheet."""

    UNREADABLE = "unreadable"
    GEOMETRY = "geometry"
    EMPTY = "empty mask"
    OUTSIDE = "mask outside"
    DENSITY = "density"
    NO_HEAD = "not a head"
    CUT = "head cut"
    FOLLOWUP = "follow-up"
    OUTCOME = "outcome"
    PATIENT = "patient in two splits"
    TWICE = "same CT twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong, as a sentence."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checked:
    """What was seen of one case. ``volume_ml``, ``tile`` and the digests (of voxels, hex) are None or empty where it
    could not be read; ``flags`` are doubts that the node would state as well: no faults."""

    case: Case
    faults: tuple[Fault, ...]
    flags: frozenset[Flag] = frozenset()
    volume_ml: float | None = None
    tile: Tile | None = None
    digest: str = ""
    followup_digest: str = ""


def check_cohort(cohort: Cohort, *, jobs: int, told: Callable[[str], None]) -> tuple[Checked, ...]:
    """Every case with its faults, in the order of the table; ``told`` hears of each when it is through."""
    order = {case.name: index for index, case in enumerate(cohort.cases)}
    checked: list[Checked] = []
    with closing(in_processes(_check, [(case, cohort.card) for case in cohort.cases], jobs)) as results:
        for (case, _), result in results:
            checked.append(result)
            told(case.name)
    checked.sort(key=lambda one: order[one.case.name])
    among = _faults_among(checked)
    return tuple(replace(one, faults=(*one.faults, *among[one.case.name])) for one in checked)


def _check(task: tuple[Case, Card]) -> Checked:
    case, card = task
    try:
        labelled = read_case(case, card)
    except (Rejected, Retryable) as error:
        followup_faults, followup_digest = _followup(case, card, None)
        return Checked(case=case, faults=(_failed(error), *followup_faults), followup_digest=followup_digest)
    volume, bleed = labelled.volume, labelled.bleed
    faults: list[Fault] = []
    brain, flags = None, volume.flags
    try:
        brain, doubts = brain_mask(volume.hu, volume.geometry)
        flags |= doubts
    except Rejected as error:
        faults.append(Fault(kind=Kind.NO_HEAD, text=str(error)))
    if case.mask is not None and not bleed.any():
        faults.append(Fault(kind=Kind.EMPTY, text='The mask is empty; a head without a bleed has "none" in the table.'))
    if brain is not None:
        faults += _head_faults(volume, brain, bleed, whole_head=Flag.QF_STRIP in flags)
        faults += _bleed_faults(volume, brain, bleed) if bleed.any() else ()
    followup_faults, followup_digest = _followup(case, card, labelled.bleed_ml)
    return Checked(
        case=case,
        faults=(*faults, *followup_faults),
        flags=flags,
        volume_ml=labelled.bleed_ml,
        tile=tile_of(volume, brain, bleed),
        digest=_digest(volume),
        followup_digest=followup_digest,
    )


def _failed(error: Rejected | Retryable) -> Fault:
    return Fault(kind=Kind.GEOMETRY if isinstance(error, BadGeometry) else Kind.UNREADABLE, text=str(error))


def _head_faults(volume: Volume, brain: Mask, bleed: Mask, *, whole_head: bool) -> Iterator[Fault]:
    """Images that do not show all of the brain. A head without a known brain says nothing: its neck may well be cut."""
    areas = brain.sum(axis=(1, 2))
    ends = max(areas[0], areas[-1]) / max(areas.max(), 1)
    if not whole_head and ends > MAX_END_SHARE:
        what = f"An outermost slice still has {ends:.0%} of the largest brain area."
        yield Fault(kind=Kind.CUT, text=f"The head is cut. {what}")
    cut_mm = 0.0 if whole_head else _cut_mm(volume, brain, np.flatnonzero(areas > MAX_END_SHARE * areas.max()))
    if cut_mm > CUT_MM:
        yield Fault(kind=Kind.CUT, text=f"The head is cut by the border of the images, along {cut_mm:.0f} mm.")
    if bleed[0].any() or bleed[-1].any():
        yield Fault(kind=Kind.CUT, text="The bleed reaches an outermost slice.")


def _cut_mm(volume: Volume, brain: Mask, slices: NDArray[np.int64]) -> float:
    """Length along one side of one of the slices where nothing but the head lies within BORDER_MM."""
    geometry = volume.geometry
    steps = (geometry.row_spacing_mm, geometry.column_spacing_mm)
    found = 0.0
    for k in slices:
        parts, _ = ndimage.label(volume.hu[k] > TISSUE_HU)
        head = np.isin(parts, np.unique(parts[brain[k] & (parts > 0)]))  # a holder beside it may well be cut
        for plane, (deep_mm, along_mm) in ((head, steps), (head.T, steps[::-1])):
            depth = max(1, round(BORDER_MM / deep_mm))
            for side in (plane[:depth], plane[-depth:]):
                found = max(found, float(side.all(axis=0).sum()) * along_mm)
    return found


def _bleed_faults(volume: Volume, brain: Mask, bleed: Mask) -> Iterator[Fault]:
    inside = np.count_nonzero(bleed & brain) / np.count_nonzero(bleed)
    if inside < MIN_INSIDE:
        yield Fault(kind=Kind.OUTSIDE, text=f"{1 - inside:.0%} of the mask lies outside the brain.")
    within, beside = (float(np.median(volume.hu[part])) for part in (bleed, brain & ~bleed))
    low, high = DENSITY_HU
    if not low <= within <= high:
        text = f"The median within the mask is {within:.0f} HU; a bleed has {low:.0f} to {high:.0f}."
        yield Fault(kind=Kind.DENSITY, text=text)
    elif within - beside < MIN_CONTRAST_HU:
        text = f"The mask is hardly denser than the brain ({within:.0f} and {beside:.0f} HU): is it on the right side?"
        yield Fault(kind=Kind.DENSITY, text=text)


def _followup(case: Case, card: Card, baseline_ml: float | None) -> tuple[list[Fault], str]:
    """Faults of the follow-up, alone and against the bleed of the first CT, and the digest of its voxels where its CT
    is there."""
    try:
        followup = read_followup(case, card)
        later_ml = followup.bleed_ml if followup and case.followup_mask else followup_ml(case, card)
    except (Rejected, Retryable) as error:
        return [Fault(kind=Kind.FOLLOWUP, text=str(error))], ""
    faults = []
    if later_ml == 0:
        faults.append(Fault(kind=Kind.FOLLOWUP, text=f"The mask of the follow-up is empty ({case.followup_mask})."))
    seen = None if later_ml is None or baseline_ml is None else expanded(baseline_ml, later_ml)
    if None not in (seen, case.expanded) and seen != case.expanded:
        said, grown = ("yes" if each else "no" for each in (case.expanded, seen))
        volumes = f"{baseline_ml:.1f} to {later_ml:.1f} mL"
        text = f"The table says expanded: {said}, the masks ({volumes}) say {grown}."
        faults.append(Fault(kind=Kind.OUTCOME, text=text))
    return faults, _digest(followup.volume) if followup else ""


def _digest(volume: Volume) -> str:
    """Of the voxels, not the file: the same CT is found again as DICOM and NIfTI, packed and unpacked."""
    return hashlib.sha256(np.round(volume.hu).astype("<i2").tobytes()).hexdigest()


def _faults_among(checked: list[Checked]) -> dict[str, list[Fault]]:
    """What is wrong between cases, by case."""
    faults: defaultdict[str, list[Fault]] = defaultdict(list)
    splits: defaultdict[str, set[str]] = defaultdict(set)
    scans: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for one in checked:
        splits[one.case.patient].add(one.case.split)
        scans[one.digest].append((one.case.name, one.case.name))
        scans[one.followup_digest].append((one.case.name, f"{one.case.name} (follow-up)"))
    for one in checked:
        if len(here := splits[one.case.patient]) > 1:
            text = f"Patient {one.case.patient} is in the splits {' and '.join(sorted(here))}."
            faults[one.case.name].append(Fault(kind=Kind.PATIENT, text=text))
    for digest, found in scans.items():
        if digest and len(found) > 1:
            text = f"The same CT is that of {' and '.join(scan for _, scan in found)}."
            for name in dict.fromkeys(name for name, _ in found):
                faults[name].append(Fault(kind=Kind.TWICE, text=text))
    return faults
