"""The decisions for a folder of DICOM files, with nothing sent, stored or run: what ``rules test`` shows."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from ichnode.domain.facts import InstanceFacts
from ichnode.domain.states import Decision
from ichnode.metered import ODD
from ichnode.receive.complete import missing_slices
from ichnode.receive.header import facts_of, text
from ichnode.receive.rules import Rule
from ichnode.receive.select import Preference, decide_study
from ichnode.receive.series_facts import SeriesFacts, series_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedSeries:
    """One series of a folder and what would become of it; ``facts.id`` counts from 1 over the folder."""

    study_instance_uid: str
    series_instance_uid: str
    facts: SeriesFacts
    files: tuple[Path, ...]
    decision: Decision
    text: str


@dataclass(slots=True)
class _Found:
    sop_class_uid: str
    facts: list[InstanceFacts] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


def scan(folder: Path, rules: Sequence[Rule], preference: Preference, *, calling_ae: str = "") -> list[ScannedSeries]:
    """Decides on every series below a folder, as the node would if ``calling_ae`` had sent it.

    Files that are not DICOM images are passed over. In order of study and series number. Raises OSError.
    """
    found = _read(sorted(path for path in folder.rglob("*") if path.is_file()))
    facts = {
        key: series_facts(
            series.facts,
            series_id=number,
            sop_class_uid=series.sop_class_uid,
            calling_ae=calling_ae,
            missing=missing_slices(series.facts),
        )
        for number, (key, series) in enumerate(found.items(), start=1)
    }
    scanned: list[ScannedSeries] = []
    for study in dict.fromkeys(study for study, _ in found):
        members = {key: facts[key] for key in found if key[0] == study}
        decided = decide_study(list(members.values()), rules, preference)
        for key, each in sorted(members.items(), key=lambda item: (item[1].number or 0, item[1].id)):
            decision, reason = decided[each.id]
            scanned.append(
                ScannedSeries(
                    study_instance_uid=study,
                    series_instance_uid=key[1],
                    facts=each,
                    files=tuple(found[key].files),
                    decision=decision,
                    text=reason,
                )
            )
    return scanned


def _read(paths: Iterable[Path]) -> dict[tuple[str, str], _Found]:
    found: defaultdict[tuple[str, str], _Found] = defaultdict(lambda: _Found(sop_class_uid=""))
    for path in paths:
        try:
            header = dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, *ODD):
            continue
        study, series = text(header, "StudyInstanceUID"), text(header, "SeriesInstanceUID")
        if not study or not series:
            continue
        of_series = found[study, series]
        of_series.sop_class_uid = of_series.sop_class_uid or text(header, "SOPClassUID")
        of_series.facts.append(facts_of(header))
        of_series.files.append(path)
    return dict(found)
