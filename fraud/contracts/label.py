"""Topic ``labels``: the label of a transaction, days after it (chargeback, analyst, customer)."""

from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import model_validator

from fraud.contracts.paid_back import check_paid_back
from fraud.contracts.wire import Record
from fraud.money import Money

if TYPE_CHECKING:
    from datetime import datetime

DISPUTED: Final = ("disputed_amount", "disputed_currency")
"""Fields of a label: what is charged back, and in which currency."""


class Label(Record):
    """Whether a transaction is fraud, which it names by its id and its primary entity's key.

    The transaction's other keys and its time may be left out: the primary entity's state knows them.
    """

    money: ClassVar[Money | None] = None
    """Of the schema: where there is none, amounts are in hundredths of the one currency."""

    if TYPE_CHECKING:  # beside the keys, which are a schema's
        transaction_id: str
        event_time: datetime | None
        """Event time of the transaction."""
        label_time: datetime
        """When the label became known."""
        is_fraud: bool
        source: str | None
        """Where it comes from, e.g. ``chargeback``."""
        fraud_type: str | None
        """Kind of fraud in the deployment's own words, e.g. ``account_takeover``; reports count by it."""
        reason_code: str | None
        """Reason code of the card network, e.g. ``10.4``."""
        disputed_amount: float | None
        """What is charged back: of a purchase of several things it may be a part."""
        disputed_currency: str | None
        """Of that; None: the base currency."""

    @model_validator(mode="after")
    def _check_schema(self) -> "Label":
        if type(self) is Label:
            raise TypeError("Label has no fields of its own: use contracts_of(schema).label")
        check_paid_back(self, DISPUTED, self.money)
        return self
