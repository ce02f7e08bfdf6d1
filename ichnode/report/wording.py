"""How figures and findings are put into words, the same on a page, in the report and in its rendering as text."""

import unicodedata
from collections.abc import Sequence
from typing import Final

from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.followup import Growth
from ichnode.domain.markers import Bat, Focus, Marker
from ichnode.domain.values import Expansion

LARGE: Final = 100.0  # from here on no decimals are told
HUGE: Final = 1e6

# what decomposition does not turn into ASCII
PUNCTUATION: Final = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": "-",
        "\u2212": "-",
        "\u00d7": "x",
        "\u00df": "ss",
        "\u00b0": " degrees",
        "\u00b1": "+/-",
        "\u2265": ">=",
        "\u2264": "<=",
    }
)


def ascii_text(text: str) -> str:
    """``text`` with accents taken off; what is no ASCII letter after that becomes a question mark."""
    decomposed = unicodedata.normalize("NFKD", text.translate(PUNCTUATION))
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    plain = bare.encode("ascii", "replace").decode("ascii")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in plain).split())


def figure(value: float, decimals: int = 1) -> str:
    """A number for the eye: one decimal below a hundred, none above, powers of ten where it is out of all bounds."""
    if abs(value) >= HUGE:
        return f"{value:.1e}"
    return f"{value:.0f}" if abs(value) >= LARGE else f"{value:.{decimals}f}"


def signed(value: float, decimals: int = 1) -> str:
    """The same with its sign."""
    return f"+{figure(value, decimals)}" if value >= 0 else figure(value, decimals)


def hours(value: float) -> str:
    """A time span: hours and minutes below two days, days above."""
    if value >= 48:
        return f"{figure(value / 24)} days"
    minutes = round(value * 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def percent(growth: Growth) -> str:
    """How much it has grown by, relative to the earlier scan; from where, if nothing was there."""
    share = growth.growth_percent
    return "from 0 mL" if share is None else f"{signed(share, 0)} %"


def state(marker: Marker) -> str:
    """Present, absent or undetermined."""
    return "undetermined" if marker.present is None else "present" if marker.present else "absent"


def where(focus: Focus) -> str:
    """Where a marker shows, and how strongly: the contrast, the area, the slice."""
    contrast = "" if focus.contrast_hu is None else f"{figure(focus.contrast_hu, 0)} HU darker, "
    return f"{contrast}{figure(focus.area_mm2, 0)} mm2, slice {focus.slice_index + 1}"


def evidence(marker: Marker) -> str:
    """What a marker rests on, in one line: its largest place and how many more, or why it is so."""
    if marker.present and marker.foci:
        more = len(marker.foci) - 1
        return where(marker.foci[0]) + (f"; {more} more" if more else "")
    return ascii_text(marker.reason)


def in_reading_order(markers: tuple[Marker, ...]) -> list[Marker]:
    """Present ones first, then the undetermined, then the absent."""
    return sorted(markers, key=lambda marker: {True: 0, None: 1, False: 2}[marker.present])


def distinct(told: Sequence[Doubt]) -> list[Doubt]:
    """Each doubt once; a bare flag goes where the same one has evidence. In the order of the flags."""
    backed = {doubt.flag for doubt in told if doubt.evidence}
    kept = dict.fromkeys(doubt for doubt in told if doubt.evidence or doubt.flag not in backed)
    order = list(Flag)
    return sorted(kept, key=lambda doubt: order.index(doubt.flag))


def bat_text(bat: Bat) -> str:
    """The score as a number of 5, or as the interval it lies in."""
    return f"{bat.low} of 5" if bat.score is not None else f"{bat.low} to {bat.high} of 5"


def bat_meaning(bat: Bat, *, onset_known: bool) -> str:
    """What the score means, and why it is an interval where it is one."""
    risk = {True: "high risk (3 or more)", False: "below 3", None: "risk undetermined"}[bat.high_risk]
    if bat.score is not None:
        return risk
    return f"{risk}, {'a marker is undetermined' if onset_known else 'onset unknown'}"


def expansion_side(expansion: Expansion) -> str:
    """On which side of its threshold a predicted probability lies."""
    side = "at or above" if expansion.probability >= expansion.threshold else "below"
    return f"{side} the threshold of {100 * expansion.threshold:.0f} %"
