"""When the symptoms began, as a site tells it: which attribute, what it looks like, what it means."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ichnode.domain.errors import ConfigError

LONGEST_H: Final = 7 * 24.0  # a bleed that began earlier is no early one, and a longer time is a slip of the pen
_TAG: Final = re.compile(r"\(?([0-9A-Fa-f]{4}),\s?([0-9A-Fa-fxX]{2})([0-9A-Fa-f]{2})\)?")


class OnsetMeaning(StrEnum):
    """What an attribute says."""

    DURATION = "duration"  # from onset to CT: groups hours and minutes, hours may have decimals
    CLOCK = "clock"  # when it began: groups hour, minute, and year, month, day where the day is told too


GROUPS: Final = {
    OnsetMeaning.DURATION: frozenset({"hours", "minutes"}),
    OnsetMeaning.CLOCK: frozenset({"hour", "minute", "year", "month", "day"}),
}
DAY: Final = frozenset({"year", "month", "day"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OnsetRule:
    """Where a site sends the onset.

    ``attribute``: a keyword, or "(gggg,eeee)"; for a private one "(gggg,xxee)" with its ``creator``. ``pattern``: a
    regular expression searched in its text, with named groups as ``meaning`` has them.

    Raises ConfigError for a pattern that is none, or whose groups do not fit.
    """

    attribute: str
    pattern: str
    meaning: OnsetMeaning = OnsetMeaning.DURATION
    creator: str = ""

    def __post_init__(self) -> None:
        try:
            groups = frozenset(re.compile(self.pattern).groupindex)
        except re.error as error:
            raise ConfigError(f"{self.pattern!r} is not a regular expression: {error}.") from error
        known, one = GROUPS[self.meaning], "hours" if self.meaning is OnsetMeaning.DURATION else "hour"
        whole_day = not groups & DAY or groups >= DAY
        if not groups <= known or one not in groups or not whole_day:
            needed = f"{one} is needed; of a date all parts or none"
            hint = f"{self.meaning} has the named groups {', '.join(sorted(known))}; {needed}."
            raise ConfigError(f"{self.pattern!r} has not the groups of a {self.meaning}.", hint=hint)
        if self.tag is None and not re.fullmatch("[A-Z][A-Za-z0-9]+", self.attribute):
            raise ConfigError(f"{self.attribute!r} is neither a keyword nor a tag.", hint="For example (0033,xx01).")
        if bool(self.creator) != self.is_private:
            hint = 'A private attribute is "(0033,xx01)" with its creator; any other has none.'
            raise ConfigError(f"{self.attribute!r} and creator {self.creator!r} do not fit.", hint=hint)

    @property
    def tag(self) -> tuple[int, int] | None:
        """Group and element, of a private attribute without its block; None for a keyword."""
        found = _TAG.fullmatch(self.attribute)
        if found is None:
            return None
        block = "" if found[2].lower() == "xx" else found[2]
        return int(found[1], 16), int(block + found[3], 16)

    @property
    def is_private(self) -> bool:
        """Whether the attribute is one of a private block."""
        return self.tag is not None and self.tag[0] % 2 == 1
