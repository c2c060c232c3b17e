"""Time zones as the kernel reads them, where a profile tells the zone: one number by zone, and a table.

The kernel cannot ask the time zone database. The table holds, for each of its zones, how far the clocks were
from UTC from which moment on, for the years of event times. It is made once a process, from the files that
Python's ``zoneinfo`` reads; beyond a file's last change, by ``zoneinfo`` itself.
"""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import TZPATH, ZoneInfo, available_timezones

import numpy as np

from fraud.contracts.zones import fixed_offset_us
from fraud.features.hashing import hash_text
from fraud.features.kernel.clocks import FIXED, FIXED_UNIT_US
from fraud.features.kernel.layout import Floats, Ints

_FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2100, 1, 2, tzinfo=UTC)
"""Event times lie between them."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_US: Final = 1_000_000
_HEADER: Final = struct.Struct(">4sc15x6I")
_MONTH: Final = timedelta(days=28)
"""Clocks that a rule puts forward and back stay longer than that."""


class Clocks(NamedTuple):
    """The zones of the database, by growing number."""

    names: Floats
    """[zones], their numbers."""
    spans: Ints
    """[zones, 2]: where the changes of each begin and end."""
    times: Floats
    """[changes], microseconds since 1970; the first of each zone is minus infinity."""
    offsets: Floats
    """[changes]: how far ahead of UTC the clocks are from then on, microseconds."""

    @property
    def flat(self) -> Floats:
        """All as one array: the number of zones, names, spans, times, offsets."""
        return np.concatenate(
            [[len(self.names)], self.names, self.spans.ravel(), self.times, self.offsets]
        ).astype(np.float64)


NO_CLOCKS: Final = Clocks(np.zeros(0), np.zeros((0, 2), np.int64), np.zeros(0), np.zeros(0))


def zone_number(zone: str) -> float:
    """Write a zone as one number: an offset itself, negative, or the hash of a name.

    Examples
    --------
    >>> zone_number("+02:00") - zone_number("Z"), zone_number("Europe/Berlin") > 0.0
    (-120.0, True)
    """
    fixed = fixed_offset_us(zone)
    return hash_text(zone) if fixed is None else -(FIXED + fixed / FIXED_UNIT_US)


@cache
def clocks() -> Clocks:
    """Read the database."""
    spans: dict[bytes, tuple[int, int]] = {}
    times: list[float] = []
    offsets: list[float] = []
    numbered = {zone_number(name): name for name in sorted(available_timezones())}
    rows = []
    for number, name in sorted(one for one in numbered.items() if one[0] > 0.0):
        raw = _file_of(name)
        if raw not in spans:
            begin = len(times)
            for time, offset in _changes(name, raw):
                times.append(time)
                offsets.append(offset)
            spans[raw] = begin, len(times)
        rows.append((number, *spans[raw]))
    return Clocks(
        np.array([number for number, _, _ in rows], np.float64),
        np.array([(begin, end) for _, begin, end in rows], np.int64),
        np.array(times, np.float64),
        np.array(offsets, np.float64),
    )


def _file_of(name: str) -> bytes:
    """Read the file of a zone where ``zoneinfo`` finds it."""
    for folder in TZPATH:
        path = Path(folder, name)
        if path.is_file():
            return path.read_bytes()
    package, _, last = f"tzdata.zoneinfo.{name.replace('/', '.')}".rpartition(".")
    return resources.files(package).joinpath(last).read_bytes()


def _changes(name: str, raw: bytes) -> Iterator[tuple[float, float]]:
    """Tell from when on the clocks of a zone were how far from UTC, microseconds."""
    zone, moments = ZoneInfo(name), _moments(raw)
    before = _offset(zone, _FIRST)
    yield -np.inf, before * _US
    seconds = [moment for moment in moments if _seconds(_FIRST) < moment < _seconds(_LAST)]
    by_rule = _by_rule(zone, max(_seconds(_FIRST), moments[-1] if moments else 0)) if _has_rule(raw) else ()
    for moment in (*seconds, *by_rule):
        offset = _offset(zone, _EPOCH + moment * _SECOND)
        if offset != before:
            yield float(moment) * _US, offset * _US
        before = offset


def _moments(raw: bytes) -> list[int]:
    """Read the moments of a file's changes (RFC 8536), seconds since 1970."""
    _, _, _, _, leaps, moments, kinds, letters = _HEADER.unpack_from(raw)
    _, _, is_utc, is_standard, *_ = _HEADER.unpack_from(raw)
    first = _HEADER.size + 5 * moments + 6 * kinds + letters + 8 * leaps + is_standard + is_utc
    count = _HEADER.unpack_from(raw, first)[5]
    return list(struct.unpack_from(f">{count}q", raw, first + _HEADER.size))


def _has_rule(raw: bytes) -> bool:
    """Whether the clocks go forward and back by a rule after the last change."""
    return b"," in raw.rstrip(b"\n").rpartition(b"\n")[2]


def _by_rule(zone: ZoneInfo, after: int) -> Iterator[int]:
    """Find the changes after a moment, to the second."""
    low = _EPOCH + after * _SECOND
    while low < _LAST:
        high = low + _MONTH
        if _offset(zone, low) != _offset(zone, high):
            yield _seconds(_first_of(zone, low, high))
        low = high


def _first_of(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """Find when the clocks changed between two moments."""
    before = _offset(zone, low)
    while high - low > _SECOND:
        middle = low + ((high - low) // 2 // _SECOND) * _SECOND
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high


def _offset(zone: ZoneInfo, moment: datetime) -> int:
    """Tell how far the clocks are ahead of UTC, seconds."""
    return int((moment.astimezone(zone).utcoffset() or timedelta()) / _SECOND)


def _seconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _SECOND
