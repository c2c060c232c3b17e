"""Entities: what has a state, and what is kept in it for the features."""

from dataclasses import dataclass, field
from typing import Final

from fraud.schema.fields import Field
from fraud.schema.kinds import COUNTED_KINDS
from fraud.schema.sides import OWN_KEY
from fraud.schema.windows import window_us

HOUR_US: Final = 3_600_000_000
WINDOWS: Final = ("1h", "24h", "7d", "30d")
"""Of an entity that names no others."""
WINDOWS_US: Final = {name: window_us(name) for name in WINDOWS}
"""Window name: its length in microseconds; a window is (t - length, t]."""
IDLE_US: Final = 180 * 24 * HOUR_US
"""An entity silent for longer than this starts again (its known merchants, devices ... are forgotten)."""


@dataclass(frozen=True, slots=True)
class Entity:
    """What a state is kept for.

    Parameters
    ----------
    name
        Ends the names of its features.
    events
        How many of its latest events (by event time) are kept one by one; every statistic over a
        window within them is event-exact, older ones are held in tiles.
    distinct
        Columns whose distinct values can be counted in a window (over the kept events).
    known
        Columns whose values are remembered for "first time", with how many values are remembered
        (the least recently seen is forgotten).
    places
        Whether the places of its transactions are kept.
    deduplicates
        Whether it is the pass that finds duplicates and the transactions that labels speak of.
    key
        Field that names it; where its key is several fields together, the name of their hash's column. Its
        own name where empty.
    windows
        What its statistics may look back over, growing; see ``fraud.schema.windows``.
    kept
        Further keys and categories that are kept of its events (for "same", "previous", "usual").
    numbers
        Numbers that are kept of its events, besides those that are measured.
    filters
        Filters whose outcome is kept of its events, besides those that are measured.
    measures
        What is summed besides the amounts of all events: pairs of a number (empty: the amount) and a filter
        (empty: all events).
    hands_on
        Keys of the other entities, which the one that deduplicates keeps of its events: a label names its
        transaction, and need not repeat them.
    kinds
        Of transactions, that count in its history. One of another kind gets its vector and changes nothing.
    zone
        The field by which the clocks of its events are known; empty: they show UTC, or nothing looks at them.
    results
        Whether results change what counts in its history, or by which filters.
    uncounts
        Results that take a transaction out of it.
    refunds
        Whether refunds with an amount take it out of the amounts of its history.
    tells
        Of the primary: numbers that other entities measure, which it keeps to complete results by.
    profile
        Fields of its profile: what is known of it, told from time to time; see ``fraud.schema.profiles``.
    keeps_kind
        Of the primary: whether another entity does not count all kinds that it counts, so that labels must
        say what they speak of.
    sides
        Of one with two sides: each side's name and the column of an event that holds its key there; see
        ``fraud.schema.sides``.
    """

    name: str
    events: int
    distinct: tuple[str, ...]
    known: tuple[tuple[str, int], ...]
    places: bool = False
    deduplicates: bool = False
    key: str = ""
    windows: tuple[str, ...] = WINDOWS
    kept: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    measures: tuple[tuple[str, str], ...] = ()
    hands_on: tuple[str, ...] = ()
    kinds: tuple[str, ...] = COUNTED_KINDS
    zone: str = ""
    keeps_kind: bool = False
    results: bool = False
    uncounts: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()
    profile: tuple[Field, ...] = ()
    # A schema without these has its old version.
    sides: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    refunds: bool = field(default=False, repr=False)

    @property
    def key_name(self) -> str:
        """Name of the column of an event that holds its key; of two sides, in the rows that it sees."""
        return OWN_KEY if self.sides else self.key or self.name

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the columns of an event that hold its key, of each side."""
        return tuple(column for _, column in self.sides) or (self.key_name,)

    @property
    def side_names(self) -> tuple[str, ...]:
        """Names of its sides; one that is empty where it has no two."""
        return tuple(side for side, _ in self.sides) or ("",)

    @property
    def log_names(self) -> tuple[str, ...]:
        """What the columns of the log call it, of each side."""
        return tuple(f"{self.name}_{side}" if side else self.name for side in self.side_names)

    def seen_from(self, side: str) -> str:
        """Name it as one of its sides.

        Examples
        --------
        >>> account = Entity("account", 64, (), (), sides=(("out", "sender"), ("in", "bank+receiver")))
        >>> account.seen_from("out"), account.seen_from("in")
        ('sender_account', 'in_account')
        """
        if not self.sides:
            return self.name
        word = dict(self.sides)[side]
        return f"{side if '+' in word else word}_{self.name}"

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Keys and categories that are kept of its events."""
        return (*self.distinct, *self.kept)

    @property
    def all_numbers(self) -> tuple[str, ...]:
        """Numbers that are kept of its events, in the order of the state."""
        return tuple(dict.fromkeys([*self.numbers, *(value for value, _ in self.measures if value)]))

    @property
    def all_filters(self) -> tuple[str, ...]:
        """Filters whose outcome is kept of its events, by their bits in the state."""
        return tuple(dict.fromkeys([*self.filters, *(where for _, where in self.measures if where)]))
