"""Hours from the first symptom to the CT, where the headers of a site say them."""

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Final

from pydicom.dataset import Dataset

from ichnode.domain.onset import LONGEST_H, OnsetMeaning, OnsetRule
from ichnode.domain.values import Onset
from ichnode.domain.zone import zone
from ichnode.image.readable import UNREADABLE

HOUR_S: Final = 3600.0
LONGEST_TEXT: Final = 10240  # characters of a Long Text, PS3.5 6.2: a site's pattern may take their square in time


def onset_of(dataset: Dataset, rules: Sequence[OnsetRule], acquired_at: float | None) -> Onset | None:
    """The onset that the first of ``rules`` finds in a header; None where none does.

    ``acquired_at``: when the image was taken, seconds since the epoch. What cannot be (before a negative time, beyond
    seven days, a clock time without a time of acquisition) counts as not said.
    """
    for rule in rules:
        found = re.search(rule.pattern, _text(dataset, rule)[:LONGEST_TEXT])
        if found is None:
            continue
        hours = _hours(found.groupdict(), rule.meaning, acquired_at, _zone(dataset))
        if hours is not None and 0 <= hours <= LONGEST_H:
            return Onset(hours=hours, source=rule.attribute)
    return None


def _text(dataset: Dataset, rule: OnsetRule) -> str:
    """The attribute's text, values joined by backslashes; empty where it is absent or odd."""
    try:
        if rule.tag is None:
            value = dataset.get(rule.attribute)
        elif rule.is_private:
            group, element = rule.tag
            value = dataset.private_block(group, rule.creator)[element & 0xFF].value
        else:
            value = dataset[rule.tag].value
    except UNREADABLE:
        return ""
    if value is None:
        return ""
    if isinstance(value, bytes):  # a private attribute whose VR is not known
        return value.decode("ascii", "replace").strip(" \0")
    return value if isinstance(value, str) else "\\".join(map(str, value)) if _is_list(value) else str(value)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence)


def _zone(dataset: Dataset) -> timezone | None:
    """The zone that the times of a header are in; None, the node's own, where it says none."""
    try:
        offset = str(dataset.get("TimezoneOffsetFromUTC") or "")
        return zone(offset or str(dataset.get("AcquisitionDateTime") or "").strip()[-5:])
    except UNREADABLE:
        return None


def _hours(
    said: dict[str, str | None], meaning: OnsetMeaning, acquired_at: float | None, local: timezone | None
) -> float | None:
    try:
        if meaning is OnsetMeaning.DURATION:
            hours = float((said.get("hours") or "0").replace(",", ".")) + float(said.get("minutes") or 0) / 60
            return hours if math.isfinite(hours) else None
        return None if acquired_at is None else _since(said, acquired_at, local)
    except UNREADABLE:
        return None


def _since(said: dict[str, str | None], acquired_at: float, local: timezone | None) -> float:
    """Hours since a time of the clock where the image was taken; without a day, the last such time before the CT."""
    taken = datetime.fromtimestamp(acquired_at, local)
    hour, minute = int(said["hour"] or 0), int(said.get("minute") or 0)
    if said.get("year"):
        year, month, day = (int(said[name] or 0) for name in ("year", "month", "day"))
        began = datetime(year, month, day, hour, minute, tzinfo=local)
    else:
        began = taken.replace(hour=hour, minute=minute, second=0, microsecond=0)
        began -= timedelta(days=1) if began > taken else timedelta(0)
    return (acquired_at - began.timestamp()) / HOUR_S
