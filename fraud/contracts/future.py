"""The guard against records from the future: one rule, which every path uses.

A record may be dated at most a bound ahead of its arrival (:data:`MOST_AHEAD_S`, or the setting
``most_ahead_s``). One from further ahead would move the newest time of its user and its merchant for
everybody: their windows would be empty, and duplicates no longer recognised. Arrival is

- in the stream: the broker's append time, as it is recorded in ``received_at``;
- in the scoring service: its clock when the request comes;
- in a table: the row's ``received_at``, else its ``arrival_time``, else the moment of reading; never later
  than that moment.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from fraud.contracts.label import Label
from fraud.contracts.profile import Profile
from fraud.contracts.result import Result
from fraud.contracts.transaction import Transaction
from fraud.errors import BadRecord

MOST_AHEAD_S: Final = 300.0
"""Default bound, seconds."""
MostAhead = Annotated[float, Field(ge=0.0, le=3_200_000_000.0)]
"""Type of the setting, seconds."""
ARRIVALS: Final = ("received_at", "arrival_time")
"""Columns of a table that say when a row arrived; the first that is there counts."""
TIMES: Final = ("event_time", "label_time")
"""Fields that must not lie in the future. A record is refused with the reason ``future_<field>``."""
RESULT_TIMES: Final = ("event_time", "result_time")
"""Those of a result."""
PROFILE_TIMES: Final = ("profile_time",)
"""That of a profile."""

_TIME: Final = pa.timestamp("us", tz="UTC")


def times_of(what: str) -> tuple[str, ...]:
    """Name the times of a table of ``transactions``, ``labels`` ... that the guard looks at."""
    return {"results": RESULT_TIMES, "profiles": PROFILE_TIMES}.get(what, TIMES)


def is_ahead(time: Any, arrival: Any, most_ahead: Any) -> Any:
    """Whether a time lies too far ahead: times and a timedelta, or numbers or arrays of one unit.

    Examples
    --------
    >>> is_ahead(1300, 1000, 300), is_ahead(1301, 1000, 300)
    (False, True)
    """
    return time > arrival + most_ahead


def latest_of(record: Transaction | Label | Result | Profile) -> datetime:
    """Tell the latest time that a record carries."""
    if isinstance(record, Profile):
        return record.profile_time
    if isinstance(record, Result):
        return max(record.event_time or record.result_time, record.result_time)
    if isinstance(record, Label):
        return max(record.event_time or record.label_time, record.label_time)
    return record.event_time


def check_future(record: BaseModel, arrival: datetime, most_ahead_s: float = MOST_AHEAD_S) -> None:
    """Refuse a record, or a request, whose ``TIMES`` lie too far ahead of its arrival.

    Raises
    ------
    BadRecord
        With reason ``future_event_time``, ``future_label_time``, ``future_result_time`` or
        ``future_profile_time``; the record belongs in the dead letters.
    """
    for name in _own_times(record):
        time = getattr(record, name, None)
        if time is not None and is_ahead(time, arrival, timedelta(seconds=most_ahead_s)):
            raise BadRecord(f"future_{name}", future_words(name, time, arrival, most_ahead_s))


def _own_times(record: BaseModel) -> tuple[str, ...]:
    if hasattr(record, "profile_time") and hasattr(record, "profile"):
        return PROFILE_TIMES
    return RESULT_TIMES if hasattr(record, "result_time") and hasattr(record, "result") else TIMES


def future_words(name: str, time: datetime, arrival: datetime, most_ahead_s: float) -> str:
    """Say of a time that it lies too far ahead, without the record's own values."""
    ahead = time.astimezone(UTC) - arrival.astimezone(UTC)
    return (
        f"{name}: lies {ahead} ahead of the record's arrival at "
        f"{arrival.astimezone(UTC).isoformat(timespec='seconds')}; at most {most_ahead_s:g} s are accepted"
    )


def ahead_rows(
    table: pa.Table, most_ahead_s: float, now: datetime, times: Sequence[str] = TIMES
) -> NDArray[np.bool_]:
    """Find the rows of a table that the guard refuses, [rows]; a missing time is not refused."""
    read_us = _micros(pa.array([now], _TIME))[0]
    arrival_us = np.full(table.num_rows, read_us)
    for name in ARRIVALS:
        if name in table.column_names:
            given = pc.fill_null(table[name].cast(_TIME, safe=False), pa.scalar(now, _TIME))
            arrival_us = np.minimum(_micros(given), read_us)  # nothing has arrived later than now
            break
    found = np.zeros(table.num_rows, np.bool_)
    for name in times:
        if name in table.column_names:
            known = pc.fill_null(table[name].cast(_TIME, safe=False), pa.scalar(0, _TIME))
            found |= is_ahead(_micros(known), arrival_us, round(most_ahead_s * 1e6))
    return found


def without_future(
    table: pa.Table,
    most_ahead_s: float = MOST_AHEAD_S,
    now: datetime | None = None,
    times: Sequence[str] = TIMES,
) -> tuple[pa.Table, int]:
    """Leave out the rows that the guard refuses; returns the others, and how many were left out.

    Parameters
    ----------
    table
        Columns of ``TIMES`` and of ``ARRIVALS``, where there are any.
    most_ahead_s
        Bound, seconds.
    now
        The arrival of rows that do not tell theirs, and the latest one of all; by default this moment.
    times
        Columns that must not lie in the future.
    """
    found = ahead_rows(table, most_ahead_s, now or datetime.now(UTC), times)
    left_out = int(found.sum())
    return (table.filter(pa.array(~found)), left_out) if left_out else (table, 0)


def _micros(column: Any) -> NDArray[np.int64]:
    return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)
