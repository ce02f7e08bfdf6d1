"""A cohort on disk: ``cohort.csv`` says which images and masks belong together, ``cohort.toml`` where they are from."""

import csv
import io
import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ichnode.domain.errors import ConfigError

TABLE_FILE: Final = "cohort.csv"
CARD_FILE: Final = "cohort.toml"
REQUIRED: Final = ("case", "split", "ct", "mask")
COLUMNS: Final = (
    "case",
    "patient",
    "split",
    "ct",
    "mask",
    "followup_ct",
    "followup_mask",
    "expanded",
    "onset_h",
    "spacing_mm",
)
SPLITS: Final = ("train", "val", "test")
NO_BLEED: Final = "none"  # an empty field could as well be forgotten
OUTCOMES: Final[Mapping[str, bool | None]] = {"yes": True, "no": False, "": None}
NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")  # becomes a file's name: no hidden file, no folder above
HINT: Final = "docs/how-to/cohort.md describes both files."

Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the table.

    ``name`` is unique in the cohort; ``patient`` is the same for the same person. ``split``: one of SPLITS. ``ct``: a
    folder of DICOM images or a NIfTI file. ``mask``: NIfTI on the CT's voxel grid, None for a head without a bleed.
    ``expanded``: the outcome if the table says it. ``onset_h``: hours from onset to CT. ``spacing_mm``: distance
    between slices, rows and columns, where the images' own is known to be wrong.
    """

    name: str
    patient: str
    split: str
    ct: Path
    mask: Path | None
    followup_ct: Path | None = None
    followup_mask: Path | None = None
    expanded: bool | None = None
    onset_h: float | None = None
    spacing_mm: Spacing | None = None


class Card(BaseModel):
    """What a cohort is and under which terms it may be used.

    ``clipped_hu``: (lowest, highest) HU of images that were clipped; what lies at the limits is taken for air and bone.
    ``shareable``: pictures of the images may be passed on; else sheets that are made to be shown have outlines alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    description: str
    source: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    citation: str = ""
    clipped_hu: tuple[int, int] | None = None
    shareable: bool = True

    @model_validator(mode="after")
    def _limits_ascend(self) -> "Card":
        if self.clipped_hu is not None and self.clipped_hu[0] >= self.clipped_hu[1]:
            raise ValueError("clipped_hu is [lowest, highest]")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """A cohort as its two files in ``folder`` describe it; that the images are there has not been looked at."""

    folder: Path
    card: Card
    cases: tuple[Case, ...]

    def split(self, name: str) -> tuple[Case, ...]:
        """The cases of one split, in the order of the table."""
        return tuple(case for case in self.cases if case.split == name)


def read_cohort(folder: Path) -> Cohort:
    """The cohort in ``folder``. Relative paths in its table are relative to it.

    Raises ConfigError that names the file, and for the table line and column, of all that is wrong.
    """
    card = read_card(folder / CARD_FILE)
    return Cohort(folder=folder, card=card, cases=_read_table(folder / TABLE_FILE))


def write_cohort(folder: Path, card: Card, cases: Sequence[Case]) -> None:
    """Writes both files; paths below ``folder`` are written relative to it, so that it can be moved."""
    folder.mkdir(parents=True, exist_ok=True)
    write_card(folder / CARD_FILE, card)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(case, folder.resolve()) for case in cases)
    _write(folder / TABLE_FILE, table.getvalue())


def write_card(path: Path, card: Card) -> None:
    """Writes the card alone, whole or not at all."""
    # A JSON string without raw non-ASCII escapes is a TOML basic string.
    fields = card.model_dump(exclude_none=True)
    _write(path, "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in fields.items()))


def read_card(path: Path) -> Card:
    """The card in the file ``path``. Raises ConfigError that names the file and the keys that are wrong."""
    try:
        return Card.model_validate(tomllib.loads(_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", hint=HINT) from error
    except ValidationError as error:
        faults = [f"{path}: {'.'.join(map(str, e['loc'])) or 'card'}: {e['msg']}" for e in error.errors()]
        raise ConfigError("\n".join(faults), hint=HINT) from error


def _row(case: Case, folder: Path) -> list[str]:
    def path(value: Path | None) -> str:
        if value is None:
            return ""
        whole = value.resolve()
        return str(whole.relative_to(folder) if whole.is_relative_to(folder) else whole)

    return [
        case.name,
        case.patient,
        case.split,
        path(case.ct),
        path(case.mask) or NO_BLEED,
        path(case.followup_ct),
        path(case.followup_mask),
        next(word for word, value in OUTCOMES.items() if value is case.expanded),
        "" if case.onset_h is None else repr(case.onset_h),
        " ".join(map(repr, case.spacing_mm or ())),
    ]


def _read_table(path: Path) -> tuple[Case, ...]:
    reader = csv.reader(io.StringIO(_text(path)), strict=True)
    cases: list[Case] = []
    names: dict[str, str] = {}  # by what some file systems make of them, who know no capital letters
    faults: list[str] = []
    try:
        header = [column.strip() for column in next(reader, [])]
        _check_header(path, header)
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            row = _Row(folder=path.parent, header=header, fields=[field.strip() for field in fields])
            case = row.case()
            known = names.get(case.name.casefold())
            if known == case.name:
                row.faults.append(("case", f"{case.name!r} stands there twice"))
            elif known is not None:
                row.faults.append(("case", f"{case.name!r} differs from {known!r} in capital letters alone"))
            names[case.name.casefold()] = case.name
            faults += [f"{path}:{reader.line_num}: {column}: {what}" for column, what in row.faults]
            cases.append(case)
    except csv.Error as error:
        raise ConfigError(f"{path}:{reader.line_num}: {error}", hint=HINT) from error
    if not cases:
        faults.append(f"{path}: the table has no case")
    if faults:
        raise ConfigError("\n".join(faults), hint=HINT)
    return tuple(cases)


def _check_header(path: Path, header: Sequence[str]) -> None:
    faults = [f"column {column!r} is missing" for column in REQUIRED if column not in header]
    faults += [f"column {column!r} is unknown" for column in header if column not in COLUMNS]
    faults += [f"column {column!r} stands there twice" for column in COLUMNS if header.count(column) > 1]
    if faults:
        known = f"The columns are {', '.join(COLUMNS)}; parted by commas. {HINT}"
        raise ConfigError("\n".join(f"{path}:1: {fault}" for fault in faults), hint=known)


class _Row:
    """One line of the table: reads each field, and notes what is wrong with it."""

    def __init__(self, *, folder: Path, header: Sequence[str], fields: Sequence[str]) -> None:
        self.folder = folder
        self.faults: list[tuple[str, str]] = []
        if len(fields) > len(header):
            self.faults.append(("line", f"{len(fields)} fields, and {len(header)} columns"))
        self.fields = dict(zip(header, [*fields, *[""] * (len(header) - len(fields))], strict=False))

    def case(self) -> Case:
        name, mask = self.get("case"), self.needed("mask")
        if not NAME.fullmatch(name):
            self.faults.append(("case", f"{name!r} is no name; use letters, digits and . _ -"))
        if mask == NO_BLEED and (self.get("followup_mask") or self.get("expanded") == "yes"):
            self.faults.append(("mask", "a head without a bleed has neither a follow-up mask nor an expansion"))
        return Case(
            name=name,
            patient=self.get("patient") or name,
            split=self.one_of("split", SPLITS),
            ct=self.folder / self.needed("ct"),
            mask=None if mask == NO_BLEED else self.folder / mask,
            followup_ct=self.path("followup_ct"),
            followup_mask=self.path("followup_mask"),
            expanded=OUTCOMES.get(self.one_of("expanded", tuple(OUTCOMES))),
            onset_h=self.onset_h(),
            spacing_mm=self.spacing_mm(),
        )

    def get(self, column: str) -> str:
        return self.fields.get(column, "")

    def needed(self, column: str) -> str:
        if not self.get(column):
            hint = f", or {NO_BLEED} for a head without a bleed" if column == "mask" else ""
            self.faults.append((column, f"a path is needed{hint}"))
        return self.get(column)

    def path(self, column: str) -> Path | None:
        return self.folder / self.get(column) if self.get(column) else None

    def one_of(self, column: str, allowed: Sequence[str]) -> str:
        value = self.get(column)
        if value not in allowed:
            self.faults.append((column, f"{value!r} is not one of {', '.join(word or 'nothing' for word in allowed)}"))
        return value

    def onset_h(self) -> float | None:
        hours = list(self.numbers("onset_h", 1))
        if hours and hours[0] < 0:
            self.faults.append(("onset_h", "hours from onset to CT cannot be negative"))
        return hours[0] if hours else None

    def spacing_mm(self) -> Spacing | None:
        spacing = list(self.numbers("spacing_mm", 3))
        if len(spacing) != 3:
            return None
        if min(spacing) <= 0:
            self.faults.append(("spacing_mm", "distances are positive"))
        return spacing[0], spacing[1], spacing[2]

    def numbers(self, column: str, count: int) -> Iterator[float]:
        words = self.get(column).split()
        try:
            found = [float(word) for word in words]
        except ValueError:
            found = []
        if words and (len(found) != count or not all(map(math.isfinite, found))):
            self.faults.append((column, f"{self.get(column)!r} is not {count} number{'s' if count > 1 else ''}"))
        elif words:
            yield from found


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # spreadsheets put a byte order mark before the first column
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        hint = f"A cohort is a folder with {TABLE_FILE} and {CARD_FILE}. {HINT}"
        raise ConfigError(f"{path} cannot be read: {reason}.", hint=hint) from error
