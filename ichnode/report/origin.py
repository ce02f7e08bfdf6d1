"""What was analysed, in words without a patient in them: the series' number, its slices, when they were taken."""

import re
from typing import Final

from pydicom.dataset import Dataset

from ichnode.report.inputs import Source
from ichnode.report.stated import raw_value

DATE: Final = re.compile(r"((?:19|20)\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
TIME: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d)")
MOMENTS: Final = (("AcquisitionDate", "AcquisitionTime"), ("ContentDate", "ContentTime"), ("SeriesDate", "SeriesTime"))


def series_name(image: Dataset) -> str:
    """The series by its number. Its description may name a person, so it is left out."""
    number = raw_value(image, "SeriesNumber").decode("ascii", "replace")
    return f"Series {number}" if number.isdecimal() and len(number) < 10 else "Series without a number"


def taken_at(image: Dataset) -> str:
    """When an image was acquired, to the minute; the study's date where nothing better is stated, or words."""
    for date_word, time_word in (*MOMENTS, ("StudyDate", "StudyTime")):
        date = DATE.fullmatch(raw_value(image, date_word).decode("ascii", "replace"))
        time = TIME.match(raw_value(image, time_word).decode("ascii", "replace"))
        if date:
            return "-".join(date.groups()) + (f" {time[1]}:{time[2]}" if time else "")
    return "at an unknown time"


def analysed(source: Source) -> str:
    """One line: "Series 2, 32 slices of 5 mm, acquired 2026-01-05 08:15"; how far apart, where that differs."""
    image, geometry = source.images[0], source.volume.geometry
    gaps = geometry.gaps_mm
    apart = f"{gaps.min():.2g} to {gaps.max():.2g} mm apart" if geometry.is_unequal else ""
    how = apart or f"of {source.slice_thickness_mm:.3g} mm"
    return f"{series_name(image)}, {len(source.images)} slices {how}, acquired {taken_at(image)}"


def received(datasets: tuple[Dataset, ...]) -> str:
    """The same of images that were not analysed, of any class."""
    count = len(datasets)
    return f"{series_name(datasets[0])}, {count} object{'' if count == 1 else 's'}, acquired {taken_at(datasets[0])}"
