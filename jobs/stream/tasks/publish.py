"""What leaves a micro-batch for Kafka: ``decisions``, ``alerts``, ``dead-letters``, and our own ``results``.

A micro-batch run again after a crash publishes its records again, under the same keys; readers tell
them by transaction_id (dead letters by topic, partition and offset).
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts import (
    ALERTS,
    DEAD_LETTERS,
    DECISIONS,
    RESULTS,
    DeadLetter,
    Decision,
    Outcome,
    contracts_of,
)
from fraud.contracts.columns import listed_names, names_of
from fraud.contracts.decision import DecisionPart
from fraud.contracts.encode import encode_rows
from fraud.contracts.priced import in_base
from fraud.kafka.producer import Producer, Record
from fraud.log import rows
from fraud.runtime.traces import headers_of
from fraud.schema.fields import AMOUNT_BASE
from fraud.schema.results import OURS
from fraud.schema.schema import Schema

MOST_LETTER: Final = 900_000
"""Bytes of a dead letter as it is sent; brokers and clients refuse messages above about a million bytes."""
MOST_TEXT: Final = 1_000
"""Characters of a dead letter's detail and key, where it would be too long; JSON makes six bytes of one."""
_AS_JSON: Final = listed_names(DecisionPart)
_LETTERS: Final = 100
"""Dead letters encoded at a time."""
_DECIDED: Final = (rows.TRANSACTION, rows.SCORED, rows.RECOUNTED)
OUR_SOURCE: Final = "fraud"
"""Of the results that are told of our own decisions."""
_DECISION_COLUMNS: Final = names_of(
    Decision, but=["schema_version", "transaction_id", "event_time", "amount"]
)
"""Beside those of the transaction."""


def publish(
    producer: Producer, table: pa.Table, schema: Schema, traces: pa.ChunkedArray | None = None
) -> None:
    """Publish rows of ``Rows.spooled_schema`` and wait until the brokers have them.

    Parameters
    ----------
    schema
        Of the records.
    traces
        Header of each row's trace, or null; None: no record has any.

    Raises
    ------
    Unavailable
        When they do not take all of them in time; the micro-batch must run again.
    """
    producer.deliver_all(messages(table, schema, traces))


def messages(
    table: pa.Table, schema: Schema, traces: pa.ChunkedArray | None = None
) -> Iterator[tuple[str, str, bytes] | Record]:
    """Make the records of :func:`publish` as (topic, key, value), or with the header of a trace."""
    kinds = table.column("row_kind").to_numpy()
    decided = table.filter(kinds == rows.TRANSACTION)
    is_alert = (decided.column("outcome").to_numpy(zero_copy_only=False) != Outcome.APPROVE).tolist()
    users = decided.column(schema.primary_key.name).to_pylist()
    known = [None] * len(users)
    if traces is not None:
        known = traces.filter(pa.array(kinds == rows.TRANSACTION)).to_pylist()
    for user, value, alerts, trace in zip(users, decisions(decided, schema), is_alert, known, strict=True):
        for topic in (DECISIONS, ALERTS) if alerts else (DECISIONS,):
            yield Record(topic, user, value, headers_of(trace)) if trace else (topic, user, value)
    if any(word in schema.results for word in OURS.values()):
        yield from _own_results(table.filter(np.isin(kinds, _DECIDED)), schema)
    for letter in _dead_letters(table.filter(kinds == rows.DEAD_LETTER)):
        yield DEAD_LETTERS, f"{letter.topic}-{letter.partition}-{letter.offset}", _encoded(letter)


def _own_results(table: pa.Table, schema: Schema) -> Iterator[tuple[str, str, bytes]]:
    """Tell our own decisions as results, also those of the scoring service, where the schema takes them."""
    told_of = {outcome: word for outcome, word in OURS.items() if word in schema.results}
    model, primary = contracts_of(schema).result, schema.primary_key.name
    if model is None:
        return
    taken = table.filter(pc.is_in(table["outcome"], value_set=pa.array(list(told_of))))
    names = ("transaction_id", primary, "event_time")
    for row in taken.select([*names, "outcome", "processed_at"]).to_pylist():
        whose = {name: row[name] for name in names}
        told = {"result": told_of[row["outcome"]], "result_time": row["processed_at"], "source": OUR_SOURCE}
        yield RESULTS, row[primary], model(**whose, **told).model_dump_json(exclude_none=True).encode()


def decisions(table: pa.Table, schema: Schema) -> list[bytes]:
    """Encode transactions of ``Rows.spooled_schema`` as :class:`~fraud.contracts.Decision`."""
    in_money = ("currency", AMOUNT_BASE) if schema.money else ()
    if schema.money is not None:
        table = table.append_column(AMOUNT_BASE, in_base(table, schema))
    said = dict.fromkeys(["transaction_id", *schema.key_names, "event_time", "amount", *in_money])
    return encode_rows(table, (*said, *_DECISION_COLUMNS), ready=_AS_JSON, writes_nulls=True)


def _encoded(letter: DeadLetter) -> bytes:
    """Encode a letter, cut where Kafka would refuse it."""
    if len(letter.raw) <= MOST_LETTER:  # base64 only adds to it
        whole = letter.model_dump_json().encode()
        if len(whole) <= MOST_LETTER:
            return whole
    return _cut(letter).model_dump_json().encode()


def _cut(letter: DeadLetter) -> DeadLetter:
    """Leave the refused record out, and shorten its key and the detail."""
    key = letter.key[:MOST_TEXT] if letter.key else letter.key
    detail = (
        f"{letter.detail[:MOST_TEXT]}; the record's {len(letter.raw):,} bytes are in the Delta table alone"
    )
    return letter.model_copy(update={"raw": b"", "detail": detail, "key": key})


def _dead_letters(table: pa.Table) -> Iterator[DeadLetter]:
    """Make the letters one by one: together they may be as large as the micro-batch."""
    names = [field.name for field in (*rows.ORIGIN, *rows.DEAD_LETTER_FIELDS, *rows.STAMP)]
    for batch in table.select(names).to_batches(max_chunksize=_LETTERS):
        for row in batch.to_pylist():
            yield DeadLetter.model_construct(  # not validated: nothing of it may end the query
                topic=row["topic"],
                partition=row["source_partition"],
                offset=row["source_offset"],
                received_at=row["received_at"],
                reason=row["reason"],
                detail=row["detail"],
                key=row["key"],
                raw=row["raw"] or b"",
                processed_at=row["processed_at"],
                epoch=row["epoch"],
            )
