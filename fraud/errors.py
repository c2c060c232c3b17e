"""Every error of the platform, named by what the caller does next.

::

    FraudError
    |-- BadRecord     this one record is wrong: send it to the dead letters, go on with the next
    |-- BadInput      what the person gave (a file, a table) is wrong: say what to correct, stop
    |-- BadConfig     a setting is wrong: stop at the start, say which one
    |-- BadModel      a model does not fit (features, signature): refuse it, keep serving the old one
    |-- BadState      stored state has another layout: stop, rebuild it by replay
    |   `-- SetBack   the store is an older copy or was emptied: start again, which catches up from the log
    |-- Fenced        a newer writer has taken over: stop at once, exit non-zero
    `-- Unavailable   a part does not answer: retry within the deadline, then fall back
"""

__all__ = [
    "BadConfig",
    "BadInput",
    "BadModel",
    "BadRecord",
    "BadState",
    "Fenced",
    "FraudError",
    "SetBack",
    "Unavailable",
]


class FraudError(Exception):
    """The root of the tree; catch it only at the edge of a program."""


class BadRecord(FraudError):
    """One record cannot be accepted.

    Parameters
    ----------
    reason
        Short code that dead letters and metrics are grouped by, e.g. ``"invalid_json"``.
    detail
        What is wrong, in words, with the field's name.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class BadInput(FraudError):
    """A file, table or argument that a person gave is wrong; the message says what to correct."""


class BadConfig(FraudError):
    """A setting is missing or wrong; the message names it."""


class BadModel(FraudError):
    """A model does not fit this build (feature table, signature, thresholds)."""


class BadState(FraudError):
    """Stored state was written with another layout; rebuild it with ``fraud replay rebuild-store``."""


class SetBack(BadState):
    """The feature store is an older copy, was emptied or exchanged; the stream's next start repairs it."""


class Fenced(FraudError):
    """Another writer holds a newer fencing token; this one must end."""


class Unavailable(FraudError):
    """A part (store, model server, broker) did not answer within its deadline."""
