"""Errors, sorted by what to do next."""

from ichnode.domain.flags import Flag


class IchnodeError(Exception):
    """Base of every error of ours: one sentence that says what and where, and a hint that says what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(IchnodeError):
    """The node is set up wrongly: do not start."""


class Rejected(IchnodeError):
    """These images can never be analysed; the message is a sentence that a radiographer understands."""


class Refused(Rejected):
    """The images could be analysed, but this site does not want it; ``flags``: the doubts that decided."""

    def __init__(self, message: str, *, flags: frozenset[Flag]) -> None:
        super().__init__(message)
        self.flags = flags


class BadGeometry(Rejected):
    """The slices do not form one stack of parallel images."""


class Retryable(IchnodeError):
    """It did not work now and may work later: try again."""


class LeaseLost(IchnodeError):
    """Another worker owns the job: stop, write nothing."""


class IllegalMove(IchnodeError):
    """A state machine was asked for a transition that its table does not have: a defect of the caller."""
