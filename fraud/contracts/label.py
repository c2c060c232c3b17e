"""Topic ``labels``: the verdict on a transaction, days after it (chargeback, analyst, customer)."""

from pydantic import StrictBool

from fraud.contracts.wire import EventTime, Identifier, Record


class Label(Record):
    """The verdict on one transaction; it repeats the transaction's keys, so that no join is needed."""

    transaction_id: Identifier
    user_id: Identifier
    merchant_id: Identifier
    event_time: EventTime
    """Of the transaction."""
    label_time: EventTime
    """When the verdict became known."""
    is_fraud: StrictBool
    source: Identifier | None = None
    """Where the verdict comes from, e.g. ``chargeback``."""
