"""Local time: how far the clocks of a transaction's place were from UTC, daylight saving included.

A zone is a name of the IANA database (``Europe/Berlin``), or an offset (``+02:00``, ``Z``). A transaction
without one has UTC. The offset is worked out once, when the record becomes an event.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from fraud.errors import BadInput

_OFFSET: Final = re.compile(r"([+-])(\d{2}):([0-5]\d)", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
MOST_OFFSET: Final = timedelta(hours=18)
WORDS: Final = "must be a zone such as Europe/Berlin, or an offset such as +02:00"
_MINUTE_US: Final = 60_000_000
"""Clocks change at whole minutes."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def check_zone(zone: str) -> str:
    """Refuse a zone that is not known.

    Raises
    ------
    ValueError
        Saying what may stand there.

    Examples
    --------
    >>> check_zone("Asia/Kathmandu"), check_zone("+05:45")
    ('Asia/Kathmandu', '+05:45')
    """
    if not is_zone(zone):
        raise ValueError(WORDS)
    return zone


def is_zone(zone: str) -> bool:
    """Whether a zone is known."""
    return fixed_offset_us(zone) is not None or _is_named(zone)


Zone = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(check_zone)]


def _check_listed(zone: str) -> str:
    """Refuse also a file of the database that is none of its zones, e.g. ``posix/Europe/Berlin``."""
    if fixed_offset_us(zone) is None and zone not in _listed():
        raise ValueError(WORDS)
    return zone


ListedZone = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_check_listed)]
"""Of a profile: an offset, or one of the database's own list (``fraud.features.clocks``)."""


@cache
def _listed() -> frozenset[str]:
    return frozenset(available_timezones())


def offset_us(zone: str | None, time: datetime) -> int:
    """Tell how far the clocks of a zone were ahead of UTC at a time, microseconds.

    Examples
    --------
    >>> summer, winter = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    >>> [offset_us("Europe/Berlin", time) // 3_600_000_000 for time in (summer, winter)]
    [2, 1]
    >>> offset_us(None, summer), offset_us("-03:30", summer)
    (0, -12600000000)
    """
    if zone is None:
        return 0
    fixed = fixed_offset_us(zone)
    if fixed is not None:
        return fixed
    return _at(zone, (time - _EPOCH) // timedelta(minutes=1))


def offsets_us(
    table: pa.Table, name: str, default: str = "", *, is_told: bool = False
) -> NDArray[np.float64]:
    """Do the same for a table's rows.

    Parameters
    ----------
    table
        With ``event_time``.
    name
        Column of the zones; it may be absent.
    default
        Zone of the rows that name none; empty: UTC.
    is_told
        Whether a profile may tell the zone of those; their offset is NaN then.

    Raises
    ------
    BadInput
        When a zone is not known.
    """
    found = np.full(table.num_rows, np.nan if is_told else 0.0)
    if name not in table.column_names and (is_told or not default):
        return found
    moments = table["event_time"].cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64())
    at = np.asarray(moments.to_numpy(), np.int64) // _MINUTE_US
    zones = _zones_of(table, name, "" if is_told else default)
    for zone in sorted({one for one in zones.tolist() if one is not None}):
        mine = np.flatnonzero(zones == zone)
        fixed = fixed_offset_us(zone)
        if not is_zone(zone):
            raise BadInput(f"column {name}: {zone!r} {WORDS}")
        if fixed is not None:
            found[mine] = fixed
            continue
        distinct, where = np.unique(at[mine], return_inverse=True)
        found[mine] = np.array([_at(zone, minute) for minute in distinct.tolist()], np.float64)[where]
    return found


def _zones_of(table: pa.Table, name: str, default: str) -> NDArray[np.object_]:
    """Name the zone of each row; None is UTC."""
    if name not in table.column_names:
        return np.full(table.num_rows, default or None, object)
    column = table[name].cast(pa.string())
    column = pc.fill_null(column, default) if default else column
    return np.asarray(column.to_numpy(zero_copy_only=False), object)


@lru_cache(maxsize=4096)
def fixed_offset_us(zone: str) -> int | None:
    """Read a zone that is an offset, microseconds; None: it is none."""
    if zone in {"Z", "UTC"}:
        return 0
    found = _OFFSET.fullmatch(zone)
    if found is None:
        return None
    ahead = timedelta(hours=int(found[2]), minutes=int(found[3]))
    if ahead > MOST_OFFSET:
        return None
    us = int(ahead / timedelta(microseconds=1))
    return -us if found[1] == "-" else us


@lru_cache(maxsize=100_000)
def _at(zone: str, minute: int) -> int:
    """Ask the database for the offset in a minute since 1970."""
    offset = (_EPOCH + minute * timedelta(minutes=1)).astimezone(ZoneInfo(zone)).utcoffset()
    return int((offset or timedelta()) / timedelta(microseconds=1))


@lru_cache(maxsize=4096)
def _is_named(zone: str) -> bool:
    """Whether the database has a zone of this name."""
    if not _NAME.fullmatch(zone):
        return False
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False
    return True
