"""Programs and libraries of others, and our own gate, as judges: each gets files and says what it holds against them.

None sees all faults; what each of them misses stands in docs/explanation/validation.md.
"""

import json
import re
import subprocess
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pydicom import Dataset, dcmread

from ichnode.report import gate
from ichnode.report.rules import READERS
from tests.peers.tables import against_tables
from tests.peers.tools import missing, output_of, program

JARS: Final = Path("/usr/share/java")  # where Debian keeps them
SCRIPT: Final = Path(__file__).with_name("pixelmed.bsh")
UNLIMITED: Final = tuple(  # Java 17 gives up on style sheets as large as PixelMed's
    f"-Djdk.xml.{name}=0" for name in ("xpathExprGrpLimit", "xpathExprOpLimit", "xpathTotalOpLimit")
)
SEG, LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
SR_3D, SR, SR_ENHANCED = (f"1.2.840.10008.5.1.4.1.1.88.{last}" for last in (34, 33, 22))
KOS = "1.2.840.10008.5.1.4.1.1.88.59"
SC, SC_MULTI = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.4"
REPORTS: Final = frozenset({SR_3D, SR, SR_ENHANCED})
DCMTK_COMPLAINT: Final = (  # but not what it says of itself
    r"[EF]: |W: (?!The VR checker does not support this Specific Character Set|Check for template constraints not yet)"
)
GROUP_TEMPLATES: Final = {"1410", "1411", "1501"}

Judged = dict[Path, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Someone who judges files. ``classes``: the SOP classes that it knows; None: all."""

    name: str
    judge: Callable[[Sequence[Path]], Judged]
    classes: frozenset[str] | None = None

    def __call__(self, paths: Iterable[Path]) -> Judged:
        """What is held against those of ``paths`` that this judge knows, and an empty list for a sound file."""
        known = [path for path in paths if self.classes is None or class_of(path) in self.classes]
        return self.judge(known) if known else {}


def class_of(path: Path) -> str:
    """SOPClassUID of a file, by its header: the data set may be broken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(dcmread(path, stop_before_pixels=True).file_meta.MediaStorageSOPClassUID)


def here(judge: Callable[[Path], list[str]]) -> Callable[[Sequence[Path]], Judged]:
    """A judge in this process, which takes one file at a time."""
    return lambda paths: {path: judge(path) for path in paths}


def outside(judge: Callable[[Path], list[str]]) -> Callable[[Sequence[Path]], Judged]:
    """A judge that is a program, which takes one file at a time: two run at once."""

    def all_of(paths: Sequence[Path]) -> Judged:
        with ThreadPoolExecutor(2) as pool:
            return dict(zip(paths, pool.map(judge, paths), strict=True))

    return all_of


def _gate(path: Path) -> list[str]:
    try:
        gate.check(_read(path))
    except gate.NotConformant as error:
        return [str(error)]
    return []


def _highdicom(path: Path) -> list[str]:
    dataset = _read(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            READERS[str(dataset.file_meta.MediaStorageSOPClassUID)](dataset)
    except Exception as error:  # noqa: BLE001 - whatever a reader stumbles over is a complaint
        return [f"{type(error).__name__}: {error}"]
    return []


def _dciodvfy(path: Path) -> list[str]:
    said = output_of("dciodvfy", "-new", str(path), check=False)
    return [line for line in said.splitlines() if line.startswith("Error")]


def _dsrdump(path: Path) -> list[str]:
    return _refusals("dsrdump", str(path), complaint=DCMTK_COMPLAINT)


def _dsr2html(path: Path) -> list[str]:
    with TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        refusals = _refusals("dsr2html", str(path), str(page), complaint=DCMTK_COMPLAINT)
        return refusals or ([] if page.exists() and "</html>" in page.read_text(errors="replace") else ["no page"])


def _dcmqi_seg(path: Path) -> list[str]:
    with TemporaryDirectory() as folder:
        said = ("segimage2itkimage", "--inputDICOM", str(path), "--outputDirectory", folder, "-t", "nii")
        return _refusals(*said) or ([] if any(Path(folder).glob("*.nii*")) else ["it makes no volume of it"])


def _dcmqi_sr(path: Path) -> list[str]:
    with TemporaryDirectory() as folder:
        target = Path(folder, "sr.json")
        refusals = _refusals("tid1500reader", "--inputDICOM", str(path), "--outputMetadata", str(target))
        return refusals or ([] if target.exists() and json.loads(target.read_text()) else ["it reads nothing of it"])


def _refusals(name: str, *arguments: str, complaint: str = r"(?i)\s*(error|fatal)|[EF]: ") -> list[str]:
    """The lines that begin like a ``complaint``; a program that fails silently is one too."""
    command = [program(name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if re.match(complaint, line)]
    return lines or ([f"ended with {done.returncode}"] if done.returncode else [])


def _pixelmed(paths: Sequence[Path]) -> Judged:
    jars = [JARS / name for name in ("pixelmed.jar", "bsh.jar")]
    for jar in jars:
        if not jar.exists():
            missing(f"{jar.name}, of Debian's libpixelmed-java and bsh,")
    command = [*UNLIMITED, "-cp", ":".join(map(str, jars)), "bsh.Interpreter", str(SCRIPT), *map(str, paths)]
    judged: Judged = {}
    for part in output_of("java", *command).split("FILE ")[1:]:
        name, _, said = part.partition("\n")
        errors = [line for line in said.splitlines() if "Error" in line]
        judged[Path(name)] = [error for error in errors if not _is_known(error, Path(name))]
    return judged


KNOWN_ERRORS: Final = (  # what PixelMed of 2022 holds against sound objects
    # CID 100 is extensible, and its tables have 25045-6 alone of what LOINC has of CT
    re.compile(r"Code \(30799-1,LN,.* not found in context group 100$"),
    # TID 2010 wants references without a name, highdicom writes one and reads none without
    re.compile(r"Template 2010 .*Row 8 Purpose of Reference \(Concept\) is forbidden"),
    # PS3.3 C.7.3.1: only where the part examined is one of a pair, which a brain is not
    re.compile(r"GeneralSeriesModule/Laterality/"),
)


def _is_known(error: str, path: Path) -> bool:
    """Whether a complaint is one of KNOWN_ERRORS, or holds a template against a group that names another one."""
    if any(known.search(error) for known in KNOWN_ERRORS):
        return True
    found = re.search(r"Template (\d+) .*within ([\d.]+):", error)
    if found is None or found[1] not in GROUP_TEMPLATES:
        return False
    item = _read(path)
    for position in found[2].split(".")[1:]:
        item = item.ContentSequence[int(position) - 1]
    return bool(item.ContentTemplateSequence[0].TemplateIdentifier != found[1])


def _read(path: Path) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dcmread(path)


GATE: Final = Judge(name="gate", judge=here(_gate))
HIGHDICOM: Final = Judge(name="highdicom", judge=here(_highdicom), classes=frozenset(READERS))
TABLES: Final = Judge(name="dicom-validator", judge=here(against_tables))
DCIODVFY: Final = Judge(name="dciodvfy", judge=outside(_dciodvfy))
DSRDUMP: Final = Judge(name="dsrdump", judge=outside(_dsrdump), classes=REPORTS | {KOS})
DSR2HTML: Final = Judge(name="dsr2html", judge=outside(_dsr2html), classes=REPORTS | {KOS})
DCMQI_SEG: Final = Judge(name="segimage2itkimage", judge=outside(_dcmqi_seg), classes=frozenset({SEG, LABEL_MAP}))
DCMQI_SR: Final = Judge(name="tid1500reader", judge=outside(_dcmqi_sr), classes=REPORTS)
PIXELMED: Final = Judge(name="PixelMed", judge=_pixelmed, classes=REPORTS | {KOS, SEG})
JUDGES: Final = (GATE, HIGHDICOM, TABLES, DCIODVFY, DSRDUMP, DSR2HTML, DCMQI_SEG, DCMQI_SR, PIXELMED)
