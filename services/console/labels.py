"""The analysts' labels, written to the topic ``labels``."""

from typing import Final

from fraud.contracts import LABELS, Decision, Label, contracts_of
from fraud.errors import Unavailable
from fraud.kafka.producer import Record, Sender
from fraud.schema.schema import Schema
from services.console import metrics
from services.console.live import Live, now

SOURCE: Final = "analyst:"
"""Before the client's name, in a label's source."""


class Labels:
    """Writes labels.

    Parameters
    ----------
    kafka
        Takes them.
    live
        Shows them at once.
    schema
        Of the transactions.
    """

    def __init__(self, kafka: Sender, live: Live, schema: Schema) -> None:
        self._kafka, self._live, self._schema = kafka, live, schema

    def give(self, decision: Decision, client: str, *, is_fraud: bool) -> Label:
        """Write a label; a later one on the same transaction takes its place.

        Raises
        ------
        Unavailable
            When Kafka does not take it; give it again.
        """
        label = contracts_of(self._schema).label(
            transaction_id=decision.transaction_id,
            **{name: getattr(decision, name) for name in self._schema.key_names},
            event_time=decision.event_time,
            label_time=now(),
            is_fraud=is_fraud,
            source=f"{SOURCE}{client}",
        )
        record = Record(LABELS, self._schema.primary_of(label), label.model_dump_json().encode())
        if not self._kafka.deliver([record]).is_complete:
            metrics.FAILED_LABELS.inc()
            raise Unavailable("Kafka did not accept the label, so it is not stored. Decide the case again")
        metrics.LABELS.labels("fraud" if is_fraud else "honest").inc()
        self._live.take_label(label)
        return label
