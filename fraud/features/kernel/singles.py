"""Statistics that are computed one at a time, most of which look at each kept event of a window."""

import math

import numpy as np

from fraud.features.kernel.distances import distance_km, mean_place
from fraud.features.kernel.keep import clock_of, local_of
from fraud.features.kernel.layout import (
    A_EVENT,
    A_FILTER,
    A_KEPT,
    A_NUMBER,
    A_OP,
    A_WINDOW,
    C_CENTS,
    C_FRAUD,
    C_LAT,
    C_LON,
    C_TIME,
    DEVIATION,
    E_CENTS,
    E_LAT,
    E_LON,
    E_TIME,
    HOUR_US,
    LABEL_FRAUD,
    M_COUNT,
    M_SUM,
    P_SINCE_FRAUD,
    S_COUNT,
    S_SUM,
    SECOND_US,
    X_AGE,
    X_DEVIATIONS,
    X_FRAUD_STREAK,
    X_HOURS,
    X_IS_USUAL,
    X_LAST,
    X_NUMBER,
    X_PERCENTILE,
    X_PROFILE_VALUE,
    X_SAME,
    X_SAME_AMOUNT,
    X_SINCE_HONEST,
    X_SINCE_LAST,
    X_TREND,
    X_USUAL_PLACE,
    X_VELOCITY,
    Floats,
    Ints,
)
from fraud.features.kernel.measures import fulfils
from fraud.features.kernel.native import inlined, inner
from fraud.features.kernel.profiles import profile_statistic
from fraud.features.kernel.records import Memory, Program, Windows
from fraud.features.kernel.reductions import (
    count_above,
    count_of,
    first_after,
    first_position,
    select,
    total_apart,
    total_of,
)


@inlined
def fill_singles(
    program: Program, memory: Memory, start: int, windows: Windows, sums: Floats, at: int, event: Floats
) -> None:
    """Compute each; ``windows`` are of the kept events, ``sums`` with tiles."""
    kept = memory.kept
    for s in range(program.singles.shape[0]):
        single = program.singles[s]
        op = single[A_OP]
        first = windows.firsts[single[A_WINDOW]]
        value = math.nan
        if op == X_HOURS:
            apart = total_apart(kept[program.columns, first:at], clock_of(local_of(program, event)))
            value = apart / ((at - first) * HOUR_US) if at > first else math.nan
        elif op == X_SAME_AMOUNT:
            value = count_of(kept[C_CENTS, first:at], event[E_CENTS])
        elif op == X_USUAL_PLACE:
            value = _distance_from_usual(kept, first, at, event)
        elif op == X_SAME:
            own = event[single[A_EVENT]]
            value = count_of(kept[single[A_KEPT], first:at], own) if own != 0.0 else math.nan
        elif op == X_DEVIATIONS:
            value = _deviations(kept[C_CENTS], first, windows.firsts[single[A_NUMBER]], at)
        elif X_FRAUD_STREAK <= op <= X_SINCE_HONEST:
            is_known = not math.isnan(memory.slots.present[P_SINCE_FRAUD])
            value = _streak(kept, start, at, event[E_TIME], single, is_known)
        elif not program.is_plain and op >= X_PROFILE_VALUE:
            value = profile_statistic(program, memory, event, single, program.single_units[s])
        elif not program.is_plain:
            value = _further(program, memory, start, first, sums, at, event, single, program.single_units[s])
        memory.slots.singles[s] = value


@inner
def _deviations(cents: Floats, first: int, base: int, at: int) -> float:
    """Count the amounts of a window that are far above the mean of the base window, both of kept events.

    Amounts are whole, so the bound rounded down divides them as the exact one does.
    """
    if at == base:
        return 0.0
    bound = DEVIATION * np.int64(total_of(cents[base:at])) // (at - base)
    return count_above(cents[first:at], float(bound))


@inner
def _streak(kept: Floats, start: int, at: int, t: float, single: Ints, is_known: bool) -> float:
    """Look at the latest known frauds in a row, and at the honest transaction that they follow.

    One is honest that is old enough for a label and has none that says fraud; a younger one counts where it
    is known to be fraud, else it is passed over. Without a known fraud (``is_known``) nothing is counted.
    """
    op, times, frauds = single[A_OP], kept[C_TIME], kept[C_FRAUD]
    ripe = start + first_after(times[start:at], t - single[A_NUMBER])
    honest = ripe - 1
    while is_known and honest >= start and frauds[honest] == LABEL_FRAUD:
        honest -= 1
    if op == X_SINCE_HONEST:
        return float(t - times[honest]) / SECOND_US if honest >= start else math.nan
    length = ripe - 1.0 - honest
    if is_known:
        length += count_of(frauds[ripe:at], LABEL_FRAUD)
    if op == X_FRAUD_STREAK:
        return length
    if length == 0.0:
        return math.nan
    first = honest + 1
    first += first_position(frauds[first:at], LABEL_FRAUD)
    return float(t - times[first]) / SECOND_US


@inlined
def _further(
    program: Program,
    memory: Memory,
    start: int,
    first: int,
    sums: Floats,
    at: int,
    event: Floats,
    single: Ints,
    unit: float,
) -> float:
    """Statistics that the kernel has for tables other than the default one."""
    op = single[A_OP]
    if op == X_NUMBER:
        return float(event[single[A_EVENT]]) / unit
    if op == X_AGE:
        return float(event[E_TIME] - event[single[A_EVENT]]) / SECOND_US
    if op in (X_VELOCITY, X_TREND):
        return _compare(program, memory, sums, single)
    column, masks = memory.kept[single[A_KEPT]], memory.kept[program.columns - 1]
    if op in (X_LAST, X_SINCE_LAST):
        last = _last_of(column, masks, start, at, single[A_FILTER])
        return last / unit if op == X_LAST else float(event[E_TIME] - last) / SECOND_US
    if op == X_PERCENTILE:
        n = _gather(column, masks, first, at, single[A_FILTER], memory.scratch)
        return select(memory.scratch[:n], single[A_NUMBER]) / unit
    return _repeats(op, column, start, first, at, event[single[A_EVENT]], memory.scratch)


@inner
def _repeats(op: int, column: Floats, start: int, first: int, at: int, own: float, scratch: Floats) -> float:
    """Compare the transaction's key or category with the previous one, or with those of a window."""
    if own == 0.0:
        return math.nan
    if op == X_IS_USUAL:
        return _is_usual(column[first:at], own, scratch)
    last = _last_named(column, start, at)
    if last == 0.0:
        return math.nan
    return 1.0 if last == own else 0.0


@inner
def _distance_from_usual(kept: Floats, first: int, at: int, event: Floats) -> float:
    """Distance from the mean of the places in a window, in km."""
    if math.isnan(event[E_LAT]):
        return math.nan
    n, lat, turn = mean_place(kept[C_LAT, first:at], kept[C_LON, first:at], event[E_LON])
    if n == 0.0:
        return math.nan
    return distance_km(lat / n, event[E_LON] + turn / n, event[E_LAT], event[E_LON])


@inlined
def _compare(program: Program, memory: Memory, sums: Floats, single: Ints) -> float:
    """Compare the pace, or the mean, of a window with another one's."""
    w, base, m = single[A_WINDOW], single[A_NUMBER], single[A_KEPT]
    if single[A_OP] == X_VELOCITY:
        per_base = memory.measured[m, M_COUNT, base] * program.windows[w]
        count = memory.measured[m, M_COUNT, w]
        return count * program.windows[base] / per_base if per_base > 0.0 else 0.0
    if m < 0:
        count, total = sums[S_COUNT, w], sums[S_SUM, w]
        base_count, base_total = sums[S_COUNT, base], sums[S_SUM, base]
    else:
        count, total = memory.measured[m, M_COUNT, w], memory.measured[m, M_SUM, w]
        base_count, base_total = memory.measured[m, M_COUNT, base], memory.measured[m, M_SUM, base]
    if count == 0.0 or base_total == 0.0:
        return math.nan
    return float((total / count) / (base_total / base_count))


@inner
def _last_of(values: Floats, masks: Floats, start: int, at: int, bit: int) -> float:
    """Latest value that is given by an event that fulfils the filter, or NaN."""
    for i in range(at - 1, start - 1, -1):
        if not math.isnan(values[i]) and fulfils(masks[i], bit):
            return float(values[i])
    return math.nan


@inner
def _last_named(values: Floats, start: int, at: int) -> float:
    """Latest value that is named, or 0."""
    for i in range(at - 1, start - 1, -1):
        if values[i] != 0.0:
            return float(values[i])
    return 0.0


@inner
def _gather(values: Floats, masks: Floats, first: int, at: int, bit: int, out: Floats) -> int:
    """Copy the values that are given by events that fulfil the filter; returns how many."""
    n = 0
    for i in range(first, at):
        if not math.isnan(values[i]) and fulfils(masks[i], bit):
            out[n] = values[i]
            n += 1
    return n


@inner
def _is_usual(values: Floats, own: float, scratch: Floats) -> float:
    """1 where no named value stands there more often than one's own, else 0; NaN where none is named.

    Counts in a hash table of at least twice as many places as there are values, in the scratch.
    """
    size = 2
    while size < 2 * values.shape[0]:
        size *= 2
    table, counts = scratch[:size], scratch[size : 2 * size]
    for i in range(size):
        table[i] = 0.0
    most = 0.0
    of_own = 0.0
    for i in range(values.shape[0]):
        value = values[i]
        if value == 0.0:
            continue
        at = np.int64(value) & (size - 1)
        while table[at] != 0.0 and table[at] != value:
            at = (at + 1) & (size - 1)
        counts[at] = counts[at] + 1.0 if table[at] == value else 1.0
        table[at] = value
        most = max(most, counts[at])
        if value == own:
            of_own = counts[at]
    if most == 0.0:
        return math.nan
    return 1.0 if of_own == most else 0.0
