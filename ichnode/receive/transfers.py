"""Which series each open association is still sending, and which ones broke off."""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ichnode.domain.states import Transfer


@dataclass(slots=True)
class _Senders:
    """``youngest``: of each caller, when the last of its associations began that has not broken off."""

    open: set[Any] = field(default_factory=set)
    is_cut: bool = False
    youngest: dict[Hashable, int] = field(default_factory=dict)


class Transfers:
    """The memory of one receiver; safe to use from several threads. An association is any hashable token.

    ``is_alive`` tells of an association whether its thread still runs: one that died without a word sends no more.

    A sender whose line breaks while its instance waits for the disk or the queue may be back with a new association
    before the end of the old one is noticed. So a cut counts only where the same caller did not begin to send after the
    line was gone. Another caller heals nothing: it may have other images of the series.
    """

    def __init__(self, is_alive: Callable[[Any], bool] = lambda _association: True) -> None:
        self._is_alive = is_alive
        self._lock = threading.Lock()
        self._series: defaultdict[str, _Senders] = defaultdict(_Senders)
        self._moments = count(1)
        self._began: dict[Any, tuple[int, Hashable]] = {}
        self._gone: dict[Any, int] = {}

    def begins(self, association: Any, caller: Hashable) -> None:
        """Notes that an association was made by a caller (AE title and address)."""
        with self._lock:
            self._began[association] = next(self._moments), caller

    def breaks(self, association: Any) -> None:
        """Notes that the association's line is gone, while an instance of it may still be in hand."""
        with self._lock:
            if association in self._began:  # else it has ended already
                self._gone.setdefault(association, next(self._moments))

    def sends(self, association: Any, series_instance_uid: str) -> None:
        """Notes that the association sends this series."""
        with self._lock:
            senders = self._series[series_instance_uid]
            if association in senders.open:
                return
            senders.open.add(association)
            if association not in self._gone and association in self._began:
                began, caller = self._began[association]
                senders.youngest[caller] = max(began, senders.youngest.get(caller, 0))

    def ends(self, association: Any, *, in_order: bool, awaited: Collection[str] = ()) -> dict[str, Transfer]:
        """Notes the association's end. Returns the series that no other one still sends, and how they stand.

        ``awaited``: series of which it has still to bring an image; for them its end is not in order.
        """
        ended: dict[str, Transfer] = {}
        with self._lock:
            _, caller = self._began.pop(association, (0, None))
            gone = self._gone.pop(association, None) or next(self._moments)
            for uid, senders in list(self._series.items()):
                if association not in senders.open:
                    continue
                senders.open.discard(association)
                broke_off = not in_order or uid in awaited
                senders.is_cut |= broke_off and senders.youngest.get(caller, 0) < gone
                if not senders.open:
                    ended[uid] = Transfer.CUT if senders.is_cut else Transfer.CLOSED
                    del self._series[uid]
        return ended

    def is_open(self, series_instance_uid: str) -> bool:
        """Whether any association still sends this series."""
        with self._lock:
            senders = self._series.get(series_instance_uid)
            return senders is not None and any(self._is_alive(association) for association in senders.open)
