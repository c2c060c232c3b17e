"""Sums over the windows of kept events: from scratch, or updated from event to event."""

import math

import numpy as np

from fraud.features.kernel.layout import (
    C_CENTS,
    C_FRAUD,
    C_TIME,
    LABEL_FRAUD,
    LOW_BITS,
    LOW_MASK,
    S_COUNT,
    S_DISTINCT,
    S_FRAUD,
    S_HIGH,
    S_LOW,
    S_MAX,
    S_SUM,
    Floats,
)
from fraud.features.kernel.native import inlined
from fraud.features.kernel.records import Memory, Program, Windows
from fraud.features.kernel.reductions import (
    count_last,
    count_of,
    first_after,
    greatest_of,
    squares_of,
    total_of,
)


@inlined
def clear(program: Program, windows: Windows) -> None:
    """Make windows that hold nothing."""
    for w in range(program.n_windows):
        windows.firsts[w] = 0
    for row in range(program.sum_rows):
        for w in range(program.n_windows):
            windows.sums[row, w] = 0.0


@inlined
def copy_sums(program: Program, to: Windows, of: Windows) -> None:
    """Copy the sums of windows."""
    for row in range(program.sum_rows):
        for w in range(program.n_windows):
            to.sums[row, w] = of.sums[row, w]


@inlined
def sum_windows(program: Program, windows: Windows, kept: Floats, start: int, at: int, t: float) -> None:
    """Sum the kept events before position ``at`` that lie in each window, from scratch.

    A longer window is a shorter one and what came before it.
    """
    sums, n_keys = windows.sums, program.distinct.shape[0]
    end = at
    for w in range(program.n_windows):
        for row in range(program.sum_rows):
            sums[row, w] = sums[row, w - 1] if w else 0.0
        first = start + first_after(kept[C_TIME, start:end], t - program.windows[w])
        windows.firsts[w] = first
        sums[S_COUNT, w] += end - first
        sums[S_SUM, w] += total_of(kept[C_CENTS, first:end])
        high, low = squares_of(kept[C_CENTS, first:end])
        sums[S_HIGH, w] += high
        sums[S_LOW, w] += low
        sums[S_MAX, w] = max(sums[S_MAX, w], greatest_of(kept[C_CENTS, first:end]))
        sums[S_FRAUD, w] += count_of(kept[C_FRAUD, first:end], LABEL_FRAUD)
        for k in range(n_keys):
            values = kept[program.key + k, first:end]
            sums[S_DISTINCT + k, w] += count_last(values, kept[program.key + n_keys + k, first:end], t)
        end = first


@inlined
def leave(program: Program, windows: Windows, kept: Floats, w: int, i: int, end: int) -> None:
    """Take the first kept event of a window out of its sums."""
    sums, n_keys = windows.sums, program.distinct.shape[0]
    cents = kept[C_CENTS, i]
    squares = np.int64(cents) * np.int64(cents)
    sums[S_COUNT, w] -= 1.0
    sums[S_SUM, w] -= cents
    sums[S_HIGH, w] -= squares >> LOW_BITS
    sums[S_LOW, w] -= squares & LOW_MASK
    sums[S_FRAUD, w] -= 1.0 if kept[C_FRAUD, i] == LABEL_FRAUD else 0.0
    for k in range(n_keys):
        is_last = kept[program.key + n_keys + k, i] == math.inf
        if is_last and kept[program.key + k, i] != 0.0:
            sums[S_DISTINCT + k, w] -= 1.0
    if cents == sums[S_MAX, w]:
        sums[S_MAX, w] = greatest_of(kept[C_CENTS, i + 1 : end])


@inlined
def advance(program: Program, windows: Windows, kept: Floats, end: int, t: float) -> None:
    """Move the windows on to a later time."""
    for w in range(program.n_windows):
        i = windows.firsts[w]
        while i < end and kept[C_TIME, i] <= t - program.windows[w]:
            leave(program, windows, kept, w, i, end)
            i += 1
        windows.firsts[w] = i


@inlined
def enter(program: Program, memory: Memory, at: int, t: float) -> None:
    """Add the event just kept at ``at`` to the running windows, which end at ``t``, where they hold it.

    A value counts as distinct where it is the last of its kind, and the one before it is not in the window.
    """
    kept, sums, firsts, windows = memory.kept, memory.running.sums, memory.running.firsts, program.windows
    n_keys = program.distinct.shape[0]
    cents = kept[C_CENTS, at]
    squares = np.int64(cents) * np.int64(cents)
    high = float(squares >> LOW_BITS)
    low = float(squares & LOW_MASK)
    time = kept[C_TIME, at]
    for w in range(program.n_windows):
        inside = 1.0 if time > t - windows[w] else 0.0
        sums[S_COUNT, w] += inside
        sums[S_SUM, w] += inside * cents
        sums[S_HIGH, w] += inside * high
        sums[S_LOW, w] += inside * low
        sums[S_MAX, w] = max(sums[S_MAX, w], inside * cents)
        firsts[w] += 0 if time > t - windows[w] else 1
    for k in range(n_keys):
        if kept[program.key + n_keys + k, at] == math.inf and kept[program.key + k, at] != 0.0:
            for w in range(program.n_windows):
                is_new = (time > t - windows[w]) & (memory.before[k] < firsts[w])
                sums[S_DISTINCT + k, w] += 1.0 if is_new else 0.0
