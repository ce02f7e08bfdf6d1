"""The lines of the chain: ``NUMBER PREVIOUS HASH MESSAGE``, each hash over number, previous hash and message."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

NO_HASH: Final = "0" * 64  # what the first record has before it
LINE: Final = re.compile(
    rb"([1-9]\d{0,18}) ([0-9a-f]{64}) ([0-9a-f]{64}) (<AuditMessage[ >].*</AuditMessage>)", re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line. ``message``: XML, UTF-8. ``previous`` and ``sha256``: hex."""

    number: int
    previous: str
    sha256: str
    message: bytes

    @property
    def is_whole(self) -> bool:
        """Whether the hash is the one of its number, its predecessor and its message."""
        return self.sha256 == digest(self.number, self.previous, self.message)

    @property
    def line(self) -> bytes:
        """As it stands in the file."""
        return b"%d %s %s %s\n" % (self.number, self.previous.encode(), self.sha256.encode(), self.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where the chain ends: the newest record's number and hash; number 0 before the first."""

    number: int = 0
    sha256: str = NO_HASH


def digest(number: int, previous: str, message: bytes) -> str:
    """SHA-256 (hex) of a record."""
    return hashlib.sha256(b"%d %s %s" % (number, previous.encode(), message)).hexdigest()


def following(head: Head, message: str) -> Record:
    """The record that comes next."""
    number, encoded = head.number + 1, message.encode()
    return Record(number=number, previous=head.sha256, sha256=digest(number, head.sha256, encoded), message=encoded)


def parse(line: bytes) -> Record | None:
    """The record of a line without its line feed; None for what is none."""
    found = LINE.fullmatch(line)
    if found is None:
        return None
    number, previous, sha256, message = found.groups()
    return Record(number=int(number), previous=previous.decode(), sha256=sha256.decode(), message=message)
