"""Windows by name, and the tiles that answer for them beyond the events that are kept one by one."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from fraud.errors import BadConfig

MINUTE_US: Final = 60_000_000
UNITS_US: Final = {"m": MINUTE_US, "h": 60 * MINUTE_US, "d": 24 * 60 * MINUTE_US}
LEAST_US: Final = MINUTE_US
MOST_US: Final = 90 * UNITS_US["d"]
MOST_WINDOWS: Final = 12
"""Of an entity."""
LATENESS_US: Final = 48 * UNITS_US["h"]
"""An event may be this much older than the newest of its entity and still see whole windows."""
WIDTHS_US: Final = (MINUTE_US // 12, MINUTE_US, 5 * MINUTE_US, 60 * MINUTE_US, 24 * 60 * MINUTE_US)
"""Widths that tiles can have."""
FINENESS: Final = 12
"""A window is at least so many tiles long: its far end moves back by a twelfth of its length at most."""
MOST_TILES: Final = 720
"""Tiles of one width behind the newest event, at most: where tiles are narrow, what they hold is forgotten
before the lateness has passed (12 h of tiles of a minute, 1 h of tiles of 5 s)."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """The windows of an entity and their tiles."""

    lengths_us: tuple[int, ...]
    """By window, growing."""
    levels: tuple[int, ...]
    """By window: which of the widths its tiles have."""
    widths_us: tuple[int, ...]
    """By level, growing."""
    reaches_us: tuple[int, ...]
    """By level: how far behind the newest event its tiles are kept."""

    @property
    def most_tiles(self) -> tuple[int, ...]:
        """By level: how many there can be."""
        return tuple(reach // width + 3 for reach, width in zip(self.reaches_us, self.widths_us, strict=True))

    @property
    def retention_us(self) -> int:
        """An event this much older than its entity's newest one is forgotten."""
        return self.lengths_us[-1] + LATENESS_US


def window_us(name: str) -> int:
    """Read a window's name as its length in microseconds.

    Raises
    ------
    BadConfig
        When it is no number of minutes, hours or days from a minute to 90 days.

    Examples
    --------
    >>> window_us("30m") // 1_000_000, window_us("7d") // 1_000_000
    (1800, 604800)
    """
    found = re.fullmatch(r"([1-9]\d{0,5})([mhd])", name)
    length = int(found[1]) * UNITS_US[found[2]] if found else 0
    if not LEAST_US <= length <= MOST_US:
        raise BadConfig(f"window {name!r}: write minutes, hours or days from 1m to 90d, e.g. 30m, 24h, 7d")
    return length


def width_us(length_us: int) -> int:
    """Width of the tiles that answer for a window: the greatest that is a twelfth of it at most.

    Examples
    --------
    >>> [width_us(window_us(name)) // MINUTE_US for name in ("1h", "24h", "7d", "30d")]
    [5, 60, 60, 1440]
    """
    return max(width for width in WIDTHS_US if FINENESS * width <= length_us)


@cache
def tile(windows: tuple[str, ...]) -> Tiling:
    """Choose the tiles of an entity's windows.

    Raises
    ------
    BadConfig
        When there are no windows or more than 12, or they do not grow.
    """
    lengths = tuple(window_us(name) for name in windows)
    if not 1 <= len(windows) <= MOST_WINDOWS:
        raise BadConfig(f"an entity has 1 to {MOST_WINDOWS} windows, not {len(windows)}")
    if list(lengths) != sorted(set(lengths)):
        raise BadConfig(f"the windows {', '.join(windows)} must grow; sort them, and name each length once")
    widths = tuple(sorted({width_us(length) for length in lengths}))
    levels = tuple(widths.index(width_us(length)) for length in lengths)
    longest = dict(zip(levels, lengths, strict=True))  # the last of a level is its longest
    reaches = (min(LATENESS_US + longest[i], MOST_TILES * width) for i, width in enumerate(widths))
    return Tiling(lengths, levels, widths, tuple(reaches))
