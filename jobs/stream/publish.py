"""What leaves a micro-batch for Kafka: ``decisions``, ``alerts`` and ``dead-letters``.

A micro-batch run again after a crash publishes its records again, under the same keys; readers tell
them by transaction_id (dead letters by topic, partition and offset).
"""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pyarrow as pa

from fraud.contracts import ALERTS, DEAD_LETTERS, DECISIONS, DeadLetter, Decision, Outcome, Reason
from fraud.errors import Unavailable
from fraud.experiment import TRIAL_FIELDS
from jobs.stream import rows

FLUSH_S: Final = 30.0
"""How long the brokers may take to accept a micro-batch, seconds."""
_DECISION_COLUMNS: Final = (
    "transaction_id",
    "user_id",
    "merchant_id",
    "event_time",
    "amount",
    "outcome",
    "score",
    "reasons",
    "model_version",
    "features_version",
    "is_fallback",
    "policy_version",
    *TRIAL_FIELDS,
    "received_at",
    "processed_at",
    "epoch",
    "source_partition",
    "source_offset",
)


def publish(producer: Any, table: pa.Table) -> None:
    """Publish the rows of ``rows.SPOOLED`` and wait until the brokers have them.

    Raises
    ------
    Unavailable
        When they do not take all of them in time; the micro-batch must run again.
    """
    failures: list[str] = []

    def delivered(error: Any, _message: Any) -> None:
        if error is not None:
            failures.append(str(error))

    for topic, key, value in _messages(table):
        _send(producer, topic, key, value, delivered)
    left = producer.flush(FLUSH_S)
    if left or failures:
        raise Unavailable(
            f"Kafka did not take {left + len(failures)} records: {failures[:1] or 'time is over'}"
        )


def _send(producer: Any, topic: str, key: str, value: str, delivered: Callable[[Any, Any], None]) -> None:
    while True:
        try:
            producer.produce(topic, value, key, on_delivery=delivered)
        except BufferError:  # the local queue is full: let it drain
            producer.poll(0.1)
        else:
            return


def _messages(table: pa.Table) -> Iterator[tuple[str, str, str]]:
    """Make the records as (topic, key, value)."""
    kinds = table.column("kind").to_numpy()
    for decision in _decisions(table.filter(kinds == rows.TRANSACTION)):
        value = decision.model_dump_json()
        yield DECISIONS, decision.user_id, value
        if decision.outcome is not Outcome.APPROVE:
            yield ALERTS, decision.user_id, value
    for letter in _dead_letters(table.filter(kinds == rows.DEAD_LETTER)):
        yield DEAD_LETTERS, f"{letter.topic}-{letter.partition}-{letter.offset}", letter.model_dump_json()


def _decisions(table: pa.Table) -> list[Decision]:
    columns = [table.column(name).to_pylist() for name in _DECISION_COLUMNS]
    decisions = []
    for values in zip(*columns, strict=True):
        fields = dict(zip(_DECISION_COLUMNS, values, strict=True))
        fields["outcome"] = Outcome(fields["outcome"])
        found = fields["reasons"]
        fields["reasons"] = (
            [] if found == "[]" else [Reason.model_validate(reason) for reason in json.loads(found)]
        )
        decisions.append(Decision.model_construct(**fields))  # our own values: nothing to validate
    return decisions


def _dead_letters(table: pa.Table) -> list[DeadLetter]:
    return [
        DeadLetter(
            topic=row["topic"],
            partition=row["source_partition"],
            offset=row["source_offset"],
            received_at=row["received_at"],
            reason=row["reason"],
            detail=row["detail"],
            key=row["key"],
            raw=base64.b64encode(row["raw"]),
            processed_at=row["processed_at"],
            epoch=row["epoch"],
        )
        for row in table.select(
            [f.name for f in (*rows.ORIGIN, *rows.DEAD_LETTER_FIELDS, *rows.STAMP)]
        ).to_pylist()
    ]
