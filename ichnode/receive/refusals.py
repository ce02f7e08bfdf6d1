"""What is refused: logged each time, told to a person once and then by the hour."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

MOST_KINDS: Final = 100  # a scanner that changes its title each time shall fill neither memory nor queue
OTHERS: Final = "others"


class Refusals:
    """Counts refusals by who and why. ``tell`` is given a sentence for the first of a kind, and one for all further
    ones at each ``report``."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._further: Counter[tuple[str, str]] = Counter()

    def note(self, who: str, why: str, *, in_full: str = "") -> None:
        """One refusal. ``who`` may be what a peer says of itself: what is not printable is left out. ``in_full`` is
        told in place of ``why``, by which it is counted: what differs from call to call makes no kind of its own."""
        who = printable(who)
        told = printable(in_full) or why
        log.warning("refused %s: %s", who, told, extra={"action": "refuse"})
        with self._lock:
            known = (who, why) in self._further
            if not known and len(self._further) >= MOST_KINDS:
                who, known = OTHERS, (OTHERS, why) in self._further
            self._further[(who, why)] += 1 if known else 0
        if not known:
            self._tell(f"refused {who}: {told}")

    def report(self) -> None:
        """Tells what came after the first of each kind, and begins anew."""
        with self._lock:
            further, self._further = self._further, Counter()
        for (who, why), count in further.items():
            if count:
                times = "once" if count == 1 else f"{count} times"
                self._tell(f"refused {who} {times} more: {why}")


def printable(text: str) -> str:
    """What another machine says, without what could write over a terminal or a log."""
    return "".join(letter for letter in text if letter.isascii() and letter.isprintable())
