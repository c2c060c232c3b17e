"""Local time by the zone of the primary's profile, for transactions that name no zone themselves.

The number of a zone is the hash of its name, or, of an offset, negative: see ``fraud.features.clocks``.
"""

import math
from typing import Final

from fraud.features.kernel.layout import E_TIME, K_VALUE, Floats
from fraud.features.kernel.native import inlined, inner
from fraud.features.kernel.profiles import is_idle
from fraud.features.kernel.records import Cursor, Memory, Program

FIXED: Final = 2_000.0
FIXED_UNIT_US: Final = 60_000_000
"""The number of an offset is -(2000 + its minutes): never 0, and no hash."""


@inlined
def show_clock(program: Program, memory: Memory, cursor: Cursor, event: Floats) -> None:
    """Fill in how far the clocks were from UTC where the transaction names no zone."""
    if program.zone < 0 or not math.isnan(event[program.offset]):
        return
    told, t = math.nan, event[E_TIME]
    if memory.known_counts[program.profile] > 0 and not is_idle(program, memory, cursor, t):
        told = memory.known[program.profile, K_VALUE, program.zone]
    offset = _offset_at(program, told, t)
    if math.isnan(offset):
        offset = _offset_at(program, program.clock, t)
    event[program.offset] = 0.0 if math.isnan(offset) else offset


@inlined
def _offset_at(program: Program, zone: float, t: float) -> float:
    """Tell how far a zone's clocks are ahead of UTC, microseconds; NaN: no zone, or not a known one."""
    if math.isnan(zone):
        return math.nan
    if zone < 0.0:
        return (-zone - FIXED) * FIXED_UNIT_US
    zones = program.zones
    names = 1 + int(zones[0])
    times = names + 2 * int(zones[0])
    at = _last_not_above(zones, 1, names, zone)
    if at < 1 or zones[at] != zone:
        return math.nan
    span = names + 2 * (at - 1)
    change = _last_not_above(zones, times + int(zones[span]), times + int(zones[span + 1]), t)
    found: float = zones[change + (zones.shape[0] - times) // 2]
    return found


@inner
def _last_not_above(values: Floats, first: int, end: int, value: float) -> int:
    """Position of the last of some growing values that is not above one; the one before ``first``: none."""
    while first < end:
        middle = (first + end) // 2
        if values[middle] <= value:
            first = middle + 1
        else:
            end = middle
    return first - 1
