"""Names that people write: what one that there is not was perhaps meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

LISTED: Final = 30
"""Names that a message lists at most."""
_NEAR: Final = 0.6
"""How alike two names must be, from 0 to 1 (Ratcliff and Obershelp's measure, as ``difflib`` has it)."""


def suggest(wrong: str, known: Iterable[str], otherwise: str = "") -> str:
    """Say what may be written in the place of a name that there is not.

    Parameters
    ----------
    wrong
        As it was written.
    known
        The names that there are.
    otherwise
        What to say where none is like it; by default the names are listed.

    Examples
    --------
    >>> suggest("cuont", ["count", "sum"])
    'did you mean count?'
    >>> suggest("median", ["count", "sum"]), suggest("median", [])
    ('write one of count, sum', 'there is none')
    >>> suggest("median", map(str, range(100))).endswith("28, 29, ... (100 in all)")
    True
    """
    names = list(dict.fromkeys(known))
    if near := get_close_matches(wrong, names, n=1, cutoff=_NEAR):
        return f"did you mean {near[0]}?"
    if otherwise or not names:
        return otherwise or "there is none"
    rest = f", ... ({len(names)} in all)" if len(names) > LISTED else ""
    return f"write one of {', '.join(names[:LISTED])}{rest}"
