"""What a haematoma looks like: its size, its side, the markers of expansion and the BAT score."""

from dataclasses import replace

from ichnode.domain.markers import MarkerName
from ichnode.domain.values import Findings, Onset, Volume
from ichnode.findings.bat import bat_score
from ichnode.findings.marker_rules import MarkerRules
from ichnode.findings.markers import gravity, read_markers
from ichnode.findings.midline import find_midline, laterality, other_side_hu
from ichnode.findings.sections import RULES, clot_of
from ichnode.findings.size import size_of


def describe(
    volume: Volume,
    findings: Findings,
    onset: Onset | None = None,
    *,
    patient_position: str = "",
    rules: MarkerRules = RULES,
) -> Findings:
    """``findings`` with size, laterality, markers, onset and BAT, read from the native HU of ``volume``.

    ``patient_position`` (HFS, HFP, ...) says where down is; on the back when it is empty. Where nothing was found
    there is nothing to describe. Raises BadGeometry for findings of another grid, Rejected for an impossible onset.
    """
    if not findings.present:
        return replace(findings, onset=onset)
    mask, hu, geometry = findings.mask, volume.hu, volume.geometry
    midline = find_midline(hu, geometry)
    markers = read_markers(
        clot_of(mask, hu, geometry, rules),
        brain_hu=other_side_hu(mask, hu, geometry, midline),
        down=gravity(patient_position),
    )
    told = {marker.name: marker for marker in markers}
    hours = onset.hours if onset else None
    return replace(
        findings,
        size=size_of(mask, geometry),
        laterality=laterality(mask, geometry, midline),
        markers=markers,
        onset=onset,
        bat=bat_score(told[MarkerName.BLEND], told[MarkerName.HYPODENSITY], hours),
    )
