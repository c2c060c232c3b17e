"""Topic ``results``: later results of a transaction (authorised, declined, reversed, ...)."""

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import model_validator

from fraud.contracts.paid_back import check_paid_back
from fraud.contracts.transaction import refused
from fraud.contracts.wire import Record
from fraud.money import Money
from fraud.schema.results import REFUNDED

if TYPE_CHECKING:
    from datetime import datetime


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
    if getattr(told, "amount", None) is not None and told.result != REFUNDED:
        raise refused("amount", f"only a result {REFUNDED} has an amount, not {told.result}")
    check_paid_back(told, ("amount", "currency"), money)
