"""Data sets from outside, read element by element and no further than their size pays for."""

from collections.abc import Callable, Iterable
from io import BytesIO
from struct import error as struct_error
from typing import BinaryIO, Final, cast

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
CHARACTER_SET: Final = "iso8859"  # of text that is only counted

Element = DataElement | RawDataElement


class Budget:
    """How often pydicom may reach into the bytes: an empty item of 8 bytes becomes a Dataset of 650, an empty element
    a tuple of 190, and each costs one reach or more."""

    def __init__(self, reaches: int) -> None:
        self._left = reaches

    def spend(self) -> None:
        """One reach more. Raises Rejected where there are too many, and from then on always."""
        self._left -= 1
        self.check()

    def check(self) -> None:
        """Raises Rejected where there were too many."""
        if self._left < 0:
            raise Rejected(TOO_MANY)


class Metered:
    """A source that costs its reader."""

    def __init__(self, source: BinaryIO, budget: Budget) -> None:
        self._source, self._budget = source, budget
        self.seek, self.tell = source.seek, source.tell

    def read(self, size: int = -1) -> bytes:
        """As that of the source. Raises Rejected."""
        self._budget.spend()
        return self._source.read(size)


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
    """Takes apart the sequences among elements, and those in them, and lets them go."""
    for element in elements:
        if isinstance(element, RawDataElement):
            items = _items(element, budget) if _may_be_sequence(element) else ()
        else:
            items = element.value if element.VR == "SQ" else ()
        for item in items:
            _unfold(item.values(), budget)


def _may_be_sequence(element: RawDataElement) -> bool:
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
