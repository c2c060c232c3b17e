"""How a person says what a table means: ``--column OURS=THEIRS`` and ``--read WHAT=HOW``."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fraud.errors import BadInput

LABEL: Final = "label:"
"""Prefix of ``--read label:VALUE=MEANING``."""


class Reading(BaseModel):
    """What a table's texts mean, where a guess would be wrong or is not possible."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: Literal["", "day-first", "month-first", "s", "ms", "us", "ns"] = ""
    """Of dates such as 01/02/2024, or of numbers since 1970 UTC."""
    decimal: Literal["", "point", "comma"] = ""
    """What stands before the cents: 1,234.50 or 1.234,50."""
    separator: Annotated[str, Field(max_length=1)] = ""
    """Between the columns of a CSV file."""
    encoding: str = ""
    """Of a CSV file, e.g. ``latin-1``."""
    labels: dict[str, Literal["fraud", "honest", "unknown"]] = Field(default_factory=dict)
    """What values of the column ``is_fraud`` mean, beside 0, 1, true, false, yes and no."""
    invalid: Literal["refuse", "skip"] = "refuse"
    """Rows that the wire's contract refuses: stop, or leave them out, counted."""


def parse_columns(pairs: Sequence[str] | None) -> dict[str, str] | None:
    """Read ``--column`` pairs.

    Examples
    --------
    >>> parse_columns(["user_id=card"])
    {'user_id': 'card'}
    """
    return None if pairs is None else _pairs(pairs, "--column takes OURS=THEIRS, e.g. user_id=card")


def parse_reading(pairs: Sequence[str] | None) -> Reading | None:
    """Read ``--read`` pairs.

    Raises
    ------
    BadInput
        Naming what there is to say.

    Examples
    --------
    >>> parse_reading(["decimal=comma", "label:2=unknown"]).labels
    {'2': 'unknown'}
    """
    if pairs is None:
        return None
    given: dict[str, Any] = {"labels": {}}
    for what, how in _pairs(pairs, "--read takes WHAT=HOW, e.g. times=day-first").items():
        if what.startswith(LABEL):
            given["labels"][what.removeprefix(LABEL)] = how
        elif what == "separator":
            given[what] = how.replace("tab", "\t").replace("\\t", "\t")
        else:
            given[what] = how
    try:
        return Reading(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadInput(
            f"--read {'.'.join(map(str, first['loc']))}={first['input']}: {first['msg']}; there are "
            "times=day-first, month-first, s, ms, us, ns; decimal=point, comma; separator=X; encoding=NAME; "
            "label:VALUE=fraud, honest, unknown; invalid=refuse, skip"
        ) from error


def _pairs(pairs: Sequence[str], words: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        left, sign, right = pair.partition("=")
        if not sign or not left or not right:
            raise BadInput(f"{words}; got {pair!r}")
        if left in found:
            raise BadInput(f"{left} is given twice: {found[left]} and {right}")
        found[left] = right
    return found
