"""Features: each is a statistic over an entity; its name, words and unit derive from both.

The features of a deployment stand in its schema's file.
"""

import re
from dataclasses import dataclass

from fraud.schema.entities import HOUR_US, Entity
from fraud.schema.fields import AMOUNT_MINOR
from fraud.schema.operations import Op
from fraud.schema.statistics import STATISTICS, Exactness, Family, Statistic
from fraud.schema.windows import tile, width_us, window_us


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the feature vector.

    Examples
    --------
    >>> from fraud.schema.default import USER
    >>> Feature("mean", USER, window="24h").name
    'amount_mean_24h_by_user'
    """

    statistic: str
    entity: Entity | None = None
    """Whose state it reads; None: of the transaction alone."""
    window: str = ""
    base: str = ""
    """The window that a velocity is compared with, or the age of what is ripe."""
    column: str = ""
    monotone: int = 0
    """1: a higher value can only raise the score; -1: only lower it; 0: free."""
    value: str = ""
    """The number that is looked at; empty: the amount."""
    where: str = ""
    """The filter that an event must fulfil to count; empty: all count."""
    percent: int = 50
    """Of a percentile."""
    of: tuple[str, ...] = ()
    """Names of the features that it is made of."""
    called: str = ""
    """Its name, where that is not to be derived."""
    zone: str = ""
    """The field that tells the clocks which it looks at; empty: they show UTC."""
    currency: str = ""
    """Of amounts, where the schema says."""
    profile: str = ""
    """The field of the entity's profile that is looked at."""
    equals: str = ""
    """The word that the field of the profile is compared with."""
    side: str = ""
    """Of an entity with two sides: the one whose history is looked at."""

    @property
    def kind(self) -> Statistic:
        """The statistic it computes."""
        return STATISTICS[self.statistic]

    @property
    def whose(self) -> str:
        """Name of the entity whose history it reads, as one of its sides; empty: of the transaction alone."""
        return self.entity.seen_from(self.side) if self.entity else ""

    @property
    def name(self) -> str:
        """Derived name, unique in the table."""
        with_value = f"_with_{self.value}" if self.value and "{value}" not in self.kind.name else ""
        where = f"_where_{self.where}" if self.where else ""
        return self.called or self._fill(self.kind.name, self.whose) + with_value + where

    @property
    def description(self) -> str:
        """Formula in words."""
        return self._fill(self.kind.text, self._in_text) + self._condition

    @property
    def unit(self) -> str:
        """Unit of the value."""
        if self.kind.unit != "currency units":
            return self.kind.unit
        if self.profile:
            return self.profile
        if self.value == AMOUNT_MINOR:
            return "minor units of its currency"
        return self.value or self.currency or self.kind.unit

    @property
    def missing(self) -> str:
        """What a missing value (NaN) means; empty when there always is a value."""
        missing = self._fill(self.kind.missing, self._in_text)
        return missing and missing + self._condition

    @property
    def default(self) -> float:
        """Value for an entity without history (NaN: missing)."""
        return self.kind.default

    @property
    def is_categorical(self) -> bool:
        """Whether the value is a bucket number, without order."""
        return self.kind.op in (Op.BUCKET, Op.PROFILE_BUCKET)

    @property
    def family(self) -> Family:
        """What it looks at."""
        return self.kind.family

    @property
    def tiles_us(self) -> dict[str, int]:
        """By window: the width of the tiles that hold its events beyond the kept ones, microseconds.

        Empty where no tile is read. Once the entity has more events in the window than are kept one by
        one, the window reaches further back than its length, by less than this.

        Examples
        --------
        >>> from fraud.schema.default import MERCHANT
        >>> Feature("velocity", MERCHANT, window="1h", base="7d").tiles_us
        {'1h': 300000000, '7d': 3600000000}
        """
        if self.entity is None or self.kind.exactness is not Exactness.TILES:
            return {}
        names = [name for name in (self.window, self.base) if name]
        if self.kind.op is Op.RIPE_FRAUD_SHARE:
            return dict.fromkeys(names, tile(self.entity.windows).widths_us[-1])
        return {name: width_us(window_us(name)) for name in names}

    @property
    def exactness(self) -> str:
        """What happens to the value once the entity has more events than are kept one by one.

        Examples
        --------
        >>> from fraud.schema.default import USER
        >>> print(Feature("count", USER, window="1h").exactness.partition("; ")[2])
        beyond, 1h reaches up to 5 min further back (8.3%)
        """
        if self.entity is None or self.kind.exactness is Exactness.EXACT:
            return "event-exact"
        name = self._in_text
        if self.kind.exactness is Exactness.KNOWN:
            latest = dict(self.entity.known)[self.column]
            return f"event-exact within the {name}'s latest {latest} values; older ones count as new"
        kept = f"event-exact within the {name}'s latest {self.entity.events} transactions"
        if self.kind.exactness is Exactness.KEPT:
            return f"{kept}; beyond, over those alone"
        reach = (
            f"{window} reaches up to {_duration(width)} further back ({width / window_us(window):.1%})"
            for window, width in self.tiles_us.items()
        )
        return f"{kept}; beyond, {', '.join(reach)}"

    @property
    def _in_text(self) -> str:
        is_of_side = bool(self.entity and self.entity.sides)
        return self.whose.replace("_", " ") if is_of_side else self.whose

    @property
    def _condition(self) -> str:
        is_of_those = bool(self.value and self.entity and not self.profile)
        with_value = f", of those with {self.value}" if is_of_those else ""
        return with_value + (f", where {self.where}" if self.where else "")

    def _fill(self, template: str, whose: str) -> str:
        first, second = (*self.of, "", "")[:2]
        return template.format(
            column=self.column,
            window=self.window,
            base=self.base,
            entity=whose,
            value=self.value or "amount",
            values=f"values of {self.value}" if self.value else "amounts",
            least="a whole unit" if self.value else "0.01",
            profile=self.profile,
            equals=self.equals,
            word=_as_name(self.equals),
            percent=self.percent,
            first=first,
            second=second,
            clock=f"local time ({self.zone})" if self.zone else "UTC",
            operands="_".join(self.of) if template.startswith("greatest_of") else ", ".join(self.of),
        )


def _as_name(word: str) -> str:
    """Write a word as a part of a name: letters, digits and underscores."""
    return re.sub("[^a-z0-9]+", "_", word.lower()).strip("_")


def _duration(length_us: int) -> str:
    hours = length_us / HOUR_US
    if hours >= 1:
        return f"{hours:g} h"
    return f"{60 * hours:g} min" if 60 * hours >= 1 else f"{3600 * hours:g} s"
