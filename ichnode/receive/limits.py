"""How much peers may send: instances a minute, and bytes that wait in memory."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final

MOST_CALLERS: Final = 1000
LAST_FRAGMENT: Final = 0b10  # of the message control header, PS3.8 E.2
COMMAND: Final = 0b01
RESPONSE: Final = 0x8000  # of the command field, PS3.7 E.1
CANCEL: Final = 0x0FFF

MOST_COMMAND_BYTES: Final = 2**16  # a command set has at most some twenty elements, PS3.7 E.1
MOST_UNANSWERED: Final = 100  # one is allowed, PS3.7 D.3.3.3; each that waits costs a message, a report also a thread


class Rate:
    """A budget of instances for each caller: it fills evenly, and holds one minute's worth at most."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._spent: dict[Hashable, float] = {}  # caller -> when its budget will be whole again

    def wait_s(self, caller: Hashable, per_minute: int, *, most_s: float) -> float:
        """Takes one instance from the caller's budget; how long it has to wait for its turn, 0 within the budget.

        Above ``most_s`` nothing is taken: that instance will be refused.
        """
        with self._lock:
            now = self._clock()
            if len(self._spent) > MOST_CALLERS:
                self._spent = {who: at for who, at in self._spent.items() if at > now}
            whole_at = max(now, self._spent.get(caller, now)) + 60 / per_minute
            wait_s = max(0.0, whole_at - now - 60)
            if wait_s <= most_s:
                self._spent[caller] = whole_at
            return wait_s


@dataclass(slots=True)
class _Inbox:
    limit_bytes: int
    whole: list[tuple[int, int, int]] = field(default_factory=list)  # (command field, message ID, bytes) unanswered
    growing: int = 0  # of the message that is coming, and of what nobody will answer
    command: int = 0

    @property
    def held(self) -> int:
        return sum(size for *_, size in self.whole) + self.growing


class Inflow:
    """Bytes that associations hold in memory: pynetdicom collects a message there until its last fragment, however
    long it grows and however many follow it unanswered."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._lock = threading.Lock()
        self._inboxes: dict[Any, _Inbox] = {}

    def opens(self, association: Any, limit_bytes: int) -> None:
        """From now on the association is watched."""
        with self._lock:
            self._inboxes[association] = _Inbox(limit_bytes)

    def grows(self, association: Any, fragments: list[bytes]) -> str:
        """Counts presentation data values as they stand in a PDU, with their control header.

        Returns why no more of it must be taken; empty while all is well.
        """
        with self._lock:
            inbox = self._inboxes.get(association)
            if inbox is None:
                return ""
            for fragment in fragments:
                inbox.growing += max(0, len(fragment) - 1)
                if fragment[:1] and fragment[0] & COMMAND:
                    inbox.command += len(fragment)
                    if inbox.command > MOST_COMMAND_BYTES:
                        return f"a command set of more than {MOST_COMMAND_BYTES} bytes"
                    if fragment[0] & LAST_FRAGMENT:
                        inbox.command = 0
            if inbox.held > inbox.limit_bytes:
                return f"an instance of more than {inbox.limit_bytes} bytes"
            if len(inbox.whole) > MOST_UNANSWERED:
                return f"more than {MOST_UNANSWERED} messages at once"
            if sum(other.held for other in self._inboxes.values()) > self._most:
                return f"more than {self._most} bytes at once from all peers"
            return ""

    def came(self, association: Any, command_field: int, message_id: int, size_bytes: int) -> None:
        """A request is there as a whole: its command set and data set have ``size_bytes``. Not to be told of what is
        no request: its bytes count as held until the association ends."""
        with self._lock:
            inbox = self._inboxes.get(association)
            if inbox is not None:
                inbox.whole.append((command_field, message_id, size_bytes))
                inbox.growing = max(0, inbox.growing - size_bytes)

    def answered(self, association: Any, command_field: int, message_id: int) -> None:
        """The first request of this command field and message ID is done with."""
        with self._lock:
            inbox = self._inboxes.get(association)
            done = [each for each in inbox.whole if each[:2] == (command_field, message_id)] if inbox else []
            if inbox is not None and done:
                inbox.whole.remove(done[0])

    def ends(self, association: Any) -> None:
        """Nothing of the association is held any more."""
        with self._lock:
            self._inboxes.pop(association, None)
