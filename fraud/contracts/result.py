"""Topic ``results``: later results of a transaction (authorised, declined, reversed, ...)."""

from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import model_validator

from fraud.contracts.transaction import refused
from fraud.contracts.wire import Record
from fraud.money import Money, digits_of, exact_amount, to_minor
from fraud.schema.results import REFUNDED

if TYPE_CHECKING:
    from datetime import datetime

HUNDREDTHS: Final = 2
"""Digits of the one currency of a schema without money."""


class Result(Record):
    """One result of a transaction, which it names by its id and its primary entity's key.

    The transaction's other keys and its time may be left out: the primary entity's state knows them.
    """

    money: ClassVar[Money | None] = None
    """Of the schema: where there is none, amounts are in hundredths of the one currency."""

    if TYPE_CHECKING:  # beside the keys, which are a schema's
        transaction_id: str
        event_time: datetime | None
        """Event time of the transaction."""
        result_time: datetime
        """When the result became known."""
        result: str
        """One of those that the schema takes."""
        source: str | None
        """Where it comes from, e.g. ``issuer``."""
        reason_code: str | None
        """Of the issuer or the card network, e.g. ``51``."""
        amount: float | None
        """Of a refund: what is paid back, in the currency of its transaction."""
        currency: str | None
        """Of the amount; None: the base currency."""

    @model_validator(mode="after")
    def _check_schema(self) -> "Result":
        if type(self) is Result:
            raise TypeError("Result has no fields of its own: use contracts_of(schema).result")
        check_refund(self, self.money)
        return self


def check_refund(told: Any, money: Money | None) -> None:
    """Hold the amount of a refund to the digits of its currency.

    Parameters
    ----------
    told
        A result, or a request that makes one.
    money
        Of the schema.

    Raises
    ------
    ValidationError
        Naming the field, and what may stand there.
    """
    amount, currency = getattr(told, "amount", None), getattr(told, "currency", None)
    if amount is None:
        return
    if told.result != REFUNDED:
        raise refused("amount", f"only a result {REFUNDED} has an amount, not {told.result}")
    if amount == 0:
        raise refused("amount", "must be above 0: leave it out where no amount is known")
    if money is None and currency is not None:
        raise refused("currency", "all amounts are in one currency: the schema has no part `money`")
    name = currency or (money.base if money else "")
    digits = digits_of(name) if money else HUNDREDTHS
    if digits is None:
        raise refused("currency", f"{name} is no currency of ISO 4217 that has amounts")
    try:
        to_minor(exact_amount(amount), name or "an amount", digits)
    except ValueError as error:
        raise refused("amount", str(error)) from error
