"""Results: what became of a transaction, told afterwards, and which results take each other's place."""

from typing import Final, Literal

Result = Literal[
    "authorised",
    "declined",
    "authenticated",
    "authentication_failed",
    "reversed",
    "refunded",
    "declined_by_us",
    "challenged_by_us",
    "reviewed_by_us",
]
OURS: Final[dict[str, Result]] = {
    "decline": "declined_by_us",
    "challenge": "challenged_by_us",
    "review": "reviewed_by_us",
}
"""By outcome of a decision: the result that the stream tells itself, where the schema takes it."""
GROUPS: Final[tuple[tuple[Result, ...], ...]] = (
    ("authorised", "declined"),
    ("authenticated", "authentication_failed"),
    ("reversed",),
    ("refunded",),
    tuple(OURS.values()),
)
"""By the issuer, by 3DS, of the money, by us. A result takes the place of an earlier one of its group."""
RESULTS: Final[tuple[Result, ...]] = tuple(word for group in GROUPS for word in group)
REVERSED: Final[Result] = "reversed"
"""Takes a transaction out of what counts, where the schema does not say otherwise."""
RESULT: Final = "result"
REASON: Final = "reason_code"
"""What a filter over results may read."""
REFUNDED: Final[Result] = "refunded"
"""May have an amount, which then leaves the amount of its transaction in what follows."""
COLUMNS: Final = (RESULT, "result_time")
"""What the tables hold of a result, beside columns that labels have too."""


def group_of(word: str) -> tuple[str, ...]:
    """Find the results that take each other's place.

    Examples
    --------
    >>> group_of("declined"), group_of("reversed")
    (('authorised', 'declined'), ('reversed',))
    """
    return next(group for group in GROUPS if word in group)
