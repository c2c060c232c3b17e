"""Topic ``labels``: the label of a transaction, days after it (chargeback, analyst, customer)."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Self

from pydantic import BaseModel, Field, StrictBool, model_validator

from fraud.contracts.paid_back import Currency, PaidBack, check_paid_back
from fraud.contracts.wire import EventTime, ReasonCode, Record, SourceName
from fraud.money import Money

if TYPE_CHECKING:
    from datetime import datetime

DISPUTED: Final = ("disputed_amount", "disputed_currency")
"""Fields of a label: what is charged back, and in which currency."""
FraudType = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$")]
"""A word of the deployment's own choice; reports count frauds by it."""


class LabelPart(BaseModel):
    """What a label says of its transaction: the one list of its fields.

    The topic and the table ``labels`` (``fraud.log.rows``), the requests of the API
    (``services.scoring.feedback.labels``) and the views of ``fraud sql`` are made of it.
    """

    money: ClassVar[Money | None] = None
    """Of the schema: where there is none, amounts are in hundredths of the one currency."""

    label_time: EventTime | None = Field(None, description="When the label became known.")
    is_fraud: StrictBool
    source: SourceName | None = Field(None, description="Where it comes from, e.g. chargeback.")
    fraud_type: FraudType | None = Field(None, description="Kind of fraud, e.g. account_takeover.")
    reason_code: ReasonCode | None = Field(None, description="Reason code of the card network, e.g. 10.4.")
    disputed_amount: PaidBack | None = Field(
        None, description="What is charged back; it may be a part of the transaction's amount."
    )
    disputed_currency: Currency | None = Field(
        None, description="Of the disputed amount; absent: the base currency."
    )

    @model_validator(mode="after")
    def _check_disputed(self) -> Self:
        check_paid_back(self, DISPUTED, self.money)
        return self


class Label(LabelPart, Record):
    """Whether a transaction is fraud, which it names by its id and its primary entity's key.

    The transaction's other keys and its time may be left out: the primary entity's state knows them.
    """

    if TYPE_CHECKING:  # which transaction; the schema's, like its keys
        transaction_id: str
        event_time: datetime | None

    label_time: EventTime = Field(description="When the label became known.")

    @model_validator(mode="after")
    def _check_schema(self) -> Self:
        if type(self) is Label:
            raise TypeError("Label names no transaction: use contracts_of(schema).label")
        return self
