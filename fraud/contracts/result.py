"""Topic ``results``: what became of a transaction (authorised, declined, reversed, ...), told after it."""

from typing import TYPE_CHECKING

from pydantic import model_validator

from fraud.contracts.wire import Record

if TYPE_CHECKING:
    from datetime import datetime


class Result(Record):
    """One result of a transaction, which it names by its id and its primary entity's key.

    The transaction's other keys and its time may be left out: the primary entity's state knows them.
    """

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

    @model_validator(mode="after")
    def _check_schema(self) -> "Result":
        if type(self) is Result:
            raise TypeError("Result has no fields of its own: use contracts_of(schema).result")
        return self
