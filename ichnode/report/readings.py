"""What was read from the haematoma, as items of the report: markers with their evidence, BAT, onset."""

from collections.abc import Sequence
from typing import Any, Final

from pydicom.dataset import Dataset

from ichnode.domain.markers import Focus, Marker, MarkerName
from ichnode.domain.values import Findings
from ichnode.report import codes
from ichnode.report.inputs import Source
from ichnode.report.tree import HAS, RESTS_ON, add, comment, evaluation, measurement, number, slice_image
from ichnode.report.wording import bat_meaning, bat_text

MAX_FOCI: Final = 10  # places of one marker that are listed; how many more there are is told in words
STATES: Final = {True: codes.PRESENT, False: codes.ABSENT, None: codes.UNDETERMINED}
MARKERS: Final = {
    MarkerName.HYPODENSITY: codes.HYPODENSITY,
    MarkerName.BLACK_HOLE: codes.BLACK_HOLE,
    MarkerName.SWIRL: codes.SWIRL,
    MarkerName.BLEND: codes.BLEND,
    MarkerName.FLUID_LEVEL: codes.FLUID_LEVEL,
    MarkerName.IRREGULAR: codes.IRREGULAR,
    MarkerName.HETEROGENEOUS: codes.HETEROGENEOUS,
    MarkerName.ISLAND: codes.ISLAND,
    MarkerName.SATELLITE: codes.SATELLITE,
}


def marker_items(source: Source, markers: Sequence[Marker]) -> list[Any]:
    """Each marker as Present, Absent or Undetermined (CID 240), with the reason and the places that it rests on."""
    return [
        evaluation(
            MARKERS[marker.name],
            STATES[marker.present],
            comment(_reason(marker), RESTS_ON),
            *(_place(source, focus) for focus in marker.foci[:MAX_FOCI]),
        )
        for marker in markers
    ]


def _reason(marker: Marker) -> str:
    more = len(marker.foci) - MAX_FOCI
    return f"{marker.reason}; {more} smaller places are not listed" if more > 0 else marker.reason


def _place(source: Source, focus: Focus) -> Dataset:
    """One place: its area, how much darker it is, and the image it was measured on."""
    area = number(codes.AREA, round(focus.area_mm2, 1), codes.SQUARE_MILLIMETER, RESTS_ON)
    darker = []
    if focus.contrast_hu is not None:
        darker = [number(codes.DARKER_BY, round(focus.contrast_hu, 1), codes.HOUNSFIELD, HAS)]
    add(area, [*darker, slice_image(source, focus.slice_index)])
    return area


def score_items(findings: Findings) -> tuple[list[Any], list[Any]]:
    """Measurements and evaluations of the time since onset and of the BAT score, as far as they are known.

    A score that is not known is Undetermined, with the interval in words, never a number.
    """
    measurements, evaluations = [], []
    onset, bat = findings.onset, findings.bat
    if onset is not None:
        told = comment(f"Source: {onset.source}", HAS)
        measurements.append(measurement(codes.ONSET_TO_CT, round(onset.hours, 2), codes.HOUR, told))
    if bat is not None:
        if bat.score is not None:
            measurements.append(measurement(codes.BAT, bat.score, codes.SCORE))
        else:
            meaning = bat_meaning(bat, onset_known=onset is not None)
            evaluations.append(
                evaluation(codes.BAT, codes.UNDETERMINED, comment(f"{bat_text(bat)}, {meaning}", RESTS_ON))
            )
        high = {True: codes.YES, False: codes.NO, None: codes.UNDETERMINED}[bat.high_risk]
        evaluations.append(evaluation(codes.BAT_HIGH, high))
    return measurements, evaluations
