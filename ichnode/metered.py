"""Data sets from outside, read element by element and no further than their size pays for."""

from collections.abc import Callable, Iterable
from io import SEEK_END, SEEK_SET, BytesIO
from struct import error as struct_error
from threading import Lock
from typing import BinaryIO, Final, Self, cast

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.filereader import data_element_generator, read_sequence
from pydicom.tag import BaseTag

from ichnode.domain.errors import Rejected

# What pydicom raises over odd bytes; its BytesLengthException is no ValueError. It says OSError to a damaged item.
ODD: Final = (
    ValueError, TypeError, LookupError, AttributeError, NotImplementedError, EOFError, ArithmeticError,
    BytesLengthException, RecursionError, struct_error,
)  # fmt: skip

TOO_MANY: Final = "The data set has more elements and items than any image."
ITEM: Final = b"\xfe\xff\x00\xe0"
CHARACTER_SETS: Final = b"\x08\x00\x05\x00"  # (0008,0005)
HEAD_BYTES: Final = 8  # of an item, and of an element with its length or before it
ITEM_REACHES: Final = 5  # of an empty item: 650 bytes
BYTES_A_REACH: Final = 180
SMALL: Final = 20_000  # reaches, 3.6 MB of values: a CT slice takes some hundreds
ONE_AT_A_TIME: Final = Lock()

CHARACTER_SET: Final = "iso8859"  # of text that is only counted

Element = DataElement | RawDataElement


class Budget:
    """What may be read, in reaches: one is an empty element, which takes 380 bytes of memory, or 180 bytes of a value,
    which pydicom may hold twice. To be held with ``with`` until what was read is let go: whatever is large is read by
    one thread at a time."""

    def __init__(self, reaches: int) -> None:
        self._left = reaches
        self._small = reaches - SMALL
        self._is_alone = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._is_alone:
            self._is_alone = False
            ONE_AT_A_TIME.release()

    def spend(self, reaches: int) -> None:
        """Waits for the others where it is not small any more. Raises Rejected where it is too much, and from then on
        always."""
        self._left -= reaches
        self.check()
        if self._left < self._small and not self._is_alone:
            ONE_AT_A_TIME.acquire()
            self._is_alone = True

    def check(self) -> None:
        """Raises Rejected where there were too many."""
        if self._left < 0:
            raise Rejected(TOO_MANY)


class Metered:
    """A source that costs its reader, before anything is copied: a reach each time, more for many bytes and for an
    item's head, of which pydicom makes a Dataset whatever tag it bears; before that it asks twice where it stands.
    Specific Character Set, which it takes apart as it reads, costs a reach a byte."""

    def __init__(self, source: BinaryIO, budget: Budget) -> None:
        self._source, self._budget = source, budget
        here = source.tell()
        self._end = source.seek(0, SEEK_END)
        source.seek(here)
        self._told = 0
        self._head = b""

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """As that of the source."""
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        """As that of the source."""
        self._told += 1
        return self._source.tell()

    def read(self, size: int = -1) -> bytes:
        """As that of the source. Raises Rejected."""
        left = max(self._end - self._source.tell(), 0)
        self._pay(left if size < 0 else min(size, left))
        data = self._source.read(size)
        if len(data) == HEAD_BYTES:
            self._head = data
        return data

    def _pay(self, size: int) -> None:
        is_item = self._told > 1 and size == HEAD_BYTES
        self._told = 0
        bytes_a_reach = 1 if self._head.startswith(CHARACTER_SETS) else BYTES_A_REACH
        self._budget.spend(ITEM_REACHES if is_item else 1 + size // bytes_a_reach)


def read_elements(
    source: BinaryIO,
    *,
    is_implicit: bool,
    budget: Budget,
    stop_when: Callable[[BaseTag, str | None, int], bool] | None = None,
) -> list[Element]:
    """The elements of a data set (little endian), unconverted.

    Sequences of stated length, which pydicom takes apart when they are first looked at, are paid for too: whoever looks
    later is safe. Raises Rejected when the budget does not suffice; for bytes that are no data set ODD and OSError.
    """
    metered = cast(BinaryIO, Metered(source, budget))
    try:
        # Not read_dataset: it mends a cut-off or mislabelled data set with a warning, and answers as if it were whole.
        elements = list(data_element_generator(metered, is_implicit, True, stop_when=stop_when))
    except OSError:
        budget.check()  # pydicom says "a damaged item" to whatever stops it at one
        raise
    _unfold(elements, budget)
    return elements


def _unfold(elements: Iterable[Element], budget: Budget) -> None:
    """Takes apart the sequences among elements, and those in them. Each is let go before those in it are taken apart:
    a copy of all that lies within it is held once, however deep they are nested."""
    left = [element for element in elements if _may_be_sequence(element)]
    while left:
        element = left.pop()
        items = _items(element, budget) if isinstance(element, RawDataElement) else element.value
        left += [within for item in items for within in item.values() if _may_be_sequence(within)]


def _may_be_sequence(element: Element) -> bool:
    if not isinstance(element, RawDataElement):
        return element.VR == "SQ"
    if not element.value:
        return False
    if element.VR == "SQ" or element.value.startswith(ITEM):
        return True
    try:
        return element.VR in (None, "UN") and dictionary_VR(element.tag) == "SQ"
    except KeyError:
        return False


def _items(element: RawDataElement, budget: Budget) -> Iterable[Dataset]:
    """As pydicom does it; none where it would fail."""
    value = element.value or b""
    source = cast(BinaryIO, Metered(BytesIO(value), budget))
    try:
        return read_sequence(source, element.is_implicit_VR, True, len(value), CHARACTER_SET)
    except (*ODD, OSError):
        budget.check()
        return ()
