"""What the kernel's arrays mean: a program, a batch of events, and the memory in which one entity is folded.

numba looks at every argument of every call: a NamedTuple of a program's arrays costs a single event 3 to 7
microseconds more than the arrays themselves, one packed array 1 to 2 less. So a program is handed over
packed, and the NamedTuples are made inside, where they cost nothing.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from fraud.features.kernel.layout import (
    KNOWN_COLUMNS,
    LEVELS,
    LINE,
    MOST_DISTINCT,
    MOST_KNOWN,
    R_ROWS,
    S_ROWS,
    SLOTS,
    TILE_COLUMNS,
    WINDOWS,
    Floats,
    Ints,
)
from fraud.features.kernel.native import inlined


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
    same_merchant: int
    """Which distinct column holds the merchant."""
    needs_last_place: bool
    needs_home: bool
    most_tiles: int
    """Of a level."""
    most_values: int
    """Remembered ones, of a column."""
    windows: Floats
    """Lengths, growing."""
    levels: Ints
    """By window: the level of tiles that answers for it."""
    widths: Ints
    """By level."""
    reaches: Floats
    """By level: how far behind the newest event its tiles are kept."""
    distinct: Ints
    """Columns of an event whose distinct values are counted."""
    known_columns: Ints
    """Columns of an event whose values are remembered."""
    known_capacities: Ints
    scans: Ints
    """[s, 2]: row and window of each statistic that looks at every kept event of its window."""
    pairs: Ints
    """[p, 2]: the window and the base of each velocity."""
    ripe: Floats
    """[r, 2]: ages in microseconds of the far and the near end of each window of ripe transactions."""
    sources: Ints
    """The slot that each feature is read from."""


_SCALARS: Final = Program._fields.index("windows")
_HEAD: Final = len(Program._fields)


def pack(program: Program) -> Floats:
    """Write a program as one array: its scalars, the lengths of its arrays, the arrays.

    The members of arrays of whole numbers stand there by their bits.
    """
    arrays = [np.ascontiguousarray(array).ravel() for array in program[_SCALARS:]]
    head = [*map(float, program[:_SCALARS]), *(float(array.size) for array in arrays)]
    return np.concatenate([np.array(head), *(array.view(np.float64) for array in arrays)])


@inlined
def _floats(packed: Floats, number: int) -> Floats:
    """Read one of the arrays of a program, by its number."""
    first = _HEAD
    for i in range(number):
        first += int(packed[_SCALARS + i])
    return packed[first : first + int(packed[_SCALARS + number])]


@inlined
def _whole(packed: Floats, number: int) -> Ints:
    return _floats(packed, number).view(np.int64)


@inlined
def _pairs(numbers: Floats | Ints) -> Any:
    return numbers.reshape((numbers.shape[0] // 2, 2))


@inlined
def unpack(packed: Floats) -> Program:
    """Read a program."""
    return Program(
        int(packed[0]),
        int(packed[1]),
        int(packed[2]),
        packed[3] == 1.0,
        packed[4] == 1.0,
        packed[5],
        packed[6],
        packed[7],
        int(packed[8]),
        packed[9] == 1.0,
        packed[10] == 1.0,
        int(packed[11]),
        int(packed[12]),
        _floats(packed, 0),
        _whole(packed, 1),
        _whole(packed, 2),
        _floats(packed, 3),
        _whole(packed, 4),
        _whole(packed, 5),
        _whole(packed, 6),
        _pairs(_whole(packed, 7)),
        _pairs(_whole(packed, 8)),
        _pairs(_floats(packed, 9)),
        _whole(packed, 10),
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
    """[S_ROWS, WINDOWS]."""
    firsts: Ints
    """[WINDOWS], position of the first kept event that lies in the window."""


class Memory(NamedTuple):
    """Where one entity is folded; the next one takes its place."""

    kept: Floats
    """[stored columns + 1, room]: kept events column by column; the last, not stored, is the time of day."""
    tiles: Floats
    """[LEVELS, TILE_COLUMNS, most tiles], by number."""
    tile_counts: Ints
    known: Floats
    """[remembered columns, KNOWN_COLUMNS, most values]."""
    known_counts: Ints
    running: Windows
    """Windows that end at ``Cursor.now``, kept up from event to event."""
    other: Windows
    """Windows that end elsewhere (a late event), or with tiles."""
    slots: Floats
    """[R_ROWS, SLOTS]."""
    horizons: Floats
    """[LEVELS], number of the first tile that is kept."""
    before: Ints
    """[distinct columns], position of the event before the one just inserted with the same value; a position
    before ``start`` says that there is none."""


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


def work_floats(program: Program) -> int:
    """How many numbers of room the kernel needs to fold an entity."""
    return (
        (program.columns + 1) * (2 * program.events + LINE)
        + LEVELS * TILE_COLUMNS * program.most_tiles
        + len(program.known_columns) * KNOWN_COLUMNS * program.most_values
        + 2 * S_ROWS * WINDOWS
        + R_ROWS * SLOTS
        + LEVELS
        + LEVELS
        + MOST_KNOWN
        + 2 * WINDOWS
        + MOST_DISTINCT
    )


@inlined
def lay_out(program: Program, work: Floats) -> Memory:
    """Part the room between the arrays of a memory.

    Columns a power of two apart would share the cache's few sets: hence a line between them.
    """
    stride = 2 * program.events + LINE
    n_known = program.known_columns.shape[0]
    at = (program.columns + 1) * stride
    kept = work[:at].reshape((program.columns + 1, stride))
    size = LEVELS * TILE_COLUMNS * program.most_tiles
    tiles = work[at : at + size].reshape((LEVELS, TILE_COLUMNS, program.most_tiles))
    at += size
    size = n_known * KNOWN_COLUMNS * program.most_values
    known = work[at : at + size].reshape((n_known, KNOWN_COLUMNS, program.most_values))
    at += size
    size = S_ROWS * WINDOWS
    running = work[at : at + size].reshape((S_ROWS, WINDOWS))
    other = work[at + size : at + 2 * size].reshape((S_ROWS, WINDOWS))
    at += 2 * size
    slots = work[at : at + R_ROWS * SLOTS].reshape((R_ROWS, SLOTS))
    at += R_ROWS * SLOTS
    horizons = work[at : at + LEVELS]
    counts = work[at + LEVELS :].view(np.int64)
    at = LEVELS + MOST_KNOWN
    return Memory(
        kept,
        tiles,
        counts[:LEVELS],
        known,
        counts[LEVELS:at],
        Windows(running, counts[at : at + WINDOWS]),
        Windows(other, counts[at + WINDOWS : at + 2 * WINDOWS]),
        slots,
        horizons,
        counts[at + 2 * WINDOWS : at + 2 * WINDOWS + MOST_DISTINCT],
    )
