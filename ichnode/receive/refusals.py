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

    def note(self, who: str, why: str) -> None:
        """One refusal. ``who`` may be what a peer says of itself: what is not printable is left out."""
        who = "".join(letter for letter in who if letter.isascii() and letter.isprintable())
        log.warning("refused %s: %s", who, why, extra={"action": "refuse"})
        with self._lock:
            known = (who, why) in self._further
            if not known and len(self._further) >= MOST_KINDS:
                who, known = OTHERS, (OTHERS, why) in self._further
            self._further[(who, why)] += 1 if known else 0
        if not known:
            self._tell(f"refused {who}: {why}")

    def report(self) -> None:
        """Tells what came after the first of each kind, and begins anew."""
        with self._lock:
            further, self._further = self._further, Counter()
        for (who, why), count in further.items():
            if count:
                self._tell(f"refused {who} {count} times more: {why}")
