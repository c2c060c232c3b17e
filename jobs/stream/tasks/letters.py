"""Dead letters of the primary pass: repeated ids, future dates, forged records, results without room."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.contracts.future import future_words
from fraud.features import kernel
from fraud.features.kernel.layout import REFUNDS
from fraud.features.passes import Passes
from fraud.log import rows
from jobs.stream.tasks.context import TaskContext
from jobs.stream.tasks.scored import FORGED_RECORD
from jobs.stream.tasks.validate_pass import text_of

TOO_MANY_WAIT: Final = "too_many_results_wait"
NOT_KEPT: Final = "transaction_not_kept"
Rows = NDArray[np.int64]
Words = tuple[str, str]
"""Reason and detail of a dead letter."""


def untaken_results(passes: Passes, table: pa.Table, outcomes: kernel.Floats) -> Rows:
    """Find the results that the primary entity could not take, as rows of a table.

    Of a transaction that is older, when its result arrives, than any window reaches back, nothing follows:
    such a result is taken, and changes nothing.

    Parameters
    ----------
    passes
        The primary first.
    table
        With ``event_time`` and ``received_at``.
    outcomes
        [rows], of the primary pass; 0 of what is no result.
    """
    found = np.flatnonzero(outcomes <= kernel.NO_ROOM)
    if not len(found):
        return found
    times = table.select(["event_time", "received_at"]).take(pa.array(found))
    happened, arrived = (
        column.cast(pa.int64()).cast(pa.float64()).to_numpy(zero_copy_only=False) for column in times.columns
    )
    longest = max(one.plan.tiling.retention_us for one in passes)
    is_over = (outcomes[found] == kernel.NOT_KEPT) & (arrived - happened > longest)
    return np.asarray(found[~is_over], np.int64)


def with_letters(
    context: TaskContext,
    table: pa.Table,
    outcomes: kernel.Floats,
    *,
    duplicates: Rows,
    future: Rows,
    forged: Rows,
    untaken: Rows,
) -> pa.Table:
    """Take the ``Rows.record_fields`` of a table, with dead letters instead of what is refused.

    Parameters
    ----------
    table
        Rows of ``Rows.validated``.
    outcomes
        [rows], of the primary pass.
    duplicates, future, forged, untaken
        Rows that are refused: repeated transactions, those dated into the future, those that only claim to
        be the scoring service's, and results.
    """
    taken = table.select([field.name for field in context.rows.record_fields])
    refused = np.concatenate([duplicates, future, forged, untaken])
    if not len(refused):
        return taken
    names = ("transaction_id", "event_time", "received_at", "record_key", "record", "amount")
    found = table.select([*names, *context.bounds.columns]).take(pa.array(refused)).to_pylist()
    words = [_of_duplicate(context, row) for row in found[: len(duplicates)]]
    words += [_of_future(context, row) for row in found[len(words) : len(words) + len(future)]]
    words += [_of_forged(row) for row in found[len(words) : len(words) + len(forged)]]
    of_results = zip(found[len(words) :], outcomes[untaken].tolist(), strict=True)
    words += [_of_result(context, row, outcome) for row, outcome in of_results]
    letters = [
        (*reason, text_of(row["record_key"]), row["record"]) for reason, row in zip(words, found, strict=True)
    ]
    place = np.arange(len(table))
    place[refused] = len(table) + np.arange(len(refused))
    return pa.concat_tables([taken, context.rows.record_table(rows.DEAD_LETTER_NAMES, letters)]).take(
        pa.array(place)
    )


def _of_duplicate(context: TaskContext, row: dict[str, Any]) -> Words:
    whose = context.passes[0].name
    return "duplicate", f"transaction_id {row['transaction_id']} was already counted for this {whose}"


def _of_future(context: TaskContext, row: dict[str, Any]) -> Words:
    most_s = context.bounds.of_source(*(row[name] for name in context.bounds.columns))
    words = future_words("event_time", row["event_time"], row["received_at"], context.bounds.words_of(most_s))
    return "future_event_time", words


def _of_forged(row: dict[str, Any]) -> Words:
    return FORGED_RECORD, (
        f"store: the scoring service of this store has not written the record of transaction_id "
        f"{row['transaction_id']}: its seal is missing or wrong. See who may write to the topic `scored`"
    )


def _of_result(context: TaskContext, row: dict[str, Any], outcome: float) -> Words:
    entity = context.passes[0].entity
    if outcome == kernel.OTHER_CURRENCY:
        return (
            "invalid_field",
            "currency: the transaction of this refund is in another currency; send its own",
        )
    if outcome == kernel.NO_ROOM and row["amount"] is not None:
        return TOO_MANY_WAIT, (
            f"this {entity.name} keeps results of {kernel.PENDING} other transactions that have not come, or "
            f"{REFUNDS} refunds of those that it keeps, the limits: send the refund again later with "
            "`fraud replay dead-letters`"
        )
    if outcome == kernel.NO_ROOM:
        return TOO_MANY_WAIT, (
            f"this {entity.name} does not know transaction_id {row['transaction_id']}, and keeps results of "
            f"{kernel.PENDING} other transactions that have not come, the limit: send the result again with "
            "`fraud replay dead-letters` when its transaction has come. A result of an old transaction takes "
            "no room if it has the event_time of its transaction"
        )
    return NOT_KEPT, (
        f"the transaction of {row['event_time'].isoformat()} is older than the {entity.events} that this "
        f"{entity.name} keeps one by one, so its result cannot count. Raise `events` of {entity.name} with "
        "`fraud roll`, then send the result again with `fraud replay dead-letters`"
    )
