"""How wrong the clocks are that date transactions: those of terminals, merchants, gateways.

Reads the Delta tables ``transactions`` and ``dead_letters`` (those that the guard against the future has
refused). A record's delay is its append time minus its event time: what its way took, and how far its clock
is behind. The transport time varies, the error of the clock does not. So the quickest records measure the
clock: its offset is the low quantile of its delays, minus that of all others. A terminal that sends once a
day is late at times, not always; one with a wrong clock is wrong in its quickest records, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.contracts.future import AheadBounds
from fraud.contracts.topics import TRANSACTIONS
from fraud.errors import BadInput
from fraud.log.tables import find_table, floats_of, open_table
from fraud.schema.arrow import TIME
from fraud.settings.names import suggest

Floats = NDArray[np.float64]
LOW: Final = 0.05
HIGH: Final = 0.95
REFUSED: Final = "future_event_time"
"""Reason of the dead letters of clocks that are further ahead than the guard bears."""


@dataclass(frozen=True, slots=True)
class Clock:
    """One clock, seconds; a positive delay is a record that arrived after its own time."""

    name: str
    records: int
    refused: int
    """Of them dead letters, as dated into the future."""
    median_s: float
    low_s: float
    high_s: float
    offset_s: float
    """How far it is behind the others; negative: ahead."""
    is_wrong: bool
    most_ahead_s: float | None = None
    """How far ahead it may be, where the schema bounds these clocks."""


@dataclass(frozen=True, slots=True)
class Delays:
    """Records of some days: who dated them, and their delays."""

    names: pa.Array
    delay_s: Floats
    is_refused: NDArray[np.bool_]


def read_delays(delta: str, by: str, since: datetime, options: Mapping[str, str]) -> Delays:
    """Read the records that arrived since a moment and name their clock.

    Raises
    ------
    BadInput
        When there are no transactions, or the table has no such column; names those that it has.
    Unavailable
        When the tables cannot be read.
    """
    table = open_table(delta, "transactions", options)
    if by not in table.columns:
        raise BadInput(f"the transactions have no column {by!r}; {suggest(by, table.columns)}")
    later = pc.field("received_at") >= pa.scalar(since, TIME)
    # History that was filled in arrived, by its own word, when it happened.
    found = table.rows(
        (by, "event_time", "received_at"),
        later & (pc.field("generation") > 0) & pc.field(by).is_valid(),
    )
    names = found[by].cast(pa.string()).combine_chunks()
    delay = _seconds(found["received_at"]) - _seconds(found["event_time"])
    letters = find_table(delta, "dead_letters", options)
    if letters is None:
        return Delays(names, delay, np.zeros(len(delay), np.bool_))
    wanted = (pc.field("reason") == REFUSED) & (pc.field("topic") == TRANSACTIONS) & later
    refused = letters.rows(("raw", "received_at"), wanted)
    pairs = zip(refused["raw"].to_pylist(), refused["received_at"].to_pylist(), strict=True)
    told = [_read(raw, arrival, by) for raw, arrival in pairs]
    known = [one for one in told if one is not None]
    return Delays(
        pa.concat_arrays([names, pa.array([name for name, _ in known], pa.string())]),
        np.concatenate([delay, np.array([late for _, late in known], np.float64)]),
        np.arange(len(delay) + len(known)) >= len(delay),
    )


def clocks_of(found: Delays, *, least: int, most_s: float, bounds: AheadBounds | None = None) -> list[Clock]:
    """Measure each clock of enough records, the most wrong one first.

    Parameters
    ----------
    least
        Records without which nothing is said of a clock.
    most_s
        Offset from which a clock is wrong, seconds.
    bounds
        How far ahead each may be; None: they are not bounded one by one.
    """
    if not len(found.delay_s):
        return []
    encoded = found.names.dictionary_encode()
    codes = np.asarray(encoded.indices.to_numpy(), np.int64)
    order = np.lexsort((found.delay_s, codes))
    delays = found.delay_s[order]
    counts = np.bincount(codes, minlength=len(encoded.dictionary))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    low, median, high = (delays[starts + ((counts - 1) * q).astype(np.int64)] for q in (LOW, 0.5, HIGH))
    refused = np.bincount(codes, found.is_refused, len(counts)).astype(np.int64)
    enough = counts >= least
    # One value a clock, so that a busy wrong clock does not make the others wrong.
    usual = float(np.median(low[enough])) if enough.any() else 0.0
    clocks = [
        Clock(
            name=encoded.dictionary[at].as_py(),
            records=int(counts[at]),
            refused=int(refused[at]),
            median_s=float(median[at]),
            low_s=float(low[at]),
            high_s=float(high[at]),
            offset_s=float(low[at] - usual),
            is_wrong=bool(abs(low[at] - usual) > most_s),
            most_ahead_s=bounds.of_source(encoded.dictionary[at].as_py()) if bounds else None,
        )
        for at in np.flatnonzero(enough).tolist()
    ]
    return sorted(clocks, key=lambda one: -abs(one.offset_s))


def _seconds(column: pa.ChunkedArray) -> Floats:
    return floats_of(column.cast(TIME).cast(pa.int64())) / 1e6


def _read(raw: bytes | None, arrival: datetime, by: str) -> tuple[str, float] | None:
    """Read who dated a dead letter, and its delay; None where it does not say."""
    try:
        record: Any = orjson.loads(raw or b"")
        late = (arrival - datetime.fromisoformat(record["event_time"])).total_seconds()
        return (str(record[by]), late) if record.get(by) is not None else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
