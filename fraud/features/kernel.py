"""The fold: one numba kernel that takes an entity's state over its events and writes their vectors.

It runs a plan (small arrays made from the feature table by ``fraud.features.plan``) over flat
float64 states. Amounts are whole hundredths, places whole microdegrees and times whole microseconds,
so that sums are exact and do not depend on their order: windows are kept up by adding what enters
and subtracting what leaves, reductions may run in vector registers of any width, and every caller on
every machine gets the same bits.

State: a header of ``HEADER`` numbers, then the kept events column by column (sorted by event time,
equal times by arrival), then three levels of tiles, then the remembered values.

All kernels stand in this one file, because numba's cache on disk notices changes of this file alone.
"""

import math
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LAYOUT: Final = 2
"""Raise it with any change to what a state holds that the plan does not show."""

# --- columns of an event -----------------------------------------------------------------------
E_KIND: Final = 0
E_TIME: Final = 1
E_CENTS: Final = 2  # a label's verdict, or its change of verdict in the merchant pass
E_ID: Final = 3
E_LAT: Final = 4
E_LON: Final = 5
E_HOME_LAT: Final = 6
E_HOME_LON: Final = 7
E_USER: Final = 8
E_MERCHANT: Final = 9
E_CATEGORY: Final = 10
E_COUNTRY: Final = 11
E_DEVICE: Final = 12
E_CHANNEL: Final = 13
EVENT_COLUMNS: Final = 14
KIND_TRANSACTION: Final = 0.0
KIND_LABEL: Final = 1.0

# --- header of a state -------------------------------------------------------------------------
H_LAYOUT: Final = 0
H_NEWEST: Final = 1  # greatest event time seen, microseconds
H_SEQUENCE: Final = 2  # transactions folded
H_EVENTS: Final = 3
H_TILES: Final = 4  # three counts
H_KNOWN: Final = 7  # up to four counts
HEADER: Final = 12

# --- columns of a kept event -------------------------------------------------------------------
C_TIME: Final = 0
C_CENTS: Final = 1
C_ID: Final = 2
C_FRAUD: Final = 3
C_LAT: Final = 4
C_LON: Final = 5

# --- columns of a tile and of a remembered value -----------------------------------------------
T_NUMBER: Final = 0
T_COUNT: Final = 1
T_SUM: Final = 2
T_HIGH: Final = 3  # squares, see S_HIGH
T_LOW: Final = 4
T_MAX: Final = 5
T_FRAUD: Final = 6
TILE_COLUMNS: Final = 7
K_VALUE: Final = 0
K_SINCE: Final = 1
K_SEQUENCE: Final = 2
KNOWN_COLUMNS: Final = 3
LEVELS: Final = 3
MOST_KNOWN: Final = 4
MOST_DISTINCT: Final = 3

# --- entries of a plan -------------------------------------------------------------------------
P_EVENTS: Final = 0
P_PLACES: Final = 1  # 1: kept events carry places
P_DEDUPLICATE: Final = 2
P_LAYOUT: Final = 3
P_RETENTION: Final = 4
P_IDLE: Final = 5
P_MERCHANT: Final = 6  # which distinct column holds the merchant, for SAME_MERCHANT
P_LAST_PLACE: Final = 7  # 1: some feature needs the last place
P_HOME: Final = 8  # 1: some feature needs the distance from home
P_TILES: Final = 9  # most tiles of a level
P_VALUES: Final = 10  # most remembered values of a column

# --- what became of an event -------------------------------------------------------------------
NEW: Final = 0.0
DUPLICATE: Final = 2.0  # a label's outcome is its change of verdict: -1, 0 or 1

# --- sums over the windows: one row a sum, one column a window -----------------------------------
WINDOWS: Final = 4
S_COUNT: Final = 0
S_SUM: Final = 1
S_HIGH: Final = 2  # sum of squares = S_HIGH * 2**30 + S_LOW, both whole and below 2**53
S_LOW: Final = 3
S_MAX: Final = 4
S_FRAUD: Final = 5
S_DISTINCT: Final = 6  # and the following
S_ROWS: Final = S_DISTINCT + MOST_DISTINCT

# --- slots: where each statistic leaves its values, one row of four ------------------------------
R_PRESENT: Final = 0  # amount, hour of day, day of week, distance from home
R_LAST: Final = 1  # seconds since, distance from, speed from the last; seconds since the last known fraud
R_FIRST: Final = 2  # by remembered column
R_VELOCITY: Final = 3  # by pair of windows
R_BUCKET: Final = 4  # by event column, from the category on
R_COUNT: Final = 5  # from here on by window
R_SUM: Final = 6
R_MEAN: Final = 7
R_STD: Final = 8
R_MAX: Final = 9
R_ZSCORE: Final = 10
R_FRAUD_SHARE: Final = 11
R_DISTINCT: Final = 12  # and the following
R_HOURS: Final = R_DISTINCT + MOST_DISTINCT
R_SAME_MERCHANT: Final = R_HOURS + 1
R_SAME_AMOUNT: Final = R_HOURS + 2
R_USUAL: Final = R_HOURS + 3
R_FRAUD_RUN: Final = R_HOURS + 4
R_FIRST_FRAUD: Final = R_HOURS + 5
R_RIPE: Final = R_HOURS + 6  # by window of ripe transactions
R_ROWS: Final = R_HOURS + 7

DAY_US: Final = 86_400_000_000.0
HOUR_US: Final = 3_600_000_000.0
TURN: Final = 360e6
EARTH_KM: Final = 6371.0088
BUCKETS: Final = 64.0
LOW_BITS: Final = 30
LOW_MASK: Final = 2**LOW_BITS - 1
BLOCK: Final = 16
LINE: Final = 8  # numbers of a cache line
AHEAD: Final = 8  # events

_WHOLE: Final = {"reassoc", "nsz", "nnan"}
"""For sums and maxima of whole numbers below 2**53 that are never NaN: each partial sum is exact, so
their order, and with it the width of the machine's vectors, cannot show."""


@intrinsic
def _prefetch(_context: Any, values: Any, _index: Any) -> Any:
    """Ask for the cache line of ``values.flat[index]``, which will be needed soon.

    Events and vectors stand in the order of arrival, the fold goes entity by entity: without this,
    nearly every event waits for memory.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        line = builder.bitcast(builder.gep(data, [args[1]]), cgutils.voidptr_t)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [line, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(values, types.intp), generate


@intrinsic
def _borrow(_context: Any, values: Any) -> Any:
    """Make a view that does not count references to its memory, which the caller must keep.

    Counting is an atomic operation for each view of a column: a quarter of the fold's time.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        owner = context.make_array(kind)(context, builder, args[0])
        view = context.make_array(kind)(context, builder)
        populate_array(
            view,
            data=owner.data,
            shape=owner.shape,
            strides=owner.strides,
            itemsize=owner.itemsize,
            meminfo=None,
        )
        return view._getvalue()  # noqa: SLF001  (the way to hand a struct back that numba documents)

    return values(values), generate


@njit(cache=True, error_model="numpy")
def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance (haversine) of two places in microdegrees, in km."""
    if lat1 == lat2 and lon1 == lon2:
        return 0.0
    rad = math.pi / 180e6
    a = math.sin((lat2 - lat1) * rad / 2) ** 2
    b = math.cos(lat1 * rad) * math.cos(lat2 * rad) * math.sin((lon2 - lon1) * rad / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, a + b)))


@njit(cache=True, error_model="numpy")
def _spread(count: float, total: float, high: float, low: float) -> float:
    """``count * sum of squares - total ** 2``, exactly where it lies below 2**62.

    Whole numbers that wrap around at 2**64 give the exact difference of two products that are far
    greater; the floating-point difference only says whether it fits.
    """
    near = count * (high * 2.0**LOW_BITS + low) - total * total
    squares = (np.int64(high) << LOW_BITS) + np.int64(low)
    exact = np.int64(count) * squares - np.int64(total) * np.int64(total)
    return float(exact) if abs(near) < 2.0**62 else near


@njit(cache=True, error_model="numpy")
def _last_position(values: Floats, value: float) -> int:
    """Last position of a value, or -1; by blocks, which run in vector registers."""
    n = values.shape[0]
    while n >= BLOCK:
        block = values[n - BLOCK : n]
        hits = np.int64(0)
        for i in range(BLOCK):
            hits |= np.int64(block[i] == value)
        if hits:
            break
        n -= BLOCK
    for i in range(n - 1, max(n - BLOCK, 0) - 1, -1):
        if values[i] == value:
            return i
    return -1


@njit(cache=True, error_model="numpy")
def _first_position(values: Floats, value: float) -> int:
    """First position of a value, or the number of values."""
    n = int(values.shape[0])
    for i in range(n):
        if values[i] == value:
            return i
    return n


@njit(cache=True, error_model="numpy")
def _first_after(numbers: Floats, bound: float) -> int:
    """Position of the first of the growing numbers that is greater than the bound."""
    low = 0
    high = numbers.shape[0]
    while low < high:
        middle = (low + high) >> 1
        if numbers[middle] > bound:
            high = middle
        else:
            low = middle + 1
    return low


@njit(cache=True, error_model="numpy", fastmath=_WHOLE)
def _sum(values: Floats) -> float:
    total = 0.0
    for i in range(values.shape[0]):
        total += values[i]
    return total


@njit(cache=True, error_model="numpy")
def _sum_squares(cents: Floats) -> tuple[np.int64, np.int64]:
    high = np.int64(0)
    low = np.int64(0)
    for i in range(cents.shape[0]):
        squares = np.int64(cents[i]) * np.int64(cents[i])
        high += squares >> LOW_BITS
        low += squares & LOW_MASK
    return high, low


@njit(cache=True, error_model="numpy", fastmath=_WHOLE)
def _greatest(values: Floats) -> float:
    greatest = 0.0
    for i in range(values.shape[0]):
        greatest = max(greatest, values[i])
    return greatest


@njit(cache=True, error_model="numpy", fastmath=_WHOLE)
def _count_of(values: Floats, value: float) -> float:
    count = 0.0
    for i in range(values.shape[0]):
        count += 1.0 if values[i] == value else 0.0
    return count


@njit(cache=True, error_model="numpy", fastmath=_WHOLE)
def _count_last(values: Floats, nexts: Floats, t: float) -> float:
    """Count the values that are given and do not come again up to this time."""
    count = 0.0
    for i in range(values.shape[0]):
        count += 1.0 if (nexts[i] > t) & (values[i] != 0.0) else 0.0
    return count


@njit(cache=True, error_model="numpy", fastmath=_WHOLE)
def _sum_apart(clocks: Floats, clock: float) -> float:
    """Sum the distances on the clock, in microseconds."""
    total = 0.0
    for i in range(clocks.shape[0]):
        apart = abs(clocks[i] - clock)
        total += min(apart, DAY_US - apart)
    return total


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "nsz"})
def _mean_place(lats: Floats, lons: Floats, lon: float) -> tuple[float, float, float]:
    """Count the known places (others are NaN) and sum latitudes and turns, the short way round, from here."""
    count = 0.0
    lat_sum = 0.0
    turn_sum = 0.0
    for i in range(lats.shape[0]):
        is_known = lats[i] == lats[i]
        turn = lons[i] - lon
        turn -= TURN if turn >= TURN / 2 else 0.0
        turn += TURN if turn < -TURN / 2 else 0.0
        count += 1.0 if is_known else 0.0
        lat_sum += lats[i] if is_known else 0.0
        turn_sum += turn if is_known else 0.0
    return count, lat_sum, turn_sum


# --- tiles -------------------------------------------------------------------------------------


@njit(cache=True, error_model="numpy")
def _add_to_tiles(
    tiles: Floats, counts: Ints, widths: Ints, horizons: Floats, time: float, cents: float, fraud: float
) -> None:
    """Add one event that leaves the kept ones to every level that still covers it."""
    squares = np.int64(cents) * np.int64(cents)
    for level in range(LEVELS):
        number = math.floor(time / widths[level])
        if number < horizons[level]:
            continue
        n = counts[level]
        at = n
        while at > 0 and tiles[level, T_NUMBER, at - 1] > number:
            at -= 1
        if at == 0 or tiles[level, T_NUMBER, at - 1] != number:
            for column in range(TILE_COLUMNS):
                for i in range(n, at, -1):
                    tiles[level, column, i] = tiles[level, column, i - 1]
                tiles[level, column, at] = 0.0
            tiles[level, T_NUMBER, at] = number
            counts[level] = n + 1
            at += 1
        tiles[level, T_COUNT, at - 1] += 1.0
        tiles[level, T_SUM, at - 1] += cents
        tiles[level, T_HIGH, at - 1] += squares >> LOW_BITS
        tiles[level, T_LOW, at - 1] += squares & LOW_MASK
        tiles[level, T_MAX, at - 1] = max(tiles[level, T_MAX, at - 1], cents)
        tiles[level, T_FRAUD, at - 1] += fraud


@njit(cache=True, error_model="numpy")
def _label_tiles(tiles: Floats, counts: Ints, widths: Ints, time: float, change: float) -> None:
    """Change the known fraud of the tiles that hold an event of this time."""
    for level in range(LEVELS):
        at = _last_position(tiles[level, T_NUMBER, : counts[level]], float(math.floor(time / widths[level])))
        if at >= 0:
            tiles[level, T_FRAUD, at] += change


@njit(cache=True, error_model="numpy")
def _drop_tiles(tiles: Floats, counts: Ints, horizons: Floats) -> None:
    """Forget the tiles before the levels' horizons."""
    for level in range(LEVELS):
        n = counts[level]
        gone = 0
        while gone < n and tiles[level, T_NUMBER, gone] < horizons[level]:
            gone += 1
        if gone:
            for column in range(TILE_COLUMNS):
                for i in range(gone, n):
                    tiles[level, column, i - gone] = tiles[level, column, i]
            counts[level] = n - gone


@njit(cache=True, error_model="numpy")
def _add_tile_sums(
    sums: Floats,
    tiles: Floats,
    counts: Ints,
    widths: Ints,
    windows: Floats,
    levels: Ints,
    t: float,
    first_kept: float,
) -> None:
    """Add the tiles to the windows that reach beyond the kept events.

    All events in tiles are not newer than ``first_kept``. For an event at or after it, none lies in
    the future; an older (late) one sees only tiles that ended by its own time.
    """
    for w in range(WINDOWS):
        if first_kept <= t - windows[w]:
            continue
        level = levels[w]
        numbers = tiles[level, T_NUMBER, : counts[level]]
        first = _first_after(numbers, math.floor((t - windows[w]) / widths[level]) - 1.0)
        last = counts[level]
        if t < first_kept:
            last = _first_after(numbers, math.floor(t / widths[level]) - 1.0)
        if first >= last:
            continue
        sums[S_COUNT, w] += _sum(tiles[level, T_COUNT, first:last])
        sums[S_SUM, w] += _sum(tiles[level, T_SUM, first:last])
        sums[S_HIGH, w] += _sum(tiles[level, T_HIGH, first:last])
        sums[S_LOW, w] += _sum(tiles[level, T_LOW, first:last])
        sums[S_MAX, w] = max(sums[S_MAX, w], _greatest(tiles[level, T_MAX, first:last]))
        sums[S_FRAUD, w] += _sum(tiles[level, T_FRAUD, first:last])


@njit(cache=True, error_model="numpy")
def group_rows(keys: Floats) -> tuple[Ints, Ints, Floats]:
    """Group rows by key, stably; groups come in the order of their first row.

    Parameters
    ----------
    keys
        [n] hashes: whole numbers from 1 to 2**53 - 1.

    Returns
    -------
    tuple
        The rows group by group [n], where each group begins [g + 1], and the groups' keys [g].
    """
    n = keys.shape[0]
    size = 64
    table = np.zeros(size)
    numbers = np.empty(size, np.int64)
    found = np.empty(n)
    counts = np.zeros(n + 1, np.int64)
    group_of = np.empty(n, np.int64)
    n_groups = 0
    for row in range(n):
        key = keys[row]
        i = np.int64(key) & (size - 1)
        while table[i] != 0.0 and table[i] != key:
            i = (i + 1) & (size - 1)
        if table[i] == 0.0:
            table[i] = key
            numbers[i] = n_groups
            found[n_groups] = key
            n_groups += 1
            group_of[row] = n_groups - 1
            if 2 * n_groups > size:
                size *= 4
                table = np.zeros(size)
                numbers = np.empty(size, np.int64)
                for number in range(n_groups):
                    j = np.int64(found[number]) & (size - 1)
                    while table[j] != 0.0:
                        j = (j + 1) & (size - 1)
                    table[j] = found[number]
                    numbers[j] = number
        else:
            group_of[row] = numbers[i]
        counts[group_of[row] + 1] += 1
    starts = np.cumsum(counts[: n_groups + 1])
    nexts = starts.copy()
    rows = np.empty(n, np.int64)
    for row in range(n):
        group = group_of[row]
        rows[nexts[group]] = row
        nexts[group] += 1
    return rows, starts, found[:n_groups].copy()


# --- windows over the kept events ----------------------------------------------------------------


@njit(cache=True, error_model="numpy")
def _sum_windows(
    sums: Floats,
    firsts: Ints,
    kept: Floats,
    start: int,
    at: int,
    t: float,
    windows: Floats,
    key: int,
    n_keys: int,
) -> None:
    """Sum the kept events before position ``at`` that lie in each window, anew."""
    end = at
    for w in range(WINDOWS):
        for row in range(S_ROWS):
            sums[row, w] = sums[row, w - 1] if w else 0.0
        first = start + _first_after(kept[C_TIME, start:end], t - windows[w])
        firsts[w] = first
        sums[S_COUNT, w] += end - first
        sums[S_SUM, w] += _sum(kept[C_CENTS, first:end])
        high, low = _sum_squares(kept[C_CENTS, first:end])
        sums[S_HIGH, w] += high
        sums[S_LOW, w] += low
        sums[S_MAX, w] = max(sums[S_MAX, w], _greatest(kept[C_CENTS, first:end]))
        sums[S_FRAUD, w] += _count_of(kept[C_FRAUD, first:end], 2.0)
        for k in range(n_keys):
            sums[S_DISTINCT + k, w] += _count_last(
                kept[key + k, first:end], kept[key + n_keys + k, first:end], t
            )
        end = first


@njit(cache=True, error_model="numpy")
def _leave(sums: Floats, w: int, kept: Floats, i: int, end: int, key: int, n_keys: int) -> None:
    """Take the first kept event of a window out of its sums."""
    cents = kept[C_CENTS, i]
    squares = np.int64(cents) * np.int64(cents)
    sums[S_COUNT, w] -= 1.0
    sums[S_SUM, w] -= cents
    sums[S_HIGH, w] -= squares >> LOW_BITS
    sums[S_LOW, w] -= squares & LOW_MASK
    sums[S_FRAUD, w] -= 1.0 if kept[C_FRAUD, i] == 2.0 else 0.0
    for k in range(n_keys):
        if kept[key + n_keys + k, i] == math.inf and kept[key + k, i] != 0.0:
            sums[S_DISTINCT + k, w] -= 1.0
    if cents == sums[S_MAX, w]:
        sums[S_MAX, w] = _greatest(kept[C_CENTS, i + 1 : end])


@njit(cache=True, error_model="numpy")
def _advance(
    sums: Floats, firsts: Ints, kept: Floats, end: int, t: float, windows: Floats, key: int, n_keys: int
) -> None:
    """Move the windows on to a later time."""
    for w in range(WINDOWS):
        i = firsts[w]
        while i < end and kept[C_TIME, i] <= t - windows[w]:
            _leave(sums, w, kept, i, end, key, n_keys)
            i += 1
        firsts[w] = i


@njit(cache=True, error_model="numpy")
def _enter(
    sums: Floats,
    firsts: Ints,
    kept: Floats,
    at: int,
    before: Ints,
    t: float,
    windows: Floats,
    key: int,
    n_keys: int,
) -> None:
    """Add the event just kept at ``at`` to the windows that end at ``t`` and hold it.

    A value counts as distinct where it is the last of its kind, and the one before it (at
    ``before``) is not in the window.
    """
    cents = kept[C_CENTS, at]
    squares = np.int64(cents) * np.int64(cents)
    high = float(squares >> LOW_BITS)
    low = float(squares & LOW_MASK)
    time = kept[C_TIME, at]
    for w in range(WINDOWS):
        inside = 1.0 if time > t - windows[w] else 0.0
        sums[S_COUNT, w] += inside
        sums[S_SUM, w] += inside * cents
        sums[S_HIGH, w] += inside * high
        sums[S_LOW, w] += inside * low
        sums[S_MAX, w] = max(sums[S_MAX, w], inside * cents)
        firsts[w] += 0 if time > t - windows[w] else 1
    for k in range(n_keys):
        if kept[key + n_keys + k, at] == math.inf and kept[key + k, at] != 0.0:
            for w in range(WINDOWS):
                is_new = (time > t - windows[w]) & (before[k] < firsts[w])
                sums[S_DISTINCT + k, w] += 1.0 if is_new else 0.0


# --- the vector of one transaction -----------------------------------------------------------------


@njit(cache=True, error_model="numpy")
def _fill_present(slots: Floats, plan: Floats, event: Floats) -> None:
    """Statistics of the transaction alone."""
    t = event[E_TIME]
    slots[R_PRESENT, 0] = event[E_CENTS] / 100.0
    slots[R_PRESENT, 1] = (t - math.floor(t / DAY_US) * DAY_US) / HOUR_US
    days = math.floor(t / DAY_US) + 3.0  # 1970-01-01 was a Thursday
    slots[R_PRESENT, 2] = days - 7.0 * math.floor(days / 7.0)
    slots[R_PRESENT, 3] = math.nan
    if plan[P_HOME] == 1.0 and not (math.isnan(event[E_LAT]) or math.isnan(event[E_HOME_LAT])):
        slots[R_PRESENT, 3] = distance_km(event[E_HOME_LAT], event[E_HOME_LON], event[E_LAT], event[E_LON])
    for i in range(4):
        value = event[E_CATEGORY + i]
        slots[R_BUCKET, i] = math.nan if value == 0.0 else value - BUCKETS * math.floor(value / BUCKETS)


@njit(cache=True, error_model="numpy")
def _fill_windows(
    slots: Floats, sums: Floats, cents: float, windows: Floats, pairs: Ints, n_keys: int
) -> None:
    """Statistics of the windows' sums.

    What is missing is ``math.nan`` by name: the sign of 0 / 0 differs between processors.
    """
    for w in range(WINDOWS):
        count = sums[S_COUNT, w]
        total = sums[S_SUM, w]
        spread = _spread(count, total, sums[S_HIGH, w], sums[S_LOW, w])
        std = math.sqrt(spread / (count * (count - 1.0))) / 100.0
        slots[R_COUNT, w] = count
        slots[R_SUM, w] = total / 100.0
        slots[R_MEAN, w] = total / (count * 100.0) if count > 0.0 else math.nan
        slots[R_STD, w] = std if count > 1.0 else math.nan
        slots[R_MAX, w] = sums[S_MAX, w] / 100.0 if count > 0.0 else math.nan
        score = (cents * count - total) / (count * 100.0) / max(0.01, std)
        slots[R_ZSCORE, w] = score if count > 1.0 else math.nan
        slots[R_FRAUD_SHARE, w] = sums[S_FRAUD, w] / count if count > 0.0 else 0.0
    for k in range(n_keys):
        for w in range(WINDOWS):
            slots[R_DISTINCT + k, w] = sums[S_DISTINCT + k, w]
    for i in range(pairs.shape[0]):
        w = pairs[i, 0]
        base = pairs[i, 1]
        per_base = sums[S_COUNT, base] * windows[w]
        slots[R_VELOCITY, i] = sums[S_COUNT, w] * windows[base] / per_base if per_base > 0.0 else 0.0


@njit(cache=True, error_model="numpy")
def _fill_last(
    slots: Floats, plan: Floats, windows: Floats, kept: Floats, start: int, at: int, event: Floats
) -> None:
    """Statistics of the latest kept event before position ``at``, and of the latest known place."""
    t = event[E_TIME]
    slots[R_LAST, 0] = (t - kept[C_TIME, at - 1]) / 1e6 if at > start else math.nan
    slots[R_LAST, 1] = math.nan
    slots[R_LAST, 2] = math.nan
    fraud = _last_position(kept[C_FRAUD, start:at], 2.0) + start
    slots[R_LAST, 3] = (t - kept[C_TIME, fraud]) / 1e6 if fraud >= start else math.nan
    for w in range(WINDOWS):
        slots[R_FRAUD_RUN, w] = math.nan
        slots[R_FIRST_FRAUD, w] = math.nan
        if fraud >= start:
            first = start + _first_after(kept[C_TIME, start:at], t - windows[w])
            first += _first_position(kept[C_FRAUD, first:at], 2.0)
            if first < at:
                slots[R_FIRST_FRAUD, w] = (t - kept[C_TIME, first]) / 1e6
            first = start + _first_after(kept[C_TIME, start:at], kept[C_TIME, fraud] - windows[w])
            slots[R_FRAUD_RUN, w] = _count_of(kept[C_FRAUD, first : fraud + 1], 2.0) / (fraud + 1 - first)
    if plan[P_LAST_PLACE] == 0.0 or math.isnan(event[E_LAT]):
        return
    i = at - 1
    while i >= start and math.isnan(kept[C_LAT, i]):
        i -= 1
    if i >= start:
        km = distance_km(kept[C_LAT, i], kept[C_LON, i], event[E_LAT], event[E_LON])
        slots[R_LAST, 1] = km
        slots[R_LAST, 2] = km / (max(t - kept[C_TIME, i], 60e6) / HOUR_US)


@njit(cache=True, error_model="numpy")
def _fill_ripe(
    slots: Floats,
    ripe: Floats,
    kept: Floats,
    start: int,
    at: int,
    tiles: Floats,
    counts: Ints,
    widths: Ints,
    t: float,
    frauds: float,
) -> None:
    """Share of fraud in the windows that end where verdicts have come.

    A tile counts once it has ended by the near end. ``frauds`` is the number of known ones in the longest
    window, which holds these: mostly none.
    """
    if frauds == 0.0:
        for r in range(ripe.shape[0]):
            slots[R_RIPE, r] = 0.0
        return
    level = LEVELS - 1
    numbers = tiles[level, T_NUMBER, : counts[level]]
    for r in range(ripe.shape[0]):
        far = t - ripe[r, 0]
        near = t - ripe[r, 1]
        first = start + _first_after(kept[C_TIME, start:at], far)
        last = start + _first_after(kept[C_TIME, start:at], near)
        count = float(last - first)
        fraud = _count_of(kept[C_FRAUD, first:last], 2.0)
        if first == start and counts[level] > 0:
            first = _first_after(numbers, math.floor(far / widths[level]) - 1.0)
            last = max(first, _first_after(numbers, math.floor(near / widths[level]) - 1.0))
            count += _sum(tiles[level, T_COUNT, first:last])
            fraud += _sum(tiles[level, T_FRAUD, first:last])
        slots[R_RIPE, r] = fraud / count if count > 0.0 else 0.0


@njit(cache=True, error_model="numpy")
def _fill_scans(
    slots: Floats,
    scans: Ints,
    plan: Floats,
    kept: Floats,
    firsts: Ints,
    at: int,
    event: Floats,
    key: int,
    clock: int,
) -> None:
    """Statistics that compare the transaction with each kept event of a window.

    ``scans`` lists (row, window) of those that some feature needs.
    """
    t = event[E_TIME]
    for s in range(scans.shape[0]):
        row = scans[s, 0]
        w = scans[s, 1]
        first = firsts[w]
        value = math.nan
        if row == R_HOURS:
            time_of_day = t - math.floor(t / DAY_US) * DAY_US
            apart = _sum_apart(kept[clock, first:at], time_of_day)
            value = apart / ((at - first) * HOUR_US) if at > first else math.nan
        elif row == R_SAME_MERCHANT:
            value = _count_of(kept[key + int(plan[P_MERCHANT]), first:at], event[E_MERCHANT])
        elif row == R_SAME_AMOUNT:
            value = _count_of(kept[C_CENTS, first:at], event[E_CENTS])
        elif row == R_USUAL and not math.isnan(event[E_LAT]):
            n, lat, turn = _mean_place(kept[C_LAT, first:at], kept[C_LON, first:at], event[E_LON])
            if n > 0.0:
                value = distance_km(lat / n, event[E_LON] + turn / n, event[E_LAT], event[E_LON])
        slots[row, w] = value


# --- keeping an event ------------------------------------------------------------------------------


@njit(cache=True, error_model="numpy")
def _insert(
    kept: Floats, start: int, at: int, end: int, event: Floats, distinct: Ints, places: int, before: Ints
) -> None:
    """Insert an event at its place and link it with its neighbours of the same value."""
    n_keys = distinct.shape[0]
    key = C_LAT + 2 * places
    t = event[E_TIME]
    for column in range(kept.shape[0]):
        for i in range(end, at, -1):
            kept[column, i] = kept[column, i - 1]
    kept[C_TIME, at] = t
    kept[C_CENTS, at] = event[E_CENTS]
    kept[C_ID, at] = event[E_ID]
    kept[C_FRAUD, at] = 0.0
    if places:
        kept[C_LAT, at] = event[E_LAT]
        kept[C_LON, at] = event[E_LON]
    kept[key + 2 * n_keys, at] = t - math.floor(t / DAY_US) * DAY_US
    for k in range(n_keys):
        value = event[distinct[k]]
        values = kept[key + k]
        nexts = kept[key + n_keys + k]
        following = math.inf
        i = start + _last_position(values[start:at], value)
        before[k] = i
        if i >= start:
            following = nexts[i]
            nexts[i] = t
        else:
            for j in range(at + 1, end + 1):
                if values[j] == value:
                    following = kept[C_TIME, j]
                    break
        values[at] = value
        nexts[at] = following


@njit(cache=True, error_model="numpy")
def _remember(
    known: Floats,
    counts: Ints,
    capacities: Ints,
    columns: Ints,
    event: Floats,
    sequence: float,
    is_first: Floats,
) -> None:
    """Look the event's values up among the remembered ones, and remember them."""
    t = event[E_TIME]
    for k in range(columns.shape[0]):
        value = event[columns[k]]
        if value == 0.0:
            is_first[k] = math.nan
            continue
        n = counts[k]
        i = _last_position(known[k, K_VALUE, :n], value)
        if i >= 0:
            is_first[k] = 1.0 if known[k, K_SINCE, i] > t else 0.0
            known[k, K_SINCE, i] = min(known[k, K_SINCE, i], t)
        else:
            is_first[k] = 1.0
            i = n
            if n == capacities[k]:
                i = 0
                for j in range(1, n):
                    if known[k, K_SEQUENCE, j] < known[k, K_SEQUENCE, i]:
                        i = j
            else:
                counts[k] = n + 1
            known[k, K_VALUE, i] = value
            known[k, K_SINCE, i] = t
        known[k, K_SEQUENCE, i] = sequence


@njit(cache=True, error_model="numpy")
def _load_blocks(flat: Floats, at: int, blocks: Floats, counts: Ints, n_blocks: int) -> int:
    """Read the used part of each block (tiles of a level, remembered values) from a flat state."""
    for b in range(n_blocks):
        n = counts[b]
        for column in range(blocks.shape[1]):
            for i in range(n):
                blocks[b, column, i] = flat[at + i]
            at += n
    return at


@njit(cache=True, error_model="numpy")
def _store_blocks(flat: Floats, at: int, blocks: Floats, counts: Ints, n_blocks: int) -> int:
    """Write the used part of each block to a flat state."""
    for b in range(n_blocks):
        n = counts[b]
        for column in range(blocks.shape[1]):
            for i in range(n):
                flat[at + i] = blocks[b, column, i]
            at += n
    return at


@njit(cache=True, error_model="numpy", nogil=True)
def fold(
    plan: Floats,
    windows: Floats,
    levels: Ints,
    widths: Ints,
    reaches: Floats,
    distinct: Ints,
    known_columns: Ints,
    known_capacities: Ints,
    scans: Ints,
    pairs: Ints,
    ripe: Floats,
    sources: Ints,
    events: Floats,
    rows: Ints,
    groups: Ints,
    states: Floats,
    offsets: Ints,
    out: Floats,
    out_first: int,
    outcomes: Floats,
    new_states: Floats,
    new_offsets: Ints,
    work: Floats,
) -> None:
    """Fold the events of several entities, each from its state; the one arithmetic of all callers.

    Parameters
    ----------
    plan, windows, levels, widths, reaches, distinct, known_columns, known_capacities
        Of ``fraud.features.plan.Plan``.
    scans, pairs, ripe, sources
        Of ``fraud.features.plan.Plan``.
    events
        [n, EVENT_COLUMNS] in arrival order.
    rows
        Rows of ``events``, entity by entity, each entity's in arrival order.
    groups
        [g + 1], where each entity's events begin in ``rows``.
    states, offsets
        The entities' states one after another, and where each begins [g + 1]; an empty one is new.
    out, out_first
        [n, features], whose columns from ``out_first`` on are written; NaN for labels and duplicates.
    outcomes
        [n], NEW or DUPLICATE for a transaction; the change of verdict (-1, 0, 1) for a label.
    new_states, new_offsets
        The entities' states after their events. ``new_states`` must be large enough, or of length 0
        when nobody wants them.
    work
        ``Plan.work_floats`` numbers of any content, for the kernel's own use.
    """
    plan = _borrow(plan)
    windows = _borrow(windows)
    levels = _borrow(levels)
    widths = _borrow(widths)
    reaches = _borrow(reaches)
    distinct = _borrow(distinct)
    known_columns = _borrow(known_columns)
    known_capacities = _borrow(known_capacities)
    scans = _borrow(scans)
    pairs = _borrow(pairs)
    ripe = _borrow(ripe)
    sources = _borrow(sources)
    events = _borrow(events)
    rows = _borrow(rows)
    groups = _borrow(groups)
    states = _borrow(states)
    offsets = _borrow(offsets)
    out = _borrow(out)
    outcomes = _borrow(outcomes)
    new_states = _borrow(new_states)
    new_offsets = _borrow(new_offsets)
    work = _borrow(work)
    n_events = int(plan[P_EVENTS])
    places = int(plan[P_PLACES])
    deduplicate = plan[P_DEDUPLICATE] == 1.0
    n_known = known_columns.shape[0]
    n_keys = distinct.shape[0]
    key = C_LAT + 2 * places
    n_columns = key + 2 * n_keys
    clock = n_columns  # one more column, not stored: the time of day
    n_features = sources.shape[0]
    room = 2 * n_events
    stride = room + LINE  # columns a power of two apart would share the cache's few sets
    n_tiles = int(plan[P_TILES])
    n_values = int(plan[P_VALUES])
    at = (n_columns + 1) * stride
    kept = work[:at].reshape((n_columns + 1, stride))
    tiles = work[at : at + LEVELS * TILE_COLUMNS * n_tiles].reshape((LEVELS, TILE_COLUMNS, n_tiles))
    at += LEVELS * TILE_COLUMNS * n_tiles
    known = work[at : at + n_known * KNOWN_COLUMNS * n_values].reshape((n_known, KNOWN_COLUMNS, n_values))
    at += n_known * KNOWN_COLUMNS * n_values
    running = work[at : at + S_ROWS * WINDOWS].reshape((S_ROWS, WINDOWS))  # windows that end at `now`
    at += S_ROWS * WINDOWS
    other = work[at : at + S_ROWS * WINDOWS].reshape((S_ROWS, WINDOWS))  # with tiles, or at another time
    at += S_ROWS * WINDOWS
    flat_slots = work[at : at + R_ROWS * 4]
    slots = flat_slots.reshape((R_ROWS, 4))
    horizons = work[at + R_ROWS * 4 : at + R_ROWS * 4 + LEVELS]
    numbers = np.zeros(LEVELS + MOST_KNOWN + 2 * WINDOWS + MOST_DISTINCT, np.int64)
    counts = _borrow(numbers)
    tile_counts = counts[:LEVELS]
    known_counts = counts[LEVELS : LEVELS + MOST_KNOWN]
    at = LEVELS + MOST_KNOWN
    running_firsts = counts[at : at + WINDOWS]
    other_firsts = counts[at + WINDOWS : at + 2 * WINDOWS]
    before = counts[at + 2 * WINDOWS :]
    written = 0
    for g in range(groups.shape[0] - 1):
        # --- load
        at = offsets[g]
        start = 0
        end = 0
        newest = -math.inf
        sequence = 0.0
        for i in range(LEVELS + MOST_KNOWN + WINDOWS):
            counts[i] = 0
        for i in range(S_ROWS * WINDOWS):
            running[i // WINDOWS, i % WINDOWS] = 0.0
        is_running = True
        now = -math.inf  # where the running windows end
        if offsets[g + 1] > at:
            is_running = False
            newest = states[at + H_NEWEST]
            sequence = states[at + H_SEQUENCE]
            end = int(states[at + H_EVENTS])
            for level in range(LEVELS):
                tile_counts[level] = int(states[at + H_TILES + level])
            for k in range(n_known):
                known_counts[k] = int(states[at + H_KNOWN + k])
            at += HEADER
            for column in range(n_columns):
                for i in range(end):
                    kept[column, i] = states[at + i]
                at += end
            for i in range(end):
                kept[clock, i] = kept[C_TIME, i] - math.floor(kept[C_TIME, i] / DAY_US) * DAY_US
            at = _load_blocks(states, at, tiles, tile_counts, LEVELS)
            _load_blocks(states, at, known, known_counts, n_known)
        # --- fold
        for e in range(groups[g], groups[g + 1]):
            row = rows[e]
            ahead = rows[min(e + AHEAD, rows.shape[0] - 1)]
            for i in range(0, EVENT_COLUMNS, LINE):
                _prefetch(events, ahead * EVENT_COLUMNS + i)
            for i in range(0, n_features, LINE):
                _prefetch(out, ahead * out.shape[1] + out_first + i)
            event = events[row]
            vector = out[row, out_first : out_first + n_features]
            t = event[E_TIME]
            if event[E_KIND] == KIND_LABEL:
                for f in range(n_features):
                    vector[f] = math.nan
                i = _last_position(kept[C_ID, start:end], event[E_ID]) + start
                change = 0.0
                was_fraud = 1.0 if i >= start and kept[C_FRAUD, i] == 2.0 else 0.0
                if deduplicate:
                    if i >= start:
                        verdict = 2.0 if event[E_CENTS] == 1.0 else 1.0
                        change = verdict - max(kept[C_FRAUD, i], 1.0)
                        kept[C_FRAUD, i] = verdict
                else:
                    change = event[E_CENTS]
                    if i >= start:
                        kept[C_FRAUD, i] = 1.5 + 0.5 * change
                    elif t > newest - plan[P_RETENTION]:
                        _label_tiles(tiles, tile_counts, widths, t, change)
                if i >= start:
                    turned = (1.0 if kept[C_FRAUD, i] == 2.0 else 0.0) - was_fraud
                    for w in range(WINDOWS):
                        running[S_FRAUD, w] += turned if i >= running_firsts[w] else 0.0
                outcomes[row] = change
                continue
            if deduplicate and _last_position(kept[C_ID, start:end], event[E_ID]) >= 0:
                for f in range(n_features):
                    vector[f] = math.nan
                outcomes[row] = DUPLICATE
                continue
            outcomes[row] = NEW
            if t - newest > plan[P_IDLE]:
                for k in range(MOST_KNOWN):
                    known_counts[k] = 0
            newest = max(newest, t)
            sequence += 1.0
            forgotten = newest - plan[P_RETENTION]
            at = end
            while at > start and kept[C_TIME, at - 1] > t:
                at -= 1
            is_latest = at == end
            if is_latest:
                if is_running:
                    _advance(running, running_firsts, kept, end, t, windows, key, n_keys)
                else:
                    _sum_windows(running, running_firsts, kept, start, end, t, windows, key, n_keys)
                    is_running = True
                now = t
            while start < end and kept[C_TIME, start] <= forgotten:
                start += 1
            at = max(at, start)
            sums = running
            firsts = running_firsts
            if not is_latest:
                _sum_windows(other, other_firsts, kept, start, at, t, windows, key, n_keys)
                sums = other
                firsts = other_firsts
            has_tiles = tile_counts[0] + tile_counts[1] + tile_counts[2] > 0
            if has_tiles or end - start == n_events:
                for level in range(LEVELS):
                    horizons[level] = math.floor((newest - reaches[level]) / widths[level])
            if has_tiles:
                _drop_tiles(tiles, tile_counts, horizons)
                if is_latest:
                    for i in range(S_ROWS * WINDOWS):
                        other[i // WINDOWS, i % WINDOWS] = running[i // WINDOWS, i % WINDOWS]
                    sums = other
                first_kept = kept[C_TIME, start] if start < end else math.inf
                _add_tile_sums(sums, tiles, tile_counts, widths, windows, levels, t, first_kept)
            # --- the vector
            _remember(known, known_counts, known_capacities, known_columns, event, sequence, slots[R_FIRST])
            _fill_present(slots, plan, event)
            _fill_windows(slots, sums, event[E_CENTS], windows, pairs, n_keys)
            _fill_last(slots, plan, windows, kept, start, at, event)
            known_frauds = sums[S_FRAUD, WINDOWS - 1]
            _fill_ripe(slots, ripe, kept, start, at, tiles, tile_counts, widths, t, known_frauds)
            _fill_scans(slots, scans, plan, kept, firsts, at, event, key, clock)
            for f in range(n_features):
                vector[f] = flat_slots[sources[f]]
            # --- keep the event
            if t <= forgotten:
                continue
            if end - start == n_events:
                if at == start:  # older than all that is kept
                    _add_to_tiles(tiles, tile_counts, widths, horizons, t, event[E_CENTS], 0.0)
                    continue
                fraud = 1.0 if kept[C_FRAUD, start] == 2.0 else 0.0
                _add_to_tiles(
                    tiles, tile_counts, widths, horizons, kept[C_TIME, start], kept[C_CENTS, start], fraud
                )
                if is_running:
                    for w in range(WINDOWS):
                        if running_firsts[w] == start:
                            _leave(running, w, kept, start, end, key, n_keys)
                            running_firsts[w] = start + 1
                start += 1
            if end == room:
                for column in range(n_columns + 1):
                    for i in range(start, end):
                        kept[column, i - start] = kept[column, i]
                for w in range(WINDOWS):
                    running_firsts[w] -= start
                at -= start
                end -= start
                start = 0
            _insert(kept, start, at, end, event, distinct, places, before)
            end += 1
            if is_running:
                _enter(running, running_firsts, kept, at, before, now, windows, key, n_keys)
        # --- store
        if new_states.shape[0] == 0:
            continue
        n = end - start
        for i in range(HEADER):
            new_states[written + i] = 0.0
        new_states[written + H_LAYOUT] = plan[P_LAYOUT]
        new_states[written + H_NEWEST] = newest
        new_states[written + H_SEQUENCE] = sequence
        new_states[written + H_EVENTS] = n
        for level in range(LEVELS):
            new_states[written + H_TILES + level] = tile_counts[level]
        for k in range(n_known):
            new_states[written + H_KNOWN + k] = known_counts[k]
        written += HEADER
        for column in range(n_columns):
            for i in range(n):
                new_states[written + i] = kept[column, start + i]
            written += n
        written = _store_blocks(new_states, written, tiles, tile_counts, LEVELS)
        written = _store_blocks(new_states, written, known, known_counts, n_known)
        new_offsets[g + 1] = written
    numbers[0] = 0  # the views above live no longer than this
