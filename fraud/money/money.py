"""What a deployment's money is: one base currency, in whose minor units the features count."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from fraud.money.currencies import digits_of

MOST_BASE: Final = 10_000_000
"""Greatest amount in units of the base currency, where the schema does not say."""
MOST_MINOR: Final = 1_000_000_000
"""Greatest amount in minor units of the base currency: its square is still exact."""


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
    """

    base: str
    unknown: Literal["refuse", "decide"] = "refuse"
    most: int = MOST_BASE

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
