"""Errors, sorted by what to do next."""


class IchnodeError(Exception):
    """Base of every error of ours: one sentence that says what and where, and a hint that says what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(IchnodeError):
    """The node is set up wrongly: do not start."""


class Rejected(IchnodeError):
    """These images can never be analysed; the message is a sentence that a radiographer understands."""


class BadGeometry(Rejected):
    """The slices do not form one stack of parallel images."""


class Retryable(IchnodeError):
    """It did not work now and may work later: try again."""


class LeaseLost(IchnodeError):
    """Another worker owns the job: stop, write nothing."""


class IllegalMove(IchnodeError):
    """A state machine was asked for a transition that its table does not have: a defect of the caller."""
