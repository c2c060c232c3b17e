"""How a person says what a table means: ``--column OURS=THEIRS`` and ``--read WHAT=HOW``."""

from collections.abc import Sequence
from typing import Any, Final

from pydantic import ValidationError

from fraud.errors import BadInput
from fraud.schema.kinds import KINDS
from fraud.schema.source import Reading

LABEL: Final = "label:"
KIND: Final = "kind:"
"""Prefixes of ``--read label:VALUE=MEANING`` and ``--read kind:VALUE=KIND``."""


def parse_columns(pairs: Sequence[str] | None) -> dict[str, str] | None:
    """Read ``--column`` pairs.

    Examples
    --------
    >>> parse_columns(["user_id=card"])
    {'user_id': 'card'}
    """
    return None if pairs is None else _pairs(pairs, "--column takes OURS=THEIRS, e.g. user_id=card")


def parse_joins(pairs: Sequence[str] | None) -> dict[str, str]:
    """Read ``--join`` pairs.

    Examples
    --------
    >>> parse_joins(["identity=TransactionID", "accounts=account:id"])
    {'identity': 'TransactionID', 'accounts': 'account:id'}
    """
    return _pairs(pairs or [], "--join takes TABLE=COLUMN or TABLE=OURS:THEIRS, e.g. identity=TransactionID")


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
    given: dict[str, Any] = {}
    for what, how in _pairs(pairs, "--read takes WHAT=HOW, e.g. times=day-first").items():
        if what.startswith(LABEL):
            given.setdefault("labels", {})[what.removeprefix(LABEL)] = how
        elif what.startswith(KIND):
            given.setdefault("kinds", {})[what.removeprefix(KIND)] = how
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
            "times=day-first, month-first, s, ms, us, ns; zone=Europe/Berlin; decimal=point, comma; "
            "separator=X; encoding=NAME; label:VALUE=fraud, honest, unknown; "
            f"kind:VALUE={', '.join(KINDS)}; negative=refund; invalid=refuse, skip"
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
