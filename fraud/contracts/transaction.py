"""Topic ``transactions``: one card transaction, as the payment gateway reports it."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import model_validator

from fraud.contracts.wire import Record

if TYPE_CHECKING:
    from datetime import datetime


class Transaction(Record):
    """What every transaction is; its fields are a schema's (``fraud.contracts.models.contracts_of``).

    Optional fields may be absent or null.
    """

    if TYPE_CHECKING:  # the core, which every schema has
        transaction_id: str
        event_time: datetime
        amount: float
        currency: str | None

    places: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Names of fields that are given together: a latitude and its longitude."""

    @model_validator(mode="after")
    def _check_places(self) -> "Transaction":
        if type(self) is Transaction:
            raise TypeError("Transaction has no fields of its own: use contracts_of(schema).transaction")
        for latitude, longitude in self.places:
            if (getattr(self, latitude) is None) != (getattr(self, longitude) is None):
                raise ValueError(f"{latitude} and {longitude} must be given together")
        return self
