"""A state's bytes, for all who read or write them: the batch engine, the scoring service, the log, people.

Layout: a header, the kept events column by column, the levels of tiles, the remembered values column by
column; all float64, little-endian.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fraud.errors import BadState
from fraud.features.kernel import layout, state
from fraud.features.kernel.layout import Floats, Ints
from fraud.features.plan import Plan

NUMBER_BYTES: Final = 8
_REBUILD: Final = "rebuild the store from the log with `fraud replay rebuild-store`"


@dataclass(frozen=True, slots=True)
class StateContent:
    """The parts of a state, not decoded further."""

    newest_us: float
    sequence: float
    kept: Floats
    """[columns, events], by event time."""
    tile_counts: list[int]
    """By level."""
    known: list[Floats]
    """[KNOWN_COLUMNS, values] of each remembered column."""
    profile: Floats
    """[KNOWN_COLUMNS, entries], without the first; see ``kernel.profiles``. Empty where nothing was told."""


def read_numbers(plan: Plan, state_bytes: bytes | memoryview) -> Floats:
    """View a state as the kernel takes it.

    Raises
    ------
    BadState
        When its length is not a whole number of numbers.
    """
    if len(state_bytes) % NUMBER_BYTES:
        raise _cut_short(plan, len(state_bytes))
    return np.frombuffer(state_bytes, np.float64)


def join_states(plan: Plan, states: Sequence[bytes]) -> tuple[Floats, Ints]:
    """Join states as the kernel takes them.

    Returns
    -------
    tuple
        The numbers, and where each state begins [n + 1].

    Raises
    ------
    BadState
        When a length is not a whole number of numbers.
    """
    sizes = np.array([*map(len, states)], np.int64)
    if (sizes % NUMBER_BYTES).any():
        raise _cut_short(plan, int(sizes[sizes % NUMBER_BYTES > 0][0]))
    offsets = np.concatenate([[0], np.cumsum(sizes // NUMBER_BYTES)])
    return np.frombuffer(b"".join(states), np.float64), offsets


def split_states(keys: Iterable[float], numbers: Floats, offsets: Ints) -> Iterator[tuple[float, bytes]]:
    """Part what the kernel wrote into the states' bytes, by key."""
    raw = numbers.tobytes()
    ends = (offsets * NUMBER_BYTES).tolist()
    return zip(keys, map(raw.__getitem__, map(slice, ends, ends[1:])), strict=True)


def refusal(plan: Plan, numbers: Floats, fault: int) -> BadState:
    """Say why the kernel did not take a state, and what to do."""
    if fault == state.CUT_SHORT:
        return _cut_short(plan, NUMBER_BYTES * len(numbers))
    name = plan.entity.name
    if fault == state.OTHER_LAYOUT:
        return BadState(f"the state of a {name} was written with another layout; {_REBUILD}")
    return BadState(
        f"the state of a {name} is damaged: its header says {numbers[layout.H_EVENTS]:g} events, "
        f"which does not fit its length of {NUMBER_BYTES * len(numbers):,} bytes; {_REBUILD}"
    )


def transaction_count(state_bytes: bytes | memoryview) -> int:
    """How many transactions a state has counted."""
    return int(_header(state_bytes)[layout.H_SEQUENCE])


def transaction_counts(states: Mapping[float, bytes | None], keys: Floats) -> Floats:
    """How many transactions each entity's state has counted, [n]; none without a state."""
    distinct, where = np.unique(keys, return_inverse=True)
    found = map(states.get, distinct.tolist())
    of_each = np.array(
        [transaction_count(state_bytes) if state_bytes else 0 for state_bytes in found], np.float64
    )
    return np.asarray(of_each[where], np.float64)


def newest_us(state_bytes: bytes | memoryview) -> float:
    """Newest event time of a state, or newest arrival of a profile, microseconds; -infinity: none yet."""
    return float(_header(state_bytes)[layout.H_NEWEST])


def read_content(plan: Plan, state_bytes: bytes) -> StateContent:
    """Part a state that the kernel has taken (others are refused by it alone)."""
    numbers = read_numbers(plan, state_bytes)
    header, rest = numbers[: plan.header], numbers[plan.header :]
    first_known = layout.H_TILES + len(plan.tiling.widths_us)
    kept, rest = _take(rest, plan.kept_columns, header[layout.H_EVENTS])
    tile_counts = header[layout.H_TILES : first_known].astype(int).tolist()
    rest = rest[plan.tile_columns * sum(tile_counts) :]
    known = []
    for count in header[first_known : first_known + len(plan.entity.known)].tolist():
        values, rest = _take(rest, layout.KNOWN_COLUMNS, count)
        known.append(values)
    newest, sequence = header[[layout.H_NEWEST, layout.H_SEQUENCE]].tolist()
    has_profile = bool(plan.entity.profile)
    at = first_known + len(plan.entity.known)
    told, _ = _take(rest, layout.KNOWN_COLUMNS, header[at] if has_profile else 0.0)
    if told.shape[1]:
        newest = float(told[layout.K_VALUE, 0])
    return StateContent(newest, sequence, kept, tile_counts, known, told[:, 1:])


def _header(state_bytes: bytes | memoryview) -> Floats:
    return np.frombuffer(state_bytes, np.float64, count=layout.H_SEQUENCE + 1)


def _take(numbers: Floats, columns: int, count: float) -> tuple[Floats, Floats]:
    size = columns * int(count)
    return numbers[:size].reshape(columns, int(count)), numbers[size:]


def _cut_short(plan: Plan, length: int) -> BadState:
    return BadState(f"the state of a {plan.entity.name} is damaged: cut short, {length:,} bytes; {_REBUILD}")
