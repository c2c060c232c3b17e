"""What the kernel's arrays mean: a program, a batch of events, and the memory in which one entity is folded.

numba looks at every argument of every call: a NamedTuple of a program's arrays costs a single event 3 to 7
microseconds more than the arrays themselves, one packed array 1 to 2 less. So a program is handed over
packed, and the NamedTuples are made inside, where they cost nothing.
"""

from itertools import accumulate
from typing import Any, Final, NamedTuple

import numpy as np

from fraud.features.kernel.layout import (
    KNOWN_COLUMNS,
    LINE,
    M_ROWS,
    MEASURE_COLUMNS,
    PRESENT,
    S_DISTINCT,
    SINGLE_COLUMNS,
    TILE_COLUMNS,
    W_DISTINCT,
    Floats,
    Ints,
)
from fraud.features.kernel.native import inlined, shaped


class Program(NamedTuple):
    """What to keep of an entity and what to compute of it."""

    events: int
    """How many are kept one by one at most."""
    key: int
    """Column of a kept event where its distinct columns begin; after them, the times of their next ones."""
    columns: int
    """Stored ones, of a kept event."""
    has_places: bool
    deduplicates: bool
    layout: float
    retention_us: float
    idle_us: float
    minor_units: float
    """How many whole units of the amount make one."""
    needs_last_place: bool
    needs_home: bool
    most_tiles: int
    """Of a level."""
    most_values: int
    """Remembered ones, of a column."""
    copied: int
    """Column of a kept event where the values begin that are kept as they are."""
    mask: int
    """Column of an event that holds the bits of the filters that it fulfils; -1: no filter is kept."""
    offset: int
    """Column of an event that holds its place's offset from UTC, microseconds; -1: all clocks show UTC."""
    kept_offset: int
    """Column of a kept event that holds the same; -1: it is not kept."""
    kept_kind: int
    """Column of a kept event that holds its kind, for labels; -1: all entities count what it counts."""
    kinds: int
    """Which kinds of transactions are kept, as bits; the others are looked at."""
    told: int
    """Column of an event that holds its bits, of which results change some; -1: the schema has no results."""
    result_bits: int
    """Those that results change, of an event's bits."""
    uncount: int
    """Those of them that take a transaction out of what counts here."""
    profile: int
    """Number of the column of remembered values that is the entity's profile; -1: it has none."""
    profile_column: int
    """Column of an event where the values that a profile tells begin."""
    refund: int
    """Column of an event that holds what a refund pays back, and then what leaves the amount; -1: the schema
    has no refunds."""
    refunds: int
    """Number of the column of remembered values that holds the refunds, of the primary; else -1."""
    currency: int
    """Column of an event that holds its currency, where refunds may be in several; else -1."""
    minor: int
    """Column of an event that holds its amount in minor units of that currency."""
    kept_currency: int
    """Columns of a kept event that hold the same, and what refunds have taken out of its amount."""
    kept_minor: int
    kept_paid: int
    zone: int
    """Entry of the profile that tells the zone of transactions without one; -1: none does."""
    clock: float
    """Number of the zone of a transaction where neither it nor the profile names one; NaN: UTC."""
    is_plain: bool
    """Whether the kernel runs it whose loops are of the default table's shape; see ``PLAIN_WINDOWS``."""
    n_windows: int
    n_levels: int
    """Of tiles."""
    n_measures: int
    sum_rows: int
    """Rows of sums over the windows."""
    windows: Floats
    """Lengths, growing; one that stands there again fills a kernel that is compiled for more."""
    levels: Ints
    """By window: the level of tiles that answers for it."""
    widths: Ints
    """By level."""
    reaches: Floats
    """By level: how far behind the newest event its tiles are kept."""
    distinct: Ints
    """Columns of an event whose distinct values are counted."""
    known_columns: Ints
    """Columns of an event whose values are remembered; where it deduplicates, the last is the id of what is
    not kept."""
    known_capacities: Ints
    pairs: Ints
    """[p, 2]: the window and the base of each velocity."""
    buckets: Ints
    """Columns of an event that are hashed to buckets."""
    ripe: Floats
    """[r, 2]: ages in microseconds of the far and the near end of each window of ripe transactions."""
    copies: Ints
    """Columns of an event that are kept as they are; then, where ``mask`` is one, its bits as ``filters``."""
    filters: Ints
    """Bits of an event's mask, by the bit of a kept event's."""
    measures: Ints
    """[m, 3]: what is summed: its column of a kept event, of an event, and the bit of its filter or -1."""
    measure_units: Floats
    """By measure: how many of its whole units make one."""
    singles: Ints
    """[s, SINGLE_COLUMNS]: what is computed one at a time."""
    single_units: Floats
    """By single: how many of its whole units make one."""
    parts: Ints
    """Where in the slots each part begins, see ``Slots``."""
    sources: Ints
    """The slot that each feature is read from."""
    hands_on: Ints
    """[h, 2]: columns of a kept event and of an event: other entities' keys, which a notice may leave out."""
    tells: Ints
    """[t, 2]: the same, of the numbers that other entities measure, for results."""
    profile_sizes: Ints
    """By entry of the profile: how many its field has, from here on; see ``kernel.profiles``."""
    zones: Floats
    """Where the profile tells a zone: see ``fraud.features.clocks.Clocks.flat``. One array, because each is
    handed through every call of the kernel."""


PLAIN_WINDOWS: Final = 4
PLAIN_LEVELS: Final = 3
PLAIN_DISTINCT: Final = 3
"""What the plain kernel is compiled for (and no measures, filters and copied values): its loops over windows,
levels and sums have constant bounds, which makes it 7 % faster, and 30 % where tiles are read. Fewer windows
or distinct columns are filled up."""
SCALARS: Final = Program._fields.index("is_plain")
FIRST_ARRAY: Final = Program._fields.index("windows")
_ARRAYS: Final = len(Program._fields) - FIRST_ARRAY
_HEAD: Final = SCALARS + _ARRAYS + 1
SCRATCH: Final = 8
"""Numbers of room by kept event, for what is sorted or counted."""


def pack(program: Program) -> Floats:
    """Write a program as one array: its scalars, where its arrays begin and the last one ends, the arrays.

    The members of arrays of whole numbers stand there by their bits.
    """
    arrays = [np.ascontiguousarray(array).ravel() for array in program[FIRST_ARRAY:]]
    ends = np.cumsum([_HEAD, *(array.size for array in arrays)])
    head = [*map(float, program[:SCALARS]), *ends.tolist()]
    return np.concatenate([np.array(head), *(array.view(np.float64) for array in arrays)])


@inlined
def _floats(packed: Floats, number: int) -> Floats:
    """Read one of the arrays of a program, by its number."""
    return packed[int(packed[SCALARS + number]) : int(packed[SCALARS + number + 1])]


@inlined
def _whole(packed: Floats, number: int) -> Ints:
    return _floats(packed, number).view(np.int64)


@inlined
def _table(numbers: Floats | Ints, columns: int) -> Any:
    return shaped(numbers, (numbers.shape[0] // columns, columns))


@inlined
def unpack(packed: Floats, is_plain: bool) -> Program:
    """Read a program; ``is_plain`` is a constant of the compiled kernel."""
    windows, widths, distinct = _floats(packed, 0), _whole(packed, 2), _whole(packed, 4)
    measures = _table(_whole(packed, 12), 3)
    n_windows = PLAIN_WINDOWS if is_plain else windows.shape[0]
    n_levels = PLAIN_LEVELS if is_plain else widths.shape[0]
    n_measures = 0 if is_plain else measures.shape[0]
    n_distinct = PLAIN_DISTINCT if is_plain else distinct.shape[0]
    return Program(
        int(packed[0]),
        int(packed[1]),
        int(packed[2]),
        packed[3] == 1.0,
        packed[4] == 1.0,
        packed[5],
        packed[6],
        packed[7],
        packed[8],
        packed[9] == 1.0,
        packed[10] == 1.0,
        int(packed[11]),
        int(packed[12]),
        int(packed[13]),
        int(packed[14]),
        int(packed[15]),
        int(packed[16]),
        int(packed[17]),
        int(packed[18]),
        int(packed[19]),
        int(packed[20]),
        int(packed[21]),
        int(packed[22]),
        int(packed[23]),
        int(packed[24]),
        int(packed[25]),
        int(packed[26]),
        int(packed[27]),
        int(packed[28]),
        int(packed[29]),
        int(packed[30]),
        int(packed[31]),
        packed[32],
        is_plain,
        n_windows,
        n_levels,
        n_measures,
        S_DISTINCT + n_distinct,
        windows,
        _whole(packed, 1),
        widths,
        _floats(packed, 3),
        distinct,
        _whole(packed, 5),
        _whole(packed, 6),
        _table(_whole(packed, 7), 2),
        _whole(packed, 8),
        _table(_floats(packed, 9), 2),
        _whole(packed, 10),
        _whole(packed, 11),
        measures,
        _floats(packed, 13),
        _table(_whole(packed, 14), SINGLE_COLUMNS),
        _floats(packed, 15),
        _whole(packed, 16),
        _whole(packed, 17),
        _table(_whole(packed, 18), 2),
        _table(_whole(packed, 19), 2),
        _whole(packed, 20),
        _floats(packed, 21),
    )


class Batch(NamedTuple):
    """Events of several entities, with their states; see ``fraud.features.kernel.fold.fold``."""

    events: Floats
    rows: Ints
    groups: Ints
    states: Floats
    offsets: Ints
    out: Floats
    out_first: int
    outcomes: Floats
    new_states: Floats
    new_offsets: Ints


class Windows(NamedTuple):
    """Sums over the kept events of each window."""

    sums: Floats
    """[``Program.sum_rows``, windows]."""
    firsts: Ints
    """[windows], position of the first kept event that is in the window."""


class Slots(NamedTuple):
    """Where each statistic leaves its value; all stand one after another in ``flat``."""

    flat: Floats
    present: Floats
    """[PRESENT], of the transaction alone, and of the latest one."""
    by_window: Floats
    """[W_DISTINCT + distinct columns + M_ROWS by measure, windows]."""
    is_first: Floats
    """By remembered column."""
    velocities: Floats
    """By pair of windows."""
    buckets: Floats
    ripe: Floats
    singles: Floats


class Memory(NamedTuple):
    """Where one entity is folded; the next one takes its place."""

    kept: Floats
    """[stored columns + 1, room]: kept events column by column; the last, not stored, is the time of day."""
    tiles: Floats
    """[levels, TILE_COLUMNS + MEASURE_COLUMNS by measure, most tiles], by number."""
    tile_counts: Ints
    known: Floats
    """[remembered columns, KNOWN_COLUMNS, most values]."""
    known_counts: Ints
    running: Windows
    """Windows that end at ``Cursor.now``, kept up from event to event."""
    other: Windows
    """Windows that end elsewhere (a late event), or with tiles."""
    measured: Floats
    """[measures, MEASURE_COLUMNS, windows], summed from scratch for every transaction."""
    own: Floats
    """By measure: the value that an event adds; NaN where it adds none."""
    slots: Slots
    horizons: Floats
    """By level: number of the first tile that is kept."""
    before: Ints
    """By distinct column: position of the event before the one just inserted with the same value; a position
    before ``start`` says that there is none."""
    scratch: Floats
    """Room for as many values as are kept, ``SCRATCH`` times."""


class Cursor(NamedTuple):
    """How far an entity has come."""

    start: int
    """Position of the first kept event."""
    end: int
    """Position after the last kept event."""
    newest: float
    """Greatest event time seen."""
    sequence: float
    """Transactions folded."""
    is_running: bool
    """Whether ``Memory.running`` is up to date."""
    now: float
    """Where the running windows end."""


def parts_of(
    windows: int, distinct: int, measures: int, known: int, pairs: int, buckets: int, ripe: int, singles: int
) -> list[int]:
    """Lay the slots out: where the parts of ``Slots`` begin, from ``by_window`` on, and the last one ends."""
    by_window = (W_DISTINCT + distinct + M_ROWS * measures) * windows
    return list(accumulate([PRESENT, by_window, known, pairs, buckets, ripe, singles]))


def work_floats(program: Program) -> int:
    """How many numbers of room the kernel needs to fold an entity."""
    levels, n_windows, n_distinct = program.n_levels, program.n_windows, len(program.distinct)
    n_known, n_measures = len(program.known_columns), program.n_measures
    return (
        (program.columns + 1) * (2 * program.events + LINE)
        + levels * (TILE_COLUMNS + MEASURE_COLUMNS * n_measures) * program.most_tiles
        + n_known * KNOWN_COLUMNS * program.most_values
        + 2 * program.sum_rows * n_windows
        + n_measures * (MEASURE_COLUMNS * n_windows + 1)
        + int(program.parts[-1])
        + 2 * levels
        + n_known
        + 2 * n_windows
        + n_distinct
        + SCRATCH * program.events
    )


@inlined
def lay_out(program: Program, work: Floats) -> Memory:
    """Part the room between the arrays of a memory.

    Columns a power of two apart would share the cache's few sets: hence a line between them.
    """
    stride = 2 * program.events + LINE
    levels, n_windows, n_distinct = program.n_levels, program.n_windows, program.distinct.shape[0]
    n_known, n_measures = program.known_columns.shape[0], program.n_measures
    at = (program.columns + 1) * stride
    kept = shaped(work[:at], (program.columns + 1, stride))
    tile_columns = TILE_COLUMNS + MEASURE_COLUMNS * n_measures
    size = levels * tile_columns * program.most_tiles
    tiles = shaped(work[at : at + size], (levels, tile_columns, program.most_tiles))
    at += size
    size = n_known * KNOWN_COLUMNS * program.most_values
    known = shaped(work[at : at + size], (n_known, KNOWN_COLUMNS, program.most_values))
    at += size
    rows = program.sum_rows
    size = rows * n_windows
    running = shaped(work[at : at + size], (rows, n_windows))
    other = shaped(work[at + size : at + 2 * size], (rows, n_windows))
    at += 2 * size
    size = n_measures * MEASURE_COLUMNS * n_windows
    measured = shaped(work[at : at + size], (n_measures, MEASURE_COLUMNS, n_windows))
    own = work[at + size : at + size + n_measures]
    at += size + n_measures
    size = program.parts[program.parts.shape[0] - 1]
    slots = _lay_out_slots(program, work[at : at + size])
    at += size
    horizons = work[at : at + levels]
    scratch = work[at + levels : at + levels + SCRATCH * program.events]
    counts = work[at + levels + SCRATCH * program.events :].view(np.int64)
    at = levels + n_known
    return Memory(
        kept,
        tiles,
        counts[:levels],
        known,
        counts[levels:at],
        Windows(running, counts[at : at + n_windows]),
        Windows(other, counts[at + n_windows : at + 2 * n_windows]),
        measured,
        own,
        slots,
        horizons,
        counts[at + 2 * n_windows : at + 2 * n_windows + n_distinct],
        scratch,
    )


@inlined
def _lay_out_slots(program: Program, flat: Floats) -> Slots:
    parts, n_windows = program.parts, program.n_windows
    rows = W_DISTINCT + program.distinct.shape[0] + M_ROWS * program.n_measures
    return Slots(
        flat,
        flat[:PRESENT],
        shaped(flat[PRESENT : PRESENT + rows * n_windows], (rows, n_windows)),
        flat[parts[1] : parts[2]],
        flat[parts[2] : parts[3]],
        flat[parts[3] : parts[4]],
        flat[parts[4] : parts[5]],
        flat[parts[5] : parts[6]],
    )
