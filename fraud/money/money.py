"""What a deployment's money is: one base currency, in whose minor units the features count."""

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Final, Literal

from fraud.money.currencies import digits_of

MOST_BASE: Final = 10_000_000
"""Greatest amount in units of the base currency, where the schema does not say."""
MOST_MINOR: Final = 1_000_000_000
"""Greatest amount in minor units of the base currency: its square is still exact."""


@dataclass(frozen=True)
class Bounds:
    """Of the amounts in one currency, in its own minor units.

    Parameters
    ----------
    currency
        Code of ISO 4217.
    least
        Smallest amount beside 0, which a verification has.
    most
        Greatest amount; None: that of the base bounds it alone.
    """

    currency: str
    least: int = 0
    most: int | None = None

    def fault(self, minor: int) -> str:
        """Say what is wrong with an amount; empty: nothing.

        Examples
        --------
        >>> Bounds("KWD", most=3_000_000).fault(3_000_001), Bounds("JPY", least=50).fault(49)
        ('at most 3,000.000 KWD are accepted', 'at least 50 JPY are accepted')
        """
        if minor and minor < self.least:
            return f"at least {self._words(self.least)} are accepted"
        if self.most is not None and minor > self.most:
            return f"at most {self._words(self.most)} are accepted"
        return ""

    def _words(self, minor: int) -> str:
        digits = digits_of(self.currency) or 0
        return f"{Decimal(minor).scaleb(-digits):,} {self.currency}"


@dataclass(frozen=True)
class Money:
    """A schema's money; a schema without it has one currency, whatever a record's ``currency`` says.

    Parameters
    ----------
    base
        Code of ISO 4217. A record that names no currency is in it.
    unknown
        What becomes of a record whose currency has no rate: it is refused, or decided without its amount.
    most
        Greatest amount in units of the base currency.
    bounds
        Further ones, of some currencies.
    """

    base: str
    unknown: Literal["refuse", "decide"] = "refuse"
    most: int = MOST_BASE
    # A schema without these has its old version.
    bounds: tuple[Bounds, ...] = field(default=(), repr=False)

    def fault(self, minor: int, currency: str) -> str:
        """Say what the bounds of a currency find wrong with an amount; empty: nothing."""
        return next((one.fault(minor) for one in self.bounds if one.currency == currency), "")

    @cached_property
    def digits(self) -> int:
        """Decimals of the base currency."""
        found = digits_of(self.base)
        if found is None:
            raise ValueError(f"{self.base} is no currency of ISO 4217 with amounts")
        return found

    @property
    def unit(self) -> int:
        """How many minor units make one.

        Examples
        --------
        >>> Money("KWD").unit
        1000
        """
        found: int = 10**self.digits
        return found

    @property
    def most_minor(self) -> int:
        """Greatest amount in minor units."""
        return min(self.most * self.unit, MOST_MINOR)
