"""Counts the served days in the bins of a profile.

Reads the Delta tables ``transactions``, ``features`` and ``decisions``, a part at a time, without Spark.
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fraud.errors import BadInput
from fraud.log.tables import Options, Table, find_table
from fraud.profile import DAY_US, SCORE, Ints, Profile, Tally
from jobs.drift.judge import GAP_DAYS, RECENT_DAYS

TIME = pa.timestamp("us", tz="UTC")


def last_day(delta: str, options: Options) -> int:
    """Find the last whole day of the tables (since 1970 UTC): the one before the newest event's.

    Raises
    ------
    BadInput
        When there is no transaction.
    """
    newest = -1
    for batch in _open(delta, "transactions", options).batches(["event_time"]):
        newest = max(newest, int(_micros(batch.column("event_time")).max(initial=-1)))
    if newest < 0:
        raise BadInput(f"the Delta table of transactions under {delta} is empty; the stream writes it")
    return newest // DAY_US - 1


def count_days(
    delta: str, options: Options, profile: Profile, *, last: int, window: int, version: str
) -> Tally:
    """Count the days to judge and the weeks before them; scores of one model version alone."""
    days = range(last - window + 1 - GAP_DAYS - RECENT_DAYS, last + 1)
    tally = Tally(profile.columns, days)
    since, until = (datetime.fromtimestamp(day * DAY_US / 1e6, UTC) for day in (days.start, days.stop))
    inside = (ds.field("event_time") >= pa.scalar(since, TIME)) & (
        ds.field("event_time") < pa.scalar(until, TIME)
    )
    features = [column.name for column in profile.columns if column.kind == "feature"]
    fields = [column.name for column in profile.columns if column.kind == "field"]
    table = _open(delta, "transactions", options)
    for batch in table.batches(["event_time", *fields], inside):
        event_us = _micros(batch.column("event_time"))
        tally.add_times(event_us)
        tally.add(event_us, {name: batch.column(name) for name in fields})
    table = _open(delta, "features", options)
    served = [name for name in features if name in table.columns]
    for batch in table.batches(["event_time", *served], inside):
        tally.add(
            _micros(batch.column("event_time")), {name: _numbers(batch.column(name)) for name in served}
        )
    decisions = find_table(delta, "decisions", options)
    if decisions is not None:
        ours = inside & (ds.field("model_version") == version) & ds.field("score").is_valid()
        for batch in decisions.batches(["event_time", "score"], ours):
            tally.add(_micros(batch.column("event_time")), {SCORE: _numbers(batch.column("score"))})
    return tally


def _open(delta: str, name: str, options: Options) -> Table:
    table = find_table(delta, name, options)
    if table is None:
        raise BadInput(f"there is no Delta table {name} under {delta}; the stream writes it")
    return table


def _micros(column: Any) -> Ints:
    return np.asarray(pc.cast(column, TIME).cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)


def _numbers(column: Any) -> Any:
    return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
