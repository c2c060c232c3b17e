"""The vector of one transaction: every statistic into its slot, then the features from their slots.

What is missing is ``math.nan`` by name: the sign of 0 / 0 differs between processors.
"""

import math

from fraud.features.kernel.distances import distance_km
from fraud.features.kernel.keep import clock_of, local_of
from fraud.features.kernel.layout import (
    BUCKETS,
    C_FRAUD,
    C_LAT,
    C_LON,
    C_TIME,
    DAY_US,
    E_CENTS,
    E_HOME_LAT,
    E_HOME_LON,
    E_LAT,
    E_LON,
    E_TIME,
    FIRST_WEEKDAY,
    HOUR_US,
    LABEL_FRAUD,
    MINUTE_US,
    P_AMOUNT,
    P_FROM_HOME,
    P_FROM_LAST,
    P_HOUR,
    P_SINCE_FRAUD,
    P_SINCE_LAST,
    P_SPEED,
    P_WEEKDAY,
    S_COUNT,
    S_DISTINCT,
    S_FRAUD,
    S_HIGH,
    S_LOW,
    S_MAX,
    S_SUM,
    SECOND_US,
    T_COUNT,
    T_FRAUD,
    T_NUMBER,
    W_COUNT,
    W_DISTINCT,
    W_FIRST_FRAUD,
    W_FRAUD_RUN,
    W_FRAUD_SHARE,
    W_MAX,
    W_MEAN,
    W_STD,
    W_SUM,
    W_ZSCORE,
    Floats,
)
from fraud.features.kernel.measures import fill_measures
from fraud.features.kernel.native import inlined, woven
from fraud.features.kernel.records import Cursor, Memory, Program, Slots, Windows
from fraud.features.kernel.reductions import (
    count_of,
    first_after,
    first_position,
    last_position,
    spread_of,
    total_of,
)
from fraud.features.kernel.singles import fill_singles


@inlined
def fill_present(program: Program, slots: Slots, event: Floats) -> None:
    """Statistics of the transaction alone."""
    present, local = slots.present, local_of(program, event)
    present[P_AMOUNT] = math.nan if math.isnan(event[E_CENTS]) else event[E_CENTS] / program.minor_units
    present[P_HOUR] = clock_of(local) / HOUR_US
    days = math.floor(local / DAY_US) + FIRST_WEEKDAY
    present[P_WEEKDAY] = days - 7.0 * math.floor(days / 7.0)
    present[P_FROM_HOME] = math.nan
    if program.needs_home and not (math.isnan(event[E_LAT]) or math.isnan(event[E_HOME_LAT])):
        present[P_FROM_HOME] = distance_km(event[E_HOME_LAT], event[E_HOME_LON], event[E_LAT], event[E_LON])
    for i in range(program.buckets.shape[0]):
        value = event[program.buckets[i]]
        slots.buckets[i] = math.nan if value == 0.0 else value - BUCKETS * math.floor(value / BUCKETS)


@inlined
def fill_windows(program: Program, slots: Slots, sums: Floats, cents: float) -> None:
    """Statistics of the windows' sums."""
    windows, rows, unit = program.windows, slots.by_window, program.minor_units
    for w in range(program.n_windows):
        count = sums[S_COUNT, w]
        total = sums[S_SUM, w]
        spread = spread_of(count, total, sums[S_HIGH, w], sums[S_LOW, w])
        std = math.sqrt(spread / (count * (count - 1.0))) / unit
        rows[W_COUNT, w] = count
        rows[W_SUM, w] = total / unit
        rows[W_MEAN, w] = total / (count * unit) if count > 0.0 else math.nan
        rows[W_STD, w] = std if count > 1.0 else math.nan
        rows[W_MAX, w] = sums[S_MAX, w] / unit if count > 0.0 else math.nan
        score = (cents * count - total) / (count * unit) / max(1.0 / unit, std)
        rows[W_ZSCORE, w] = score if count > 1.0 and not math.isnan(cents) else math.nan
        rows[W_FRAUD_SHARE, w] = sums[S_FRAUD, w] / count if count > 0.0 else 0.0
    for k in range(program.distinct.shape[0]):
        for w in range(program.n_windows):
            rows[W_DISTINCT + k, w] = sums[S_DISTINCT + k, w]
    for i in range(program.pairs.shape[0]):
        w = program.pairs[i, 0]
        base = program.pairs[i, 1]
        per_base = sums[S_COUNT, base] * windows[w]
        slots.velocities[i] = sums[S_COUNT, w] * windows[base] / per_base if per_base > 0.0 else 0.0


@inlined
def fill_last(program: Program, memory: Memory, start: int, at: int, event: Floats) -> None:
    """Statistics of the latest kept event before position ``at``, and of the latest known place."""
    present, kept, t = memory.slots.present, memory.kept, event[E_TIME]
    present[P_SINCE_LAST] = (t - kept[C_TIME, at - 1]) / SECOND_US if at > start else math.nan
    present[P_FROM_LAST] = math.nan
    present[P_SPEED] = math.nan
    if not program.needs_last_place or math.isnan(event[E_LAT]):
        return
    i = at - 1
    while i >= start and math.isnan(kept[C_LAT, i]):
        i -= 1
    if i >= start:
        km = distance_km(kept[C_LAT, i], kept[C_LON, i], event[E_LAT], event[E_LON])
        present[P_FROM_LAST] = km
        present[P_SPEED] = km / (max(t - kept[C_TIME, i], MINUTE_US) / HOUR_US)


@inlined
def fill_frauds(program: Program, memory: Memory, start: int, at: int, t: float) -> None:
    """Statistics of the kept events before position ``at`` that are known to be fraud."""
    rows, times, frauds = memory.slots.by_window, memory.kept[C_TIME], memory.kept[C_FRAUD]
    last = last_position(frauds[start:at], LABEL_FRAUD) + start
    memory.slots.present[P_SINCE_FRAUD] = (t - times[last]) / SECOND_US if last >= start else math.nan
    for w in range(program.n_windows):
        rows[W_FRAUD_RUN, w] = math.nan
        rows[W_FIRST_FRAUD, w] = math.nan
        if last >= start:
            first = start + first_after(times[start:at], t - program.windows[w])
            first += first_position(frauds[first:at], LABEL_FRAUD)
            if first < at:
                rows[W_FIRST_FRAUD, w] = (t - times[first]) / SECOND_US
            first = start + first_after(times[start:at], times[last] - program.windows[w])
            rows[W_FRAUD_RUN, w] = count_of(frauds[first : last + 1], LABEL_FRAUD) / (last + 1 - first)


@inlined
def fill_ripe(program: Program, memory: Memory, start: int, at: int, t: float, frauds: float) -> None:
    """Share of fraud in the windows that end where labels have arrived.

    A tile counts once it has ended by the near end. ``frauds`` is the number of known ones in the longest
    window, which holds these: mostly none.
    """
    shares, kept, ripe = memory.slots.ripe, memory.kept, program.ripe
    if frauds == 0.0:
        for r in range(ripe.shape[0]):
            shares[r] = 0.0
        return
    level = program.n_levels - 1
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
        shares[r] = fraud / count if count > 0.0 else 0.0


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
    fill_ripe(program, memory, start, at, t, sums[S_FRAUD, program.n_windows - 1])
    fill_measures(program, memory, sums, event)
    fill_singles(program, memory, start, windows, sums, at, event)
    for f in range(program.sources.shape[0]):
        vector[f] = slots.flat[program.sources[f]]
