"""One case measured with the code that the node runs: what its label says, and what was found in it."""

import time
from dataclasses import dataclass

from ichnode.analyse import Network, find
from ichnode.cohort.read import Labelled, outcome_of, read_case
from ichnode.cohort.table import Card, Case
from ichnode.domain.flags import Flag
from ichnode.domain.markers import Bat
from ichnode.evaluate.agreement import dice, surface_distances
from ichnode.evaluate.pictures import Picture, picture_of
from ichnode.findings.bat import bat_score
from ichnode.findings.markers import blend, hypodensity
from ichnode.findings.sections import clot_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One case: what its label says, and what was found in it.

    ``dice``, ``hd95_mm`` and ``assd_mm`` are on the native grid; None where there is no bleed to overlap with, the
    distances also where nothing was found. ``labelled_ml`` is 0 for a head without a bleed. ``expansion`` is the
    network's probability, None where nothing was found. ``bat`` is read from the labelled mask, as a human reader
    has it: the score of a poor mask would count its faults twice. ``seconds``: of the analysis alone, without reading,
    when it was made; an answer that was kept keeps it.
    """

    name: str
    labelled_ml: float
    found_ml: float
    dice: float | None
    hd95_mm: float | None
    assd_mm: float | None
    flags: tuple[str, ...]
    expansion: float | None
    outcome: bool | None
    onset_h: float | None
    bat: Bat | None
    seconds: float
    picture: Picture

    @property
    def bleeds(self) -> bool:
        """Whether the label says that there is a bleed."""
        return self.labelled_ml > 0

    @property
    def undetermined(self) -> bool:
        """Whether nothing was found by a network that did not see a brain: that is no negative result."""
        return not self.found_ml and Flag.QF_STRIP.name in self.flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A case that could not be measured, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What the volume model is fitted on: the labelled volume of a case and whether it expanded."""

    labelled_ml: float
    outcome: bool | None


def measure_case(case: Case, card: Card, network: Network) -> Measured:
    """Read, analyse and measure one case on its native grid. Raises Rejected, Retryable."""
    labelled = read_case(case, card)
    volume, bleed = labelled.volume, labelled.bleed
    started = time.monotonic()
    findings = find(volume, network, untrained_expansion=True)
    seconds = time.monotonic() - started
    distances = surface_distances(findings.mask, bleed, volume.geometry)
    return Measured(
        name=case.name,
        labelled_ml=labelled.bleed_ml,
        found_ml=findings.volume_ml,
        dice=dice(findings.mask, bleed) if bleed.any() else None,
        hd95_mm=distances.hd95_mm if distances else None,
        assd_mm=distances.assd_mm if distances else None,
        flags=tuple(sorted(flag.name for flag in findings.flags)),
        expansion=findings.expansion.probability if findings.expansion else None,
        outcome=outcome_of(case, card, labelled.bleed_ml),
        onset_h=case.onset_h,
        bat=_bat(labelled, case.onset_h) if bleed.any() else None,
        seconds=seconds,
        picture=picture_of(volume, bleed, findings.mask),
    )


def baseline_of(case: Case, card: Card) -> Baseline:
    """The labelled volume and the outcome of one case; no network takes part. Raises Rejected, Retryable."""
    labelled = read_case(case, card)
    return Baseline(labelled_ml=labelled.bleed_ml, outcome=outcome_of(case, card, labelled.bleed_ml))


def _bat(labelled: Labelled, onset_h: float | None) -> Bat:
    clot = clot_of(labelled.bleed, labelled.volume.hu, labelled.volume.geometry)
    return bat_score(blend(clot), hypodensity(clot), onset_h)
