"""The fold: one numba kernel that takes an entity's state over its events and writes their vectors.

It runs a plan (small integer arrays made from the feature table by ``fraud.features.plan``) over
flat float64 states. Amounts are whole hundredths and places whole microdegrees, so that sums are
exact and do not depend on their order.

State: a header of ``HEADER`` numbers, then the kept events column by column (sorted by event time,
equal times by arrival), then three levels of tiles, then the remembered values.
"""

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

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
T_SQUARES: Final = 3
T_MAX: Final = 4
T_FRAUD: Final = 5
TILE_COLUMNS: Final = 6
K_VALUE: Final = 0
K_SINCE: Final = 1
K_SEQUENCE: Final = 2
KNOWN_COLUMNS: Final = 3
LEVELS: Final = 3

# --- entries of a plan -------------------------------------------------------------------------
P_EVENTS: Final = 0
P_PLACES: Final = 1  # 1: kept events carry places
P_DEDUPLICATE: Final = 2
P_LAYOUT: Final = 3
P_RETENTION: Final = 4
P_IDLE: Final = 5

# --- what became of an event -------------------------------------------------------------------
NEW: Final = 0.0
DUPLICATE: Final = 2.0  # a label's outcome is its change of verdict: -1, 0 or 1

# --- sums over one window ----------------------------------------------------------------------
S_COUNT: Final = 0
S_SUM: Final = 1
S_SQUARES: Final = 2
S_MAX: Final = 3
S_FRAUD: Final = 4
S_HOURS: Final = 5
S_SAME_MERCHANT: Final = 6
S_SAME_AMOUNT: Final = 7
S_PLACES: Final = 8
S_LAT: Final = 9
S_LON: Final = 10
S_DISTINCT: Final = 11  # and the following
S_KEPT: Final = 14
S_COLUMNS: Final = 15

DAY_US: Final = 86_400_000_000.0
HOUR_US: Final = 3_600_000_000.0
EARTH_KM: Final = 6371.0088


@njit(cache=True)
def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance (haversine) of two places in microdegrees, in km."""
    rad = math.pi / 180e6
    a = math.sin((lat2 - lat1) * rad / 2) ** 2
    b = math.cos(lat1 * rad) * math.cos(lat2 * rad) * math.sin((lon2 - lon1) * rad / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, a + b)))


@njit(cache=True)
def _std(count: float, total: float, squares: float) -> float:
    return math.sqrt(max(0.0, (squares - total * total / count) / (count - 1.0))) / 100.0


@njit(cache=True)
def _add_to_tiles(
    tiles: Floats, counts: Ints, widths: Ints, horizons: Floats, time: float, cents: float, fraud: float
) -> None:
    """Add one event that leaves the kept ones to every level that still covers it."""
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
        tiles[level, T_SQUARES, at - 1] += cents * cents
        tiles[level, T_MAX, at - 1] = max(tiles[level, T_MAX, at - 1], cents)
        tiles[level, T_FRAUD, at - 1] += fraud


@njit(cache=True)
def _label_tiles(tiles: Floats, counts: Ints, widths: Ints, time: float, change: float) -> None:
    """Change the known fraud of the tiles that hold an event of this time."""
    for level in range(LEVELS):
        number = math.floor(time / widths[level])
        for i in range(counts[level] - 1, -1, -1):
            if tiles[level, T_NUMBER, i] <= number:
                if tiles[level, T_NUMBER, i] == number:
                    tiles[level, T_FRAUD, i] += change
                break


@njit(cache=True)
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


@njit(cache=True)
def _window_sums(
    sums: Floats,
    kept: Floats,
    start: int,
    at: int,
    event: Floats,
    windows: Floats,
    n_distinct: int,
    places: int,
) -> None:
    """Sum the kept events before position ``at`` for all windows in one pass from the newest."""
    t = event[E_TIME]
    cents = event[E_CENTS]
    merchant = event[E_MERCHANT]
    clock = t % DAY_US
    key = C_LAT + 2 * places
    nxt = key + n_distinct
    count = total = squares = fraud = hours = same_merchant = same_amount = 0.0
    n_places = lat = lon = d0 = d1 = d2 = 0.0
    greatest = 0.0
    i = at - 1
    for w in range(windows.shape[0]):
        oldest = t - windows[w]
        while i >= start and kept[C_TIME, i] > oldest:
            c = kept[C_CENTS, i]
            count += 1.0
            total += c
            squares += c * c
            greatest = max(greatest, c)
            fraud += kept[C_FRAUD, i] == 2.0
            same_amount += c == cents
            d0 += kept[nxt, i] > t
            if places:
                apart = abs(clock - kept[C_TIME, i] % DAY_US)
                hours += min(apart, DAY_US - apart)
                same_merchant += kept[key, i] == merchant
                if not math.isnan(kept[C_LAT, i]):
                    n_places += 1.0
                    lat += kept[C_LAT, i]
                    turn = kept[C_LON, i] - event[E_LON]  # the short way round
                    lon += turn - 360e6 * np.floor((turn + 180e6) / 360e6)
                d1 += (kept[nxt + 1, i] > t) and (kept[key + 1, i] != 0.0)
                d2 += (kept[nxt + 2, i] > t) and (kept[key + 2, i] != 0.0)
            i -= 1
        sums[w, S_COUNT] = count
        sums[w, S_KEPT] = count
        sums[w, S_SUM] = total
        sums[w, S_SQUARES] = squares
        sums[w, S_MAX] = greatest
        sums[w, S_FRAUD] = fraud
        sums[w, S_HOURS] = hours
        sums[w, S_SAME_MERCHANT] = same_merchant
        sums[w, S_SAME_AMOUNT] = same_amount
        sums[w, S_PLACES] = n_places
        sums[w, S_LAT] = lat
        sums[w, S_LON] = lon
        sums[w, S_DISTINCT] = d0
        sums[w, S_DISTINCT + 1] = d1
        sums[w, S_DISTINCT + 2] = d2


@njit(cache=True)
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
    for w in range(windows.shape[0]):
        if first_kept <= t - windows[w]:
            continue
        level = levels[w]
        first = math.floor((t - windows[w]) / widths[level])
        last = np.floor(t / widths[level]) if t < first_kept else math.inf
        for i in range(counts[level] - 1, -1, -1):
            number = tiles[level, T_NUMBER, i]
            if number >= last:
                continue
            if number < first:
                break
            sums[w, S_COUNT] += tiles[level, T_COUNT, i]
            sums[w, S_SUM] += tiles[level, T_SUM, i]
            sums[w, S_SQUARES] += tiles[level, T_SQUARES, i]
            sums[w, S_MAX] = max(sums[w, S_MAX], tiles[level, T_MAX, i])
            sums[w, S_FRAUD] += tiles[level, T_FRAUD, i]


@njit(cache=True)
def _last_place(kept: Floats, start: int, at: int) -> int:
    """Position of the newest kept event before ``at`` whose place is known, or -1."""
    for i in range(at - 1, start - 1, -1):
        if not math.isnan(kept[C_LAT, i]):
            return i
    return -1


@njit(cache=True)
def _write_vector(
    out: Floats,
    ops: Ints,
    sums: Floats,
    event: Floats,
    kept: Floats,
    start: int,
    at: int,
    is_first: Floats,
    windows: Floats,
) -> None:
    """Compute every feature of the plan for one transaction."""
    t = event[E_TIME]
    cents = event[E_CENTS]
    for f in range(ops.shape[0]):
        op = ops[f, 0]
        w = ops[f, 1]
        count = sums[w, S_COUNT]
        value = math.nan
        if op == 5:  # COUNT
            value = count
        elif op == 6:  # SUM
            value = sums[w, S_SUM] / 100.0
        elif op == 7:  # MEAN
            if count > 0.0:
                value = sums[w, S_SUM] / count / 100.0
        elif op == 8:  # STD
            if count > 1.0:
                value = _std(count, sums[w, S_SUM], sums[w, S_SQUARES])
        elif op == 9:  # MAX
            if count > 0.0:
                value = sums[w, S_MAX] / 100.0
        elif op == 10:  # ZSCORE
            if count > 1.0:
                std = _std(count, sums[w, S_SUM], sums[w, S_SQUARES])
                value = (cents - sums[w, S_SUM] / count) / 100.0 / max(std, 0.01)
        elif op == 11:  # VELOCITY
            base = ops[f, 2]
            value = 0.0
            if sums[base, S_COUNT] > 0.0:
                value = count * windows[base] / (sums[base, S_COUNT] * windows[w])
        elif op == 12:  # SECONDS_SINCE_LAST
            if at > start:
                value = (t - kept[C_TIME, at - 1]) / 1e6
        elif op in (13, 14):  # DISTANCE_FROM_LAST, SPEED_FROM_LAST
            last = _last_place(kept, start, at) if not math.isnan(event[E_LAT]) else -1
            if last >= 0:
                value = distance_km(kept[C_LAT, last], kept[C_LON, last], event[E_LAT], event[E_LON])
                if op == 14:
                    value /= max(t - kept[C_TIME, last], 60e6) / HOUR_US
        elif op == 15:  # DISTANCE_FROM_USUAL
            n = sums[w, S_PLACES]
            if n > 0.0 and not math.isnan(event[E_LAT]):
                lon = event[E_LON] + sums[w, S_LON] / n
                value = distance_km(sums[w, S_LAT] / n, lon, event[E_LAT], event[E_LON])
        elif op == 16:  # DISTINCT
            value = sums[w, S_DISTINCT + ops[f, 2]]
        elif op == 17:  # IS_FIRST
            value = is_first[ops[f, 2]]
        elif op == 18:  # HOUR_DEVIATION
            if sums[w, S_KEPT] > 0.0:
                value = sums[w, S_HOURS] / sums[w, S_KEPT] / HOUR_US
        elif op == 19:  # FRAUD_SHARE
            value = sums[w, S_FRAUD] / count if count > 0.0 else 0.0
        elif op == 20:  # SAME_MERCHANT
            value = sums[w, S_SAME_MERCHANT]
        elif op == 21:  # SAME_AMOUNT
            value = sums[w, S_SAME_AMOUNT]
        elif op == 0:  # AMOUNT
            value = cents / 100.0
        elif op == 1:  # HOUR_OF_DAY
            value = (t % DAY_US) / HOUR_US
        elif op == 2:  # DAY_OF_WEEK (1970-01-01 was a Thursday)
            value = (math.floor(t / DAY_US) + 3.0) % 7.0
        elif op == 3:  # BUCKET
            if event[ops[f, 2]] != 0.0:
                value = event[ops[f, 2]] % 64.0
        elif op == 4 and not (math.isnan(event[E_LAT]) or math.isnan(event[E_HOME_LAT])):
            value = distance_km(event[E_HOME_LAT], event[E_HOME_LON], event[E_LAT], event[E_LON])
        out[f] = value


@njit(cache=True)
def _find(kept: Floats, start: int, end: int, identity: float) -> int:
    """Position of the kept event with this id hash, or -1."""
    for i in range(end - 1, start - 1, -1):
        if kept[C_ID, i] == identity:
            return i
    return -1


@njit(cache=True)
def _insert(kept: Floats, start: int, at: int, end: int, event: Floats, distinct: Ints, places: int) -> None:
    """Insert an event at its place and link it with its neighbours of the same value."""
    for column in range(kept.shape[0]):
        for i in range(end, at, -1):
            kept[column, i] = kept[column, i - 1]
    t = event[E_TIME]
    kept[C_TIME, at] = t
    kept[C_CENTS, at] = event[E_CENTS]
    kept[C_ID, at] = event[E_ID]
    kept[C_FRAUD, at] = 0.0
    if places:
        kept[C_LAT, at] = event[E_LAT]
        kept[C_LON, at] = event[E_LON]
    key = C_LAT + 2 * places
    nxt = key + distinct.shape[0]
    for k in range(distinct.shape[0]):
        value = event[distinct[k]]
        kept[key + k, at] = value
        following = math.inf
        i = at - 1
        while i >= start and kept[key + k, i] != value:
            i -= 1
        if i >= start:
            following = kept[nxt + k, i]
            kept[nxt + k, i] = t
        else:
            for j in range(at + 1, end + 1):
                if kept[key + k, j] == value:
                    following = kept[C_TIME, j]
                    break
        kept[nxt + k, at] = following


@njit(cache=True)
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
        i = 0
        while i < n and known[k, K_VALUE, i] != value:
            i += 1
        if i < n:
            is_first[k] = 1.0 if known[k, K_SINCE, i] > t else 0.0
            known[k, K_SINCE, i] = min(known[k, K_SINCE, i], t)
        else:
            is_first[k] = 1.0
            if n == capacities[k]:
                i = np.argmin(known[k, K_SEQUENCE, :n])
            else:
                counts[k] = n + 1
            known[k, K_VALUE, i] = value
            known[k, K_SINCE, i] = t
        known[k, K_SEQUENCE, i] = sequence


@njit(cache=True)
def _load_blocks(flat: Floats, at: int, blocks: Floats, counts: Ints, n_blocks: int) -> int:
    """Read the used part of each block (tiles of a level, remembered values) from a flat state."""
    for b in range(n_blocks):
        n = counts[b]
        for column in range(blocks.shape[1]):
            blocks[b, column, :n] = flat[at : at + n]
            at += n
    return at


@njit(cache=True)
def _store_blocks(flat: Floats, at: int, blocks: Floats, counts: Ints, n_blocks: int) -> int:
    """Write the used part of each block to a flat state."""
    for b in range(n_blocks):
        n = counts[b]
        for column in range(blocks.shape[1]):
            flat[at : at + n] = blocks[b, column, :n]
            at += n
    return at


@njit(cache=True, nogil=True)
def fold(
    plan: Floats,
    windows: Floats,
    levels: Ints,
    widths: Ints,
    reaches: Floats,
    distinct: Ints,
    known_columns: Ints,
    known_capacities: Ints,
    ops: Ints,
    events: Floats,
    groups: Ints,
    states: Floats,
    offsets: Ints,
    out: Floats,
    outcome: Floats,
    new_states: Floats,
    new_offsets: Ints,
) -> None:
    """Fold the events of several entities, each from its state; the one arithmetic of all callers.

    Parameters
    ----------
    plan, windows, levels, widths, reaches, distinct, known_columns, known_capacities, ops
        Of ``fraud.features.plan.Plan``.
    events
        [n, EVENT_COLUMNS], grouped by entity, each group in arrival order.
    groups
        [g + 1], where each entity's events begin.
    states, offsets
        The entities' states one after another, and where each begins [g + 1]; an empty one is new.
    out
        [n, features], written for new transactions.
    outcome
        [n], NEW or DUPLICATE for a transaction; the change of verdict (-1, 0, 1) for a label.
    new_states, new_offsets
        The entities' states after their events; ``new_states`` must be large enough.
    """
    n_events = int(plan[P_EVENTS])
    places = int(plan[P_PLACES])
    deduplicate = plan[P_DEDUPLICATE] == 1.0
    n_known = known_columns.shape[0]
    n_columns = C_LAT + 2 * places + 2 * distinct.shape[0]
    room = 2 * n_events
    kept = np.empty((n_columns, room))
    tiles = np.empty((LEVELS, TILE_COLUMNS, int(np.max(reaches / widths)) + 3))
    tile_counts = np.zeros(LEVELS, np.int64)
    known = np.empty((max(n_known, 1), KNOWN_COLUMNS, np.max(known_capacities) if n_known else 1))
    known_counts = np.zeros(4, np.int64)
    horizons = np.empty(LEVELS)
    sums = np.zeros((windows.shape[0], S_COLUMNS))
    is_first = np.empty(4)
    written = 0
    new_offsets[0] = 0
    for g in range(groups.shape[0] - 1):
        # --- load
        at = offsets[g]
        start = 0
        end = 0
        newest = -math.inf
        sequence = 0.0
        tile_counts[:] = 0
        known_counts[:] = 0
        if offsets[g + 1] > at:
            newest = states[at + H_NEWEST]
            sequence = states[at + H_SEQUENCE]
            end = int(states[at + H_EVENTS])
            for level in range(LEVELS):
                tile_counts[level] = int(states[at + H_TILES + level])
            for k in range(n_known):
                known_counts[k] = int(states[at + H_KNOWN + k])
            at += HEADER
            for column in range(n_columns):
                kept[column, :end] = states[at : at + end]
                at += end
            at = _load_blocks(states, at, tiles, tile_counts, LEVELS)
            _load_blocks(states, at, known, known_counts, n_known)
        # --- fold
        for e in range(groups[g], groups[g + 1]):
            event = events[e]
            t = event[E_TIME]
            if event[E_KIND] == KIND_LABEL:
                i = _find(kept, start, end, event[E_ID])
                change = 0.0
                if deduplicate:
                    if i >= 0:
                        verdict = 2.0 if event[E_CENTS] == 1.0 else 1.0
                        change = verdict - max(kept[C_FRAUD, i], 1.0)
                        kept[C_FRAUD, i] = verdict
                else:
                    change = event[E_CENTS]
                    if i >= 0:
                        kept[C_FRAUD, i] = 1.5 + 0.5 * change
                    else:
                        _label_tiles(tiles, tile_counts, widths, t, change)
                outcome[e] = change
                continue
            if deduplicate and _find(kept, start, end, event[E_ID]) >= 0:
                outcome[e] = DUPLICATE
                continue
            outcome[e] = NEW
            if t - newest > plan[P_IDLE]:
                known_counts[:] = 0
            newest = max(newest, t)
            sequence += 1.0
            forgotten = newest - plan[P_RETENTION]
            while start < end and kept[C_TIME, start] <= forgotten:
                start += 1
            for level in range(LEVELS):
                horizons[level] = np.floor((newest - reaches[level]) / widths[level])
            _drop_tiles(tiles, tile_counts, horizons)
            at = end
            while at > start and kept[C_TIME, at - 1] > t:
                at -= 1
            _window_sums(sums, kept, start, at, event, windows, distinct.shape[0], places)
            if tile_counts[0] + tile_counts[1] + tile_counts[2]:
                first_kept = kept[C_TIME, start] if start < end else math.inf
                _add_tile_sums(sums, tiles, tile_counts, widths, windows, levels, t, first_kept)
            _remember(known, known_counts, known_capacities, known_columns, event, sequence, is_first)
            _write_vector(out[e], ops, sums, event, kept, start, at, is_first, windows)
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
                start += 1
            if end == room:
                for column in range(n_columns):
                    for i in range(start, end):
                        kept[column, i - start] = kept[column, i]
                at -= start
                end -= start
                start = 0
            _insert(kept, start, at, end, event, distinct, places)
            end += 1
        # --- store
        n = end - start
        new_states[written + H_LAYOUT : written + HEADER] = 0.0
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
            new_states[written : written + n] = kept[column, start:end]
            written += n
        written = _store_blocks(new_states, written, tiles, tile_counts, LEVELS)
        written = _store_blocks(new_states, written, known, known_counts, n_known)
        new_offsets[g + 1] = written
