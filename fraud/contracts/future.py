"""The guard against records from the future: one rule, which every path uses.

A record may be dated at most a bound ahead of its arrival: the schema's bound of its source, else the setting
``most_ahead_s``. One from further ahead would move the newest time of its user and its merchant for
everybody: their windows would be empty, and duplicates no longer recognised. Arrival is

- in the stream: the broker's append time, as it is recorded in ``received_at``;
- in the scoring service: its clock when the request comes;
- in a table: the row's ``received_at``, else its ``arrival_time``, else the moment of reading; never later
  than that moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
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
from fraud.schema.future import LONGEST_AHEAD_S, SourceBounds
from fraud.schema.schema import Schema

MOST_AHEAD_S: Final = 300.0
"""Default bound, seconds."""
MostAhead = Annotated[float, Field(ge=0.0, le=LONGEST_AHEAD_S)]
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
_NOTICES: Final = frozenset({"label_time", "result_time"})
"""A record with one of them speaks of a transaction."""


@dataclass(frozen=True, slots=True)
class AheadBounds:
    """How far ahead of its arrival a record may be dated.

    A source has a bound for its transactions' ``event_time``. A label or result repeats the time of its
    transaction and does not tell its source: the greatest bound holds. Any other time has the setting's.

    Parameters
    ----------
    others_s
        Bound of what the schema does not bound by its source, seconds.
    sources
        The schema's bounds.
    """

    others_s: float = MOST_AHEAD_S
    sources: SourceBounds | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The field that names the source, if any."""
        return (self.sources.by,) if self.sources else ()

    @property
    def _all_s(self) -> list[float]:
        return [self.others_s, *(self.sources.of.values() if self.sources else ())]

    @property
    def least_s(self) -> float:
        """The smallest of all, seconds."""
        return min(self._all_s)

    @property
    def greatest_s(self) -> float:
        """The greatest of all, seconds."""
        return max(self._all_s)

    @property
    def greatest_us(self) -> int:
        """The same, microseconds."""
        return whole_us(self.greatest_s)

    def of_record(self, record: Any, name: str) -> float:
        """Find the bound of one time of a record, seconds."""
        if self.sources is None or name != "event_time":
            return self.others_s
        if any(hasattr(record, one) for one in _NOTICES):
            return self.greatest_s
        return self.of_source(getattr(record, self.sources.by, None))

    def of_source(self, source: str | None = None) -> float:
        """Find the bound of the transactions of a source, seconds."""
        return self.others_s if self.sources is None else self.sources.of.get(source or "", self.others_s)

    def words_of(self, most_s: float) -> str:
        """Say a bound; if it is not the setting's, that the schema has it.

        Examples
        --------
        >>> AheadBounds(300.0, SourceBounds("channel", (("pos", 30.0),))).words_of(30.0)
        '30 s are accepted (part `future` of the schema, by channel)'
        """
        told = self.sources is not None and most_s != self.others_s
        by = f" (part `future` of the schema, by {self.columns[0]})" if told else ""
        return f"{most_s:g} s are accepted{by}"

    def of_table(self, table: pa.Table, name: str) -> NDArray[np.int64]:
        """Find the bound of one time of each row of a table, [rows], microseconds."""
        bounds = np.full(table.num_rows, whole_us(self.others_s))
        if self.sources is None or name != "event_time":
            return bounds
        if _NOTICES & set(table.column_names):
            return np.full(table.num_rows, whole_us(self.greatest_s))
        if self.sources.by in table.column_names:
            told = table[self.sources.by].cast(pa.string())
            at = pc.fill_null(pc.index_in(told, pa.array(list(self.sources.of), pa.string())), -1)
            own = np.array([*map(whole_us, self.sources.of.values()), whole_us(self.others_s)])
            bounds = own[np.asarray(at.to_numpy())]
        return bounds

    @property
    def words(self) -> str:
        """Say the bounds for people."""
        own = f", or the bound of their {self.sources.by} in the schema," if self.sources else ""
        return f"{self.others_s:g} s{own}"


def bounds_of(schema: Schema, most_ahead_s: float = MOST_AHEAD_S) -> AheadBounds:
    """Join a schema's bounds by source with the setting, which holds for all others.

    Examples
    --------
    >>> from fraud.schema.reading import default_schema
    >>> bounds_of(default_schema(), 60.0).greatest_s
    60.0
    """
    return AheadBounds(most_ahead_s, schema.future)


def whole_us(seconds: float) -> int:
    """Turn seconds into whole microseconds."""
    return round(seconds * 1e6)


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
    if isinstance(record, Transaction):
        return record.event_time
    if isinstance(record, Profile):
        return record.profile_time
    if isinstance(record, Result):
        return max(record.event_time or record.result_time, record.result_time)
    return max(record.event_time or record.label_time, record.label_time)


def check_future(record: BaseModel, arrival: datetime, bounds: AheadBounds) -> None:
    """Refuse a record, or a request, whose ``TIMES`` lie too far ahead of its arrival.

    Raises
    ------
    BadRecord
        With reason ``future_event_time``, ``future_label_time``, ``future_result_time`` or
        ``future_profile_time``; the record belongs in the dead letters.
    """
    for name in _times_of(type(record)):
        time = getattr(record, name)
        if time is None:
            continue
        most_s = bounds.of_record(record, name)
        if is_ahead(time, arrival, timedelta(seconds=most_s)):
            raise BadRecord(f"future_{name}", future_words(name, time, arrival, bounds.words_of(most_s)))


@lru_cache(maxsize=256)
def _times_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Name the times that a model's records carry."""
    names = model.model_fields.keys()
    if {"profile_time", "profile"} <= names:
        return PROFILE_TIMES
    times = RESULT_TIMES if {"result_time", "result"} <= names else TIMES
    return tuple(name for name in times if name in names)


def future_words(name: str, time: datetime, arrival: datetime, most: str) -> str:
    """Say of a time that it lies too far ahead, without the record's own values."""
    ahead = time.astimezone(UTC) - arrival.astimezone(UTC)
    return (
        f"{name}: lies {ahead} ahead of the record's arrival at "
        f"{arrival.astimezone(UTC).isoformat(timespec='seconds')}; at most {most}"
    )


def ahead_rows(
    table: pa.Table, bounds: AheadBounds, now: datetime, times: Sequence[str] = TIMES
) -> NDArray[np.bool_]:
    """Find the rows of a table that the guard refuses, [rows]; a missing time is not refused.

    A table with a column ``label_time`` or ``result_time`` is one of labels or results.
    """
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
            found |= is_ahead(_micros(known), arrival_us, bounds.of_table(table, name))
    return found


def without_future(
    table: pa.Table,
    bounds: AheadBounds,
    now: datetime | None = None,
    times: Sequence[str] = TIMES,
) -> tuple[pa.Table, int]:
    """Leave out the rows that the guard refuses; returns the others, and how many were left out.

    Parameters
    ----------
    table
        Columns of ``TIMES`` and of ``ARRIVALS``, where there are any, and the one that names the source.
    bounds
        How far ahead each row may be dated.
    now
        The arrival of rows that do not tell theirs, and the latest one of all; by default this moment.
    times
        Columns that must not lie in the future.
    """
    found = ahead_rows(table, bounds, now or datetime.now(UTC), times)
    left_out = int(found.sum())
    return (table.filter(pa.array(~found)), left_out) if left_out else (table, 0)


def _micros(column: Any) -> NDArray[np.int64]:
    return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)
