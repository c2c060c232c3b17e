"""How far ahead of its arrival a transaction may be dated, by its source: a field of the schema names it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

LONGEST_AHEAD_S: Final = 3_200_000_000.0
"""Greatest bound that can be set, seconds: a century."""


@dataclass(frozen=True)
class SourceBounds:
    """Bounds of some sources; those of all others are the program's own (``most_ahead_s``).

    Parameters
    ----------
    by
        Key or category of the transactions that names the source, e.g. ``channel`` or ``terminal_id``.
    bounds
        A value of it, and how far ahead a transaction with it may be dated, seconds.
    """

    by: str
    bounds: tuple[tuple[str, float], ...]

    @cached_property
    def of(self) -> dict[str, float]:
        """The same by value."""
        return dict(self.bounds)
