"""Remembers how many images a PACS has of each series, and keeps the sweep from waiting for a PACS that is ill."""

import logging
import time
from collections.abc import Callable, Mapping
from threading import Thread

from ichnode.domain.errors import Retryable

log = logging.getLogger(__name__)

Ask = Callable[[str], Mapping[str, int]]  # Study Instance UID -> images a series, by Series Instance UID


class PacsCounts:
    """A PACS that can be asked for counts by ``ask``. Used by one thread.

    It is asked about one study every ``every_s`` at most, and its last answer stands until the next. Within ``every_s``
    its answers are waited for ``within_s`` in all; a failure, or no answer in that time, spares it all studies'
    questions for ``rest_s``. The time limit holds whatever ``ask`` does: it runs in a thread of its own.
    """

    def __init__(
        self,
        name: str,
        ask: Ask,
        *,
        every_s: float = 30,
        within_s: float = 8,
        rest_s: float = 60,
        keep_s: float = 900,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._ask, self._clock = name, ask, clock
        self._every_s, self._within_s, self._rest_s, self._keep_s = every_s, within_s, rest_s, keep_s
        self._answers: dict[str, tuple[float, Mapping[str, int]]] = {}
        self._asking: Thread | None = None
        self._period_from, self._left_s = clock(), within_s
        self._rests_until = clock()

    def of_study(self, study_instance_uid: str) -> Mapping[str, int]:
        """Images a series, by Series Instance UID: asked now, or what was answered last; empty if nothing is known."""
        now = self._clock()
        self._answers = {uid: known for uid, known in self._answers.items() if now - known[0] < self._keep_s}
        at, known = self._answers.get(study_instance_uid, (now - self._every_s, {}))
        if now - at < self._every_s or not self._may_ask(now):
            return known
        answer = self._answer(study_instance_uid)
        if answer is None:
            self._rests_until = self._clock() + self._rest_s
            return known
        self._answers[study_instance_uid] = (now, answer)
        return answer

    def _may_ask(self, now: float) -> bool:
        if now - self._period_from >= self._every_s:
            self._period_from, self._left_s = now, self._within_s
        return self._left_s > 0 and now >= self._rests_until

    def _answer(self, study_instance_uid: str) -> Mapping[str, int] | None:
        answers: list[Mapping[str, int]] = []
        if self._asking is not None and self._asking.is_alive():
            log.warning("%s still has not answered for counts", self._name, extra={"action": "count"})
            return None

        def ask() -> None:
            try:
                answers.append(self._ask(study_instance_uid))
            except Exception as error:  # noqa: BLE001 - whatever a PACS does, the clock decides then
                # A foreign error may quote what the PACS sent.
                why = str(error) if isinstance(error, Retryable) else type(error).__name__
                log.warning("%s cannot be asked for counts: %s", self._name, why, extra={"action": "count"})

        began = self._clock()
        self._asking = Thread(target=ask, name=f"count {self._name}", daemon=True)
        self._asking.start()
        self._asking.join(self._left_s)
        self._left_s -= self._clock() - began
        if self._asking.is_alive():
            log.warning("%s did not answer for counts in time", self._name, extra={"action": "count"})
        return answers[0] if answers else None
