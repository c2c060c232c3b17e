"""Which column of an event's row holds which field: made from the names that a schema declares.

A row is a fixed prefix (kind, time, amount in minor units, id, place, home), the hashed keys and categories
(0: missing), the numbers in whole units and the times in microseconds (NaN: missing), and, where there are
filters, one column whose bits say which of them the record fulfils. Where entities have profiles, the last
columns are the values that a profile tells.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from fraud.errors import BadConfig
from fraud.features.kernel import layout as kernel
from fraud.schema.fields import AMOUNT_MINOR, NUMERIC, FieldType, joined_word
from fraud.schema.kinds import KINDS
from fraud.schema.reading import default_schema
from fraud.schema.schema import Schema
from fraud.schema.sides import IN, OWN_KEY

CODES: Final = {KINDS[0]: int(kernel.KIND_TRANSACTION)} | {
    kind: kernel.FIRST_KIND + at for at, kind in enumerate(KINDS[1:])
}
"""Number of each kind of transaction in an event."""
MOST_FILTERS: Final = 52
"""Bits of a float64 that hold whole numbers exactly."""
SEEN_COLUMNS: Final = 2
CURRENCY: Final = "currency"
REFUND: Final = "refund:amount"
REFUND_MINOR: Final = "refund:of"
"""Of a transaction: its amount in minor units of its own currency, however large."""


@dataclass(frozen=True, slots=True)
class EventLayout:
    """The columns of an event's row.

    Parameters
    ----------
    keys
        Names of the hashed columns: keys and categories of the record, and the keys that are several
        fields together (``fraud.features.events.hash_joined``).
    numbers
        Names of the numbers, each with how many whole units make one: 100 for two decimals. At most 1e9
        whole units, of either sign, so that sums of squares are exact.
    times
        Names of the times, in microseconds since 1970.
    filters
        Names of the filters by their bits, each with its expression. A state that keeps a filter is of
        another layout when the expression changes.
    minor_units
        How many whole units of the amount make one.
    zone
        Name of the column of the place's offset from UTC, microseconds; empty: there is none.
    of_results
        Those of the filters that results set and clear; a transaction comes with none of them.
    profiles
        Entities that have a profile, each with how many values that is (a place is two).
    by_side
        Those that read the side. The bit of each says whether it holds on the side ``out``, that of the one
        whose name ends in ``:in`` whether it holds on the other.
    is_seen
        Whether an entity with two sides sees the row (``fraud.features.sides``). Then the key of that entity
        and the bits of its sides stand at its end.
    refunds
        Whether refunds have amounts: a column holds what one pays back.
    in_several
        Whether these may be in several currencies.
    clock
        Zone of a record that names none; empty: UTC.
    told_zone
        Field of the primary's profile that comes before it; empty: none does.

    Raises
    ------
    BadConfig
        When a name stands there twice, or there are more than 52 filters.

    Examples
    --------
    >>> layout = EventLayout(("user", "device"), numbers=(("items", 1.0),), filters=(("online", "..."),))
    >>> layout.column("device"), layout.column("items"), layout.mask, layout.width
    (9, 10, 11, 12)
    """

    keys: tuple[str, ...]
    numbers: tuple[tuple[str, float], ...] = ()
    times: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    minor_units: float = 100.0
    zone: str = ""
    of_results: tuple[str, ...] = ()
    profiles: tuple[tuple[str, int], ...] = ()
    by_side: tuple[str, ...] = ()
    is_seen: bool = False
    refunds: bool = False
    in_several: bool = False
    clock: str = ""
    told_zone: str = ""

    def __post_init__(self) -> None:
        """Refuse what a row cannot hold."""
        names = self.names
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise BadConfig(f"an event has two columns {min(twice)!r}; rename one of the fields")
        if len(self.filters) > MOST_FILTERS:
            raise BadConfig(f"there are {len(self.filters)} filters; an event holds {MOST_FILTERS} at most")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns after the prefix, in their order, without the mask's."""
        zone = (self.zone,) if self.zone else ()
        refund = (REFUND,) * self.refunds + (REFUND_MINOR,) * self.in_several
        return (*self.keys, *(name for name, _ in self.numbers), *self.times, *zone, *refund)

    @property
    def mask(self) -> int:
        """Column of the filters' bits; -1 where there are no filters."""
        return kernel.PREFIX + len(self.names) if self.filters else -1

    @property
    def width(self) -> int:
        """Number of columns."""
        of_profile = max((values for _, values in self.profiles), default=0)
        return self.profile + of_profile + SEEN_COLUMNS * self.is_seen

    @property
    def profile(self) -> int:
        """Column where the values of a profile begin, of whichever entity."""
        return kernel.PREFIX + len(self.names) + bool(self.filters)

    def keys_of(self, events: kernel.Floats, column: int, entity: str) -> kernel.Floats:
        """Take an entity's keys from its column; none where the event is the profile of another entity."""
        keys: kernel.Floats = events[:, column]
        if not self.profiles:
            return keys
        names = [name for name, _ in self.profiles]
        number = names.index(entity) if entity in names else -1
        is_profile = events[:, kernel.E_KIND] == kernel.KIND_PROFILE
        return np.where(is_profile & (events[:, kernel.E_OF] != number), kernel.NO_KEY, keys)

    def column(self, name: str) -> int:
        """Find a field's column.

        Raises
        ------
        BadConfig
            When there is no such field; names those that there are.
        """
        if self.is_seen and name == OWN_KEY:
            return self.width - SEEN_COLUMNS
        if name not in self.names:
            raise BadConfig(f"an event has no column {name!r}; there are {', '.join(self.names)}")
        return kernel.PREFIX + self.names.index(name)

    def unit(self, number: str) -> float:
        """How many whole units of a number make one; of the amount for an empty name.

        Raises
        ------
        BadConfig
            When there is no such number; names those that there are.
        """
        units = {"": self.minor_units, **dict(self.numbers)}
        if number not in units:
            raise BadConfig(f"{number!r} is not a number; there are {', '.join(list(units)[1:]) or 'none'}")
        return units[number]

    @property
    def bits_of_sides(self) -> tuple[tuple[int, int], ...]:
        """Bits of the filters that read the side, of the sides ``out`` and ``in``."""
        return tuple((self.bit(name), self.bit(f"{name}:{IN}")) for name in self.by_side)

    def bit(self, name: str) -> int:
        """Find a filter's bit.

        Raises
        ------
        BadConfig
            When there is no such filter; names those that there are.
        """
        names = [known for known, _ in self.filters]
        if name not in names:
            raise BadConfig(f"there is no filter {name!r}; there are {', '.join(names) or 'none'}")
        return names.index(name)


@lru_cache(maxsize=64)
def layout_of(schema: Schema) -> EventLayout:
    """Lay out the rows of a schema's events."""
    of_money = ((AMOUNT_MINOR, 1.0),) if schema.money else ()
    return EventLayout(
        keys=(*(field.word for field in schema.hashed), *map(joined_word, schema.joined_keys)),
        numbers=(*((field.name, 10.0**field.scale) for field in schema.own(*NUMERIC)), *of_money),
        times=tuple(field.name for field in schema.own(FieldType.TIME)),
        filters=tuple((one.name, one.text) for one in schema.filters),
        minor_units=float(schema.money.unit) if schema.money else 100.0,
        zone=schema.zone,
        clock=schema.clock,
        told_zone=schema.told_zone,
        of_results=tuple(one.name for one in schema.filters if one.results),
        profiles=tuple((name, sum(len(f.names) for f in fields)) for name, fields in schema.profiles),
        by_side=tuple(one.name for one in schema.filters if one.side and one.is_declared),
        refunds=schema.takes_refunds,
        in_several=schema.takes_refunds and schema.money is not None,
    )


DEFAULT_LAYOUT: Final = layout_of(default_schema())
"""Of the default schema."""
