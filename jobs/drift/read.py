"""Counts the served days in the bins of a profile.

Reads the Delta tables ``transactions``, ``features`` and ``decisions``, a part at a time, without Spark.
"""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from fraud.errors import BadInput
from fraud.log.tables import Options, find_table, floats_of, micros_of, open_table
from fraud.schema.arrow import TIME
from fraud.watch.profile import DAY_US, SCORE, Profile, Tally
from jobs.drift.judge import GAP_DAYS, RECENT_DAYS


def last_day(delta: str, options: Options) -> int:
    """Find the last whole day of the tables (since 1970 UTC): the one before the newest event's, or today's.

    Raises
    ------
    BadInput
        When there is no transaction.
    """
    newest = -1
    for batch in open_table(delta, "transactions", options).batches(["event_time"]):
        newest = max(newest, int(micros_of(batch.column("event_time")).max(initial=-1)))
    if newest < 0:
        raise BadInput(f"the Delta table of transactions under {delta} is empty; the stream writes it")
    now_us = int(datetime.now(UTC).timestamp() * 1e6)  # an event may be dated into the future
    return min(newest, now_us) // DAY_US - 1


def count_days(
    delta: str, options: Options, profile: Profile, *, last: int, window: int, version: str
) -> Tally:
    """Count the days to judge and the weeks before them; scores of one model version alone."""
    days = range(last - window + 1 - GAP_DAYS - RECENT_DAYS, last + 1)
    tally = Tally(profile.columns, days)
    since, until = (datetime.fromtimestamp(day * DAY_US / 1e6, UTC) for day in (days.start, days.stop))
    inside = (pc.field("event_time") >= pa.scalar(since, TIME)) & (
        pc.field("event_time") < pa.scalar(until, TIME)
    )
    features = [column.name for column in profile.columns if column.kind == "feature"]
    fields = [column.name for column in profile.columns if column.kind == "field"]
    table = open_table(delta, "transactions", options)
    for batch in table.batches(["event_time", *fields], inside):
        event_us = micros_of(batch.column("event_time"))
        tally.add_times(event_us)
        tally.add(event_us, {name: batch.column(name) for name in fields})
    table = open_table(delta, "features", options)
    served = [name for name in features if name in table.columns]
    for batch in table.batches(["event_time", *served], inside):
        tally.add(
            micros_of(batch.column("event_time")), {name: floats_of(batch.column(name)) for name in served}
        )
    decisions = find_table(delta, "decisions", options)
    if decisions is not None:
        ours = inside & (pc.field("model_version") == version) & pc.field("score").is_valid()
        for batch in decisions.batches(["event_time", "score"], ours):
            tally.add(micros_of(batch.column("event_time")), {SCORE: floats_of(batch.column("score"))})
    return tally
