"""When something happened, from the dates and times of a header."""

import re
from datetime import datetime, timedelta
from typing import Final

from ichnode.domain.zone import zone

EPOCH_YEARS: Final = (1972, 2200)  # no CT was made before, whatever a broken clock says
_DATE: Final = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")
_TIME: Final = re.compile(r"(\d{2}):?(\d{2}):?(\d{2})?(\.\d{1,6})?")


def moment(date: str, time: str, offset: str = "") -> float | None:
    """Seconds since the epoch of a DA and a TM; ``offset`` is TimezoneOffsetFromUTC, empty: this node's own zone.

    None for what is no date with at least hour and minute. The forms of ACR-NEMA (2024.02.29, 10:15:00) are read too.
    Source: PS3.5 6.2, PS3.3 C.12.1.1.8.
    """
    day, clock = _DATE.fullmatch(date.strip()), _TIME.fullmatch(time.strip())
    if day is None or clock is None:
        return None
    hour, minute, second, fraction = clock.groups()
    try:
        year, month, month_day = map(int, day.groups())
        local = datetime(year, month, month_day, int(hour), int(minute), min(59, int(second or 0)))
        zoned = local.replace(tzinfo=zone(offset)) + timedelta(seconds=float(fraction or 0))
        sound = EPOCH_YEARS[0] <= local.year < EPOCH_YEARS[1]
        return zoned.timestamp() if sound else None
    except (ValueError, OverflowError):
        return None


def moment_of_datetime(stated: str, offset: str = "") -> float | None:
    """Seconds since the epoch of a DT; the offset that it bears itself goes before ``offset``. None as ``moment``."""
    found = re.fullmatch(r"(\d{8})(\d{4,6}(?:\.\d{1,6})?)([+-]\d{4})?", stated.strip())
    return None if found is None else moment(found[1], found[2], found[3] or offset)
