"""Associations that come again and again: the first of a minute is told at once, the rest as a number."""

import threading
from dataclasses import dataclass
from typing import Final

REPEATS_S: Final = 60.0

Caller = tuple[str, str, str, str]  # AE title, address, why it was refused, over what


@dataclass(slots=True)
class _Repeated:
    since: float
    caller: Caller
    times: int = 0


class Repeats:
    """Counts what is not told at once. Safe to use from several threads; holds no more than a minute's addresses."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, _Repeated] = {}

    def came(self, key: str, caller: Caller, *, now: float) -> list[tuple[Caller, int]]:
        """Another one of this key. Returns what is to be told, each with how often: of any key whose minute is over."""
        with self._lock:
            over = [each for each, known in self._known.items() if now - known.since > REPEATS_S]
            told = [(old.caller, old.times) for each in over if (old := self._known.pop(each)).times]
            known = self._known.get(key)
            if known is None:
                self._known[key] = _Repeated(now, caller)
                told.append((caller, 1))
            else:
                known.times += 1
                known.caller = caller
            return told

    def left(self) -> list[tuple[Caller, int]]:
        """What was counted and not told yet; nothing is left after."""
        with self._lock:
            told = [(known.caller, known.times) for known in self._known.values() if known.times]
            self._known.clear()
            return told
