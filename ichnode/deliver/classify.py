"""What to do after an answer to C-STORE: a table from status to outcome."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """What one attempt to deliver one object came to."""

    SENT = "sent"  # the peer has it
    AGAIN = "again"  # not now; the same bytes may be accepted later
    DEAD = "dead"  # the peer will never take these bytes: a person must look
    UNREACHABLE = "unreachable"  # no association: says nothing about the object, the peer as a whole must wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """One row of the table: the statuses ``first``..``last``, what they mean, and what to do."""

    first: int
    last: int
    outcome: Outcome
    text: str


SUCCESS: Final = 0x0000  # PS3.7 C.1
REQUESTED_OPTIONAL_ATTRIBUTES_NOT_SUPPORTED: Final = 0x0001  # PS3.7 C.4.1, a warning
NO_SUCH_ATTRIBUTE: Final = 0x0105  # PS3.7 C.5
INVALID_ATTRIBUTE_VALUE: Final = 0x0106
ATTRIBUTE_LIST_ERROR: Final = 0x0107  # PS3.7 C.4.2, a warning
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE_SOP_INSTANCE: Final = 0x0111
ATTRIBUTE_VALUE_OUT_OF_RANGE: Final = 0x0116  # PS3.7 C.4.3, a warning
INVALID_SOP_INSTANCE: Final = 0x0117
NO_SUCH_SOP_CLASS: Final = 0x0118
CLASS_INSTANCE_CONFLICT: Final = 0x0119
MISSING_ATTRIBUTE: Final = 0x0120
MISSING_ATTRIBUTE_VALUE: Final = 0x0121
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
NOT_AUTHORISED: Final = 0x0124
DUPLICATE_INVOCATION: Final = 0x0210
UNRECOGNISED_OPERATION: Final = 0x0211
MISTYPED_ARGUMENT: Final = 0x0212
RESOURCE_LIMITATION: Final = 0x0213
OUT_OF_RESOURCES: Final = 0xA700  # PS3.4 table B.2-1: A7xx
SOP_CLASS_NOT_SUPPORTED_OLD: Final = 0xA800  # PS3.4 before 1998; still sent by old archives
DATA_SET_DOES_NOT_MATCH_SOP_CLASS: Final = 0xA900  # PS3.4 table B.2-1: A9xx
WARNINGS: Final = 0xB000  # PS3.4 table B.2-1: B000 coerced, B006 discarded, B007 does not match; PS3.7 C: all of Bxxx
CANNOT_UNDERSTAND: Final = 0xC000  # PS3.4 table B.2-1: Cxxx

_SENT, _AGAIN, _DEAD = Outcome.SENT, Outcome.AGAIN, Outcome.DEAD


def _one(status: int, outcome: Outcome, text: str) -> Meaning:
    return Meaning(first=status, last=status, outcome=outcome, text=text)


MEANINGS: Final = (
    _one(SUCCESS, _SENT, "stored"),
    # Warnings: the peer has stored the object. To send it again would store it again, and warn again, for ever.
    _one(REQUESTED_OPTIONAL_ATTRIBUTES_NOT_SUPPORTED, _SENT, "stored, optional attributes not supported"),
    _one(ATTRIBUTE_LIST_ERROR, _SENT, "stored, some attributes not recognised"),
    _one(ATTRIBUTE_VALUE_OUT_OF_RANGE, _SENT, "stored, an attribute value is out of range"),
    _one(0xB000, _SENT, "stored, data elements coerced"),
    _one(0xB006, _SENT, "stored, elements discarded"),
    _one(0xB007, _SENT, "stored, data set does not match SOP class"),
    Meaning(first=WARNINGS, last=0xBFFF, outcome=_SENT, text="stored with a warning"),
    # Our UIDs are digests of the content: an object with this UID at the peer is this object, from an attempt whose
    # answer was lost.
    _one(DUPLICATE_SOP_INSTANCE, _SENT, "was there already"),
    # Refusals that pass by themselves, or when an administrator changes something at the peer: nothing is lost by
    # trying again, and something is by giving up.
    _one(PROCESSING_FAILURE, _AGAIN, "processing failure"),
    _one(NOT_AUTHORISED, _AGAIN, "refused, not authorised"),
    _one(DUPLICATE_INVOCATION, _AGAIN, "duplicate invocation"),
    _one(RESOURCE_LIMITATION, _AGAIN, "resource limitation"),
    Meaning(first=OUT_OF_RESOURCES, last=0xA7FF, outcome=_AGAIN, text="refused, out of resources"),
    # Refusals of these very bytes, or of their kind.
    _one(NO_SUCH_ATTRIBUTE, _DEAD, "no such attribute"),
    _one(INVALID_ATTRIBUTE_VALUE, _DEAD, "invalid attribute value"),
    _one(INVALID_SOP_INSTANCE, _DEAD, "invalid SOP instance"),
    _one(NO_SUCH_SOP_CLASS, _DEAD, "no such SOP class"),
    _one(CLASS_INSTANCE_CONFLICT, _DEAD, "the SOP instance belongs to another SOP class"),
    _one(MISSING_ATTRIBUTE, _DEAD, "missing attribute"),
    _one(MISSING_ATTRIBUTE_VALUE, _DEAD, "missing attribute value"),
    _one(SOP_CLASS_NOT_SUPPORTED, _DEAD, "refused, SOP class not supported"),
    _one(UNRECOGNISED_OPERATION, _DEAD, "unrecognised operation"),
    _one(MISTYPED_ARGUMENT, _DEAD, "mistyped argument"),
    Meaning(first=SOP_CLASS_NOT_SUPPORTED_OLD, last=0xA8FF, outcome=_DEAD, text="refused, SOP class not supported"),
    Meaning(
        first=DATA_SET_DOES_NOT_MATCH_SOP_CLASS, last=0xA9FF, outcome=_DEAD, text="data set does not match SOP class"
    ),
    Meaning(first=CANNOT_UNDERSTAND, last=0xCFFF, outcome=_DEAD, text="cannot understand the data set"),
)

# Results of a presentation context that say "never", PS3.8 table 9-18; 1 (user rejection) and 2 (no reason) do not.
ABSTRACT_SYNTAX_NOT_SUPPORTED: Final = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED: Final = 4


def classify(status: int) -> Meaning:
    """What a C-STORE status means. A status that no standard knows is tried again: that loses nothing.

    Source: PS3.4 B.2.3, PS3.7 9.1.1.1.9 and annex C. The first row that holds the status speaks.
    """
    for meaning in MEANINGS:
        if meaning.first <= status <= meaning.last:
            return meaning
    return _one(status, Outcome.AGAIN, "a status that the standard does not know")


def classify_refused_context(result: int) -> Meaning:
    """What the result of a rejected presentation context means for the objects that need it.

    "Not supported" is a property of the peer's software and final; the other two may be a licence, a limit or a
    right, which change. Source: PS3.8 table 9-18.
    """
    if result == ABSTRACT_SYNTAX_NOT_SUPPORTED:
        return _one(result, Outcome.DEAD, "the SOP class is not supported")
    if result == TRANSFER_SYNTAXES_NOT_SUPPORTED:
        return _one(result, Outcome.DEAD, "none of the offered transfer syntaxes is supported")
    return _one(result, Outcome.AGAIN, "the presentation context was rejected without a reason")
