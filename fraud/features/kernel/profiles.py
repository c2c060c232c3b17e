"""Profiles: what is known of an entity itself, told from time to time, and the statistics of it.

A profile is one of the columns of remembered values: empty until something is told, then of a fixed length.
Entry 0 holds the newest event time (K_VALUE) and the latest arrival of a profile (K_SEQUENCE): the state is
as old as the later of both, the windows know events alone. Then each field has an entry, a place two: its
value, NaN where it is not known; since when it holds (K_SINCE; negative: it was the first that was told);
and the time of the profile that told it last (K_SEQUENCE; 0: none has). A profile that is older than that
changes nothing of the field, whenever it arrives.
"""

import math

from fraud.features.kernel.distances import distance_km
from fraud.features.kernel.keep import forget_known
from fraud.features.kernel.layout import (
    A_EVENT,
    A_KEPT,
    A_NUMBER,
    A_OP,
    BUCKETS,
    E_LAT,
    E_LON,
    E_TIME,
    E_TOLD_AT,
    K_SEQUENCE,
    K_SINCE,
    K_VALUE,
    SECOND_US,
    X_PROFILE_AGE,
    X_PROFILE_BUCKET,
    X_PROFILE_CHANGED,
    X_PROFILE_DISTANCE,
    X_PROFILE_IS,
    X_PROFILE_SAME,
    X_PROFILE_SHARE,
    X_PROFILE_SINCE,
    Floats,
    Ints,
)
from fraud.features.kernel.native import inlined, inner
from fraud.features.kernel.records import Cursor, Memory, Program


@inlined
def told_at(program: Program, memory: Memory) -> float:
    """When a profile of the entity arrived last, microseconds; -infinity: none has."""
    if program.is_plain or program.profile < 0 or memory.known_counts[program.profile] == 0:
        return -math.inf
    at: float = memory.known[program.profile, K_SEQUENCE, 0]
    return at


@inlined
def is_idle(program: Program, memory: Memory, cursor: Cursor, t: float) -> bool:
    """Whether an entity was silent for so long that it starts again: no transaction, and no profile."""
    if program.is_plain or program.profile < 0:
        return t - cursor.newest > program.idle_us
    return t - max(cursor.newest, told_at(program, memory)) > program.idle_us


@inlined
def apply_profile(program: Program, memory: Memory, cursor: Cursor, event: Floats) -> None:
    """Take in what a profile tells: NaN is not told, infinity that the value is not known any more."""
    k = program.profile
    if k < 0:
        return
    if is_idle(program, memory, cursor, event[E_TOLD_AT]):
        forget_known(memory)
    known, entries = memory.known[k], program.known_capacities[k]
    if memory.known_counts[k] == 0:
        memory.known_counts[k] = entries
        for i in range(entries):
            known[K_VALUE, i] = math.nan
            known[K_SINCE, i] = 0.0
            known[K_SEQUENCE, i] = 0.0
        known[K_SEQUENCE, 0] = -math.inf
    known[K_SEQUENCE, 0] = max(known[K_SEQUENCE, 0], event[E_TOLD_AT])
    at = 1
    while at < entries:
        told = event[program.profile_column + at - 1]
        size = program.profile_sizes[at]
        if not math.isnan(told) and event[E_TIME] >= known[K_SEQUENCE, at]:
            first = program.profile_column + at - 1
            _tell(known, at, event[first : first + size], event[E_TIME])
        at += size


@inner
def _tell(known: Floats, at: int, told: Floats, t: float) -> None:
    """Write what was told of one field at a time."""
    is_same = True
    for i in range(told.shape[0]):
        value = math.nan if math.isinf(told[i]) else told[i]
        before = known[K_VALUE, at + i]
        is_same &= before == value or (math.isnan(before) and math.isnan(value))
        known[K_VALUE, at + i] = value
    for i in range(told.shape[0]):
        if known[K_SEQUENCE, at + i] == 0.0:
            known[K_SINCE, at + i] = -t
        elif not is_same:
            known[K_SINCE, at + i] = t
        known[K_SEQUENCE, at + i] = t


@inlined
def profile_statistic(program: Program, memory: Memory, event: Floats, single: Ints, unit: float) -> float:
    """Compute one statistic of the entity's profile; NaN where it was not told."""
    if memory.known_counts[program.profile] == 0:
        return math.nan
    known = memory.known[program.profile]
    op, at = single[A_OP], single[A_KEPT]
    value = known[K_VALUE, at]
    if op in (X_PROFILE_SINCE, X_PROFILE_CHANGED):
        return _since(op, known[K_SEQUENCE, at], known[K_SINCE, at], event[E_TIME], single[A_NUMBER])
    if math.isnan(value):
        return math.nan
    if op == X_PROFILE_DISTANCE:
        is_known = not math.isnan(event[E_LAT])
        there = known[K_VALUE, at + 1]
        return distance_km(value, there, event[E_LAT], event[E_LON]) if is_known else math.nan
    if op in (X_PROFILE_SAME, X_PROFILE_IS, X_PROFILE_SHARE):
        own = float(single[A_NUMBER]) if op == X_PROFILE_IS else event[single[A_EVENT]]
        return _against(op, own, value, unit)
    return _alone(op, value, event[E_TIME], unit)


@inner
def _alone(op: int, value: float, t: float, unit: float) -> float:
    """Give the value itself, its bucket, or its age."""
    if op == X_PROFILE_BUCKET:
        return value - BUCKETS * math.floor(value / BUCKETS)
    return (t - value) / SECOND_US if op == X_PROFILE_AGE else value / unit


@inner
def _since(op: int, told: float, since: float, t: float, window: float) -> float:
    """Tell how long a field has had its value, or whether that is a change of the window."""
    if told == 0.0:
        return math.nan
    if op == X_PROFILE_SINCE:
        return max(t - abs(since), 0.0) / SECOND_US
    return 1.0 if since > max(t - window, 0.0) else 0.0


@inner
def _against(op: int, own: float, value: float, unit: float) -> float:
    """Compare what the transaction has, or a word of the schema, with the profile's value."""
    if op in (X_PROFILE_SAME, X_PROFILE_IS):
        return math.nan if own == 0.0 else 1.0 if own == value else 0.0
    return math.nan if math.isnan(own) or value == 0.0 else own / value / unit


@inlined
def as_stored(program: Program, memory: Memory, newest: float) -> float:
    """Note the newest event beside a profile; returns the time that the state is as old as."""
    told = told_at(program, memory)
    if told > -math.inf:
        memory.known[program.profile, K_VALUE, 0] = newest
    return max(newest, told)


@inlined
def newest_of(program: Program, memory: Memory, stored: float) -> float:
    """Read the newest event back; -infinity: the entity has a profile alone."""
    if told_at(program, memory) == -math.inf:
        return stored
    newest: float = memory.known[program.profile, K_VALUE, 0]
    return newest
