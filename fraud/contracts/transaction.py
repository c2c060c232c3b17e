"""Topic ``transactions``: one card transaction, as the payment gateway reports it."""

from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import ValidationError, model_validator
from pydantic_core import PydanticCustomError

from fraud.contracts.wire import Record
from fraud.money import Money, digits_of, exact_amount, to_minor
from fraud.schema.fields import BASE_MINOR
from fraud.schema.kinds import REFUND, VERIFICATION

if TYPE_CHECKING:
    from datetime import datetime


ZERO: Final = f"must be above 0; 0 is for kind {VERIFICATION} alone"
NEGATIVE: Final = f"must not be negative: give what is paid back as kind {REFUND} with its amount above 0"


class Transaction(Record):
    """What every transaction is; its fields are a schema's (``fraud.contracts.models.contracts_of``).

    Optional fields may be absent or null.
    """

    if TYPE_CHECKING:  # the core, which every schema has
        transaction_id: str
        event_time: datetime
        amount: float
        """An exact Decimal as it comes, where the schema has money; priced, a float beside whole units."""
        currency: str | None
        kind: str

    places: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Names of fields that are given together: a latitude and its longitude."""

    money: ClassVar[Money | None] = None
    """Of the schema."""

    @property
    def amount_base(self) -> float | None:
        """Amount in units of the base currency; None where it is not known."""
        if self.money is None:
            return self.amount
        minor: int | None = getattr(self, BASE_MINOR)
        return None if minor is None else minor / self.money.unit

    @model_validator(mode="after")
    def _check_places(self) -> "Transaction":
        if type(self) is Transaction:
            raise TypeError("Transaction has no fields of its own: use contracts_of(schema).transaction")
        for latitude, longitude in self.places:
            if (getattr(self, latitude) is None) != (getattr(self, longitude) is None):
                raise ValueError(f"{latitude} and {longitude} must be given together")
        if self.amount <= 0 and (self.amount < 0 or self.kind != VERIFICATION):
            raise refused("amount", NEGATIVE if self.amount < 0 else ZERO)
        if self.money is not None:
            self._check_money(self.money)
        return self

    def _check_money(self, money: Money) -> None:
        """Hold the amount to the digits of its currency."""
        currency = self.currency or money.base
        digits = digits_of(currency)
        if digits is None:
            if money.unknown == "refuse":
                raise refused("currency", f"{currency} is no currency of ISO 4217 that has amounts")
            return
        try:
            to_minor(exact_amount(self.amount), currency, digits)
        except ValueError as error:
            raise refused("amount", str(error)) from error


def refused(field: str, words: str) -> ValidationError:
    """Refuse a field's value for what stands in another one."""
    wrong = PydanticCustomError("refused", "{words}", {"words": words})
    return ValidationError.from_exception_data(
        "Transaction", [{"type": wrong, "loc": (field,), "input": None}]
    )
