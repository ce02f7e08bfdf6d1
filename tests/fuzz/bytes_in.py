"""Choices read from the bytes of an input, so that the same bytes always mean the same."""


class BytesIn:
    """Reads an input from its front. What is not there any more reads as zero."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return max(0, len(self._data) - self._at)

    def byte(self) -> int:
        """The next byte."""
        taken = self.take(1)
        return taken[0] if taken else 0

    def below(self, limit: int) -> int:
        """A number in [0, limit), of two bytes where one is not enough."""
        number = self.byte() if limit <= 256 else self.byte() << 8 | self.byte()
        return number % limit

    def take(self, count: int) -> bytes:
        """At most ``count`` bytes."""
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)
