"""The vector of one transaction: every statistic into its slot, then the features from their slots.

What is missing is ``math.nan`` by name: the sign of 0 / 0 differs between processors.
"""

import math

from fraud.features.kernel.distances import distance_km, mean_place
from fraud.features.kernel.keep import clock_of
from fraud.features.kernel.layout import (
    BUCKETS,
    C_CENTS,
    C_FRAUD,
    C_LAT,
    C_LON,
    C_TIME,
    CENTS,
    DAY_US,
    E_CATEGORY,
    E_CENTS,
    E_HOME_LAT,
    E_HOME_LON,
    E_LAT,
    E_LON,
    E_MERCHANT,
    E_TIME,
    FIRST_WEEKDAY,
    HOUR_US,
    LABEL_FRAUD,
    LEAST_STD,
    LEVELS,
    MINUTE_US,
    R_BUCKET,
    R_COUNT,
    R_DISTINCT,
    R_FIRST_FRAUD,
    R_FRAUD_RUN,
    R_FRAUD_SHARE,
    R_HOURS,
    R_LAST,
    R_MAX,
    R_MEAN,
    R_PRESENT,
    R_RIPE,
    R_SAME_AMOUNT,
    R_SAME_MERCHANT,
    R_STD,
    R_SUM,
    R_USUAL,
    R_VELOCITY,
    R_ZSCORE,
    S_COUNT,
    S_DISTINCT,
    S_FRAUD,
    S_HIGH,
    S_LOW,
    S_MAX,
    S_SUM,
    SECOND_US,
    SLOTS,
    T_COUNT,
    T_FRAUD,
    T_NUMBER,
    WINDOWS,
    Floats,
)
from fraud.features.kernel.native import inlined, woven
from fraud.features.kernel.records import Cursor, Memory, Program, Windows
from fraud.features.kernel.reductions import (
    count_of,
    first_after,
    first_position,
    last_position,
    spread_of,
    total_apart,
    total_of,
)


@inlined
def fill_present(program: Program, slots: Floats, event: Floats) -> None:
    """Statistics of the transaction alone."""
    t = event[E_TIME]
    slots[R_PRESENT, 0] = event[E_CENTS] / CENTS
    slots[R_PRESENT, 1] = clock_of(t) / HOUR_US
    days = math.floor(t / DAY_US) + FIRST_WEEKDAY
    slots[R_PRESENT, 2] = days - 7.0 * math.floor(days / 7.0)
    slots[R_PRESENT, 3] = math.nan
    if program.needs_home and not (math.isnan(event[E_LAT]) or math.isnan(event[E_HOME_LAT])):
        slots[R_PRESENT, 3] = distance_km(event[E_HOME_LAT], event[E_HOME_LON], event[E_LAT], event[E_LON])
    for i in range(SLOTS):
        value = event[E_CATEGORY + i]
        slots[R_BUCKET, i] = math.nan if value == 0.0 else value - BUCKETS * math.floor(value / BUCKETS)


@inlined
def fill_windows(program: Program, slots: Floats, sums: Floats, cents: float) -> None:
    """Statistics of the windows' sums."""
    windows = program.windows
    for w in range(WINDOWS):
        count = sums[S_COUNT, w]
        total = sums[S_SUM, w]
        spread = spread_of(count, total, sums[S_HIGH, w], sums[S_LOW, w])
        std = math.sqrt(spread / (count * (count - 1.0))) / CENTS
        slots[R_COUNT, w] = count
        slots[R_SUM, w] = total / CENTS
        slots[R_MEAN, w] = total / (count * CENTS) if count > 0.0 else math.nan
        slots[R_STD, w] = std if count > 1.0 else math.nan
        slots[R_MAX, w] = sums[S_MAX, w] / CENTS if count > 0.0 else math.nan
        score = (cents * count - total) / (count * CENTS) / max(LEAST_STD, std)
        slots[R_ZSCORE, w] = score if count > 1.0 else math.nan
        slots[R_FRAUD_SHARE, w] = sums[S_FRAUD, w] / count if count > 0.0 else 0.0
    for k in range(program.distinct.shape[0]):
        for w in range(WINDOWS):
            slots[R_DISTINCT + k, w] = sums[S_DISTINCT + k, w]
    for i in range(program.pairs.shape[0]):
        w = program.pairs[i, 0]
        base = program.pairs[i, 1]
        per_base = sums[S_COUNT, base] * windows[w]
        slots[R_VELOCITY, i] = sums[S_COUNT, w] * windows[base] / per_base if per_base > 0.0 else 0.0


@inlined
def fill_last(program: Program, memory: Memory, start: int, at: int, event: Floats) -> None:
    """Statistics of the latest kept event before position ``at``, and of the latest known place."""
    slots, kept, t = memory.slots, memory.kept, event[E_TIME]
    slots[R_LAST, 0] = (t - kept[C_TIME, at - 1]) / SECOND_US if at > start else math.nan
    slots[R_LAST, 1] = math.nan
    slots[R_LAST, 2] = math.nan
    if not program.needs_last_place or math.isnan(event[E_LAT]):
        return
    i = at - 1
    while i >= start and math.isnan(kept[C_LAT, i]):
        i -= 1
    if i >= start:
        km = distance_km(kept[C_LAT, i], kept[C_LON, i], event[E_LAT], event[E_LON])
        slots[R_LAST, 1] = km
        slots[R_LAST, 2] = km / (max(t - kept[C_TIME, i], MINUTE_US) / HOUR_US)


@inlined
def fill_frauds(program: Program, memory: Memory, start: int, at: int, t: float) -> None:
    """Statistics of the kept events before position ``at`` that are known to be fraud."""
    slots, times, frauds = memory.slots, memory.kept[C_TIME], memory.kept[C_FRAUD]
    last = last_position(frauds[start:at], LABEL_FRAUD) + start
    slots[R_LAST, 3] = (t - times[last]) / SECOND_US if last >= start else math.nan
    for w in range(WINDOWS):
        slots[R_FRAUD_RUN, w] = math.nan
        slots[R_FIRST_FRAUD, w] = math.nan
        if last >= start:
            first = start + first_after(times[start:at], t - program.windows[w])
            first += first_position(frauds[first:at], LABEL_FRAUD)
            if first < at:
                slots[R_FIRST_FRAUD, w] = (t - times[first]) / SECOND_US
            first = start + first_after(times[start:at], times[last] - program.windows[w])
            slots[R_FRAUD_RUN, w] = count_of(frauds[first : last + 1], LABEL_FRAUD) / (last + 1 - first)


@inlined
def fill_ripe(program: Program, memory: Memory, start: int, at: int, t: float, frauds: float) -> None:
    """Share of fraud in the windows that end where labels have come.

    A tile counts once it has ended by the near end. ``frauds`` is the number of known ones in the longest
    window, which holds these: mostly none.
    """
    slots, kept, ripe = memory.slots, memory.kept, program.ripe
    if frauds == 0.0:
        for r in range(ripe.shape[0]):
            slots[R_RIPE, r] = 0.0
        return
    level = LEVELS - 1
    tiles, n_tiles, width = memory.tiles[level], memory.tile_counts[level], program.widths[level]
    numbers = tiles[T_NUMBER, :n_tiles]
    for r in range(ripe.shape[0]):
        far = t - ripe[r, 0]
        near = t - ripe[r, 1]
        first = start + first_after(kept[C_TIME, start:at], far)
        last = start + first_after(kept[C_TIME, start:at], near)
        count = float(last - first)
        fraud = count_of(kept[C_FRAUD, first:last], LABEL_FRAUD)
        if first == start and n_tiles > 0:
            first = first_after(numbers, math.floor(far / width) - 1.0)
            last = max(first, first_after(numbers, math.floor(near / width) - 1.0))
            count += total_of(tiles[T_COUNT, first:last])
            fraud += total_of(tiles[T_FRAUD, first:last])
        slots[R_RIPE, r] = fraud / count if count > 0.0 else 0.0


@inlined
def fill_scans(program: Program, memory: Memory, windows: Windows, at: int, event: Floats) -> None:
    """Statistics that compare the transaction with each kept event of a window."""
    kept = memory.kept
    for s in range(program.scans.shape[0]):
        row = program.scans[s, 0]
        w = program.scans[s, 1]
        first = windows.firsts[w]
        value = math.nan
        if row == R_HOURS:
            apart = total_apart(kept[program.columns, first:at], clock_of(event[E_TIME]))
            value = apart / ((at - first) * HOUR_US) if at > first else math.nan
        elif row == R_SAME_MERCHANT:
            value = count_of(kept[program.key + program.same_merchant, first:at], event[E_MERCHANT])
        elif row == R_SAME_AMOUNT:
            value = count_of(kept[C_CENTS, first:at], event[E_CENTS])
        elif row == R_USUAL and not math.isnan(event[E_LAT]):
            n, lat, turn = mean_place(kept[C_LAT, first:at], kept[C_LON, first:at], event[E_LON])
            if n > 0.0:
                value = distance_km(lat / n, event[E_LON] + turn / n, event[E_LAT], event[E_LON])
        memory.slots[row, w] = value


@woven
def fill_vector(
    program: Program,
    memory: Memory,
    cursor: Cursor,
    windows: Windows,
    sums: Floats,
    at: int,
    event: Floats,
    vector: Floats,
) -> None:
    """Write the features of a transaction that belongs at position ``at``.

    ``windows`` are the kept events' and end at the transaction's time; ``sums`` are theirs, with tiles.
    """
    slots, start, t = memory.slots, cursor.start, event[E_TIME]
    fill_present(program, slots, event)
    fill_windows(program, slots, sums, event[E_CENTS])
    fill_last(program, memory, start, at, event)
    fill_frauds(program, memory, start, at, t)
    fill_ripe(program, memory, start, at, t, sums[S_FRAUD, WINDOWS - 1])
    fill_scans(program, memory, windows, at, event)
    for f in range(program.sources.shape[0]):
        source = program.sources[f]
        vector[f] = slots[source // SLOTS, source % SLOTS]
