"""Rows grouped by entity, with a hash table of numbers: faster than sorting, and in the order of arrival."""

from typing import Any, Final

import numpy as np

from fraud.features.kernel.layout import Floats, Ints
from fraud.features.kernel.native import SOURCES, entry, inner

FIRST_SIZE: Final = 64
GROWTH: Final = 4


@inner
def _position(table: Floats, key: float) -> np.int64:
    """Where a key is in the table, or the free place where it belongs; 0 marks a free one."""
    last: int = table.shape[0] - 1
    i: np.int64 = np.int64(key) & last
    while table[i] != 0.0 and table[i] != key:
        i = (i + 1) & last
    return i


@inner
def _number_groups(keys: Floats) -> tuple[Ints, Floats]:
    """Give each row the number of its key; keys are numbered by their first rows; -1 where there is none."""
    n = keys.shape[0]
    table = np.zeros(FIRST_SIZE)
    numbers = np.empty(FIRST_SIZE, np.int64)
    found = np.empty(n)
    group_of = np.empty(n, np.int64)
    n_groups = 0
    for row in range(n):
        key = keys[row]
        if key == 0.0:
            group_of[row] = -1
            continue
        i = _position(table, key)
        if table[i] == 0.0:
            table[i] = key
            numbers[i] = n_groups
            found[n_groups] = key
            n_groups += 1
        group_of[row] = numbers[i]
        if 2 * n_groups > table.shape[0]:
            table = np.zeros(GROWTH * table.shape[0])
            numbers = np.empty(table.shape[0], np.int64)
            for number in range(n_groups):
                j = _position(table, found[number])
                table[j] = found[number]
                numbers[j] = number
    return group_of, found[:n_groups].copy()


@inner
def _sort_by_group(group_of: Ints, n_groups: int) -> tuple[Ints, Ints]:
    """Rows group by group, each group's in their order, and where each group begins."""
    n = group_of.shape[0]
    starts = np.zeros(n_groups + 1, np.int64)
    for row in range(n):
        starts[group_of[row] + 1] += 1
    starts[0] = 0  # those of no group
    starts = np.cumsum(starts)
    nexts = starts.copy()
    rows = np.empty(starts[n_groups], np.int64)
    for row in range(n):
        group = group_of[row]
        if group < 0:
            continue
        rows[nexts[group]] = row
        nexts[group] += 1
    return rows, starts


def _compile(sources: int) -> Any:
    @entry
    def group_rows(keys: Floats) -> tuple[Ints, Ints, Floats]:
        _ = sources  # which makes it part of the key of numba's cache
        group_of, found = _number_groups(keys)
        rows, starts = _sort_by_group(group_of, found.shape[0])
        return rows, starts, found

    return group_rows


_group_rows: Final = _compile(SOURCES)


def group_rows(keys: Floats) -> tuple[Ints, Ints, Floats]:
    """Group rows by key, stably; groups come in the order of their first row.

    Parameters
    ----------
    keys
        [n] hashes: whole numbers from 1 to 2**53 - 1; 0: the row is of no group.

    Returns
    -------
    tuple
        The rows group by group (without those of no group), where each group begins [g + 1], and the
        groups' keys [g].

    Examples
    --------
    >>> rows, starts, keys = group_rows(np.array([7.0, 5.0, 0.0, 7.0]))
    >>> rows.tolist(), starts.tolist(), keys.tolist()
    ([0, 3, 1], [0, 2, 3], [7.0, 5.0])
    """
    found: tuple[Ints, Ints, Floats] = _group_rows(keys)
    return found
