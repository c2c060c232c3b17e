"""The feature table compiled for the kernel: small arrays, one set an entity."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from fraud.errors import BadConfig
from fraud.features.kernel import layout as kernel
from fraud.features.kernel.layout import Floats, Ints
from fraud.features.kernel.records import Program, pack, work_floats
from fraud.schema.features import (
    IDLE_US,
    LATENESS_US,
    MERCHANT_FEATURES,
    RIPE,
    RIPE_US,
    TILES_US,
    USER,
    USER_FEATURES,
    WINDOW_TILE_LEVEL,
    WINDOWS,
    WINDOWS_US,
    Entity,
    Feature,
    Op,
)

EVENT_COLUMN: Final = {
    "user": kernel.E_USER,
    "merchant": kernel.E_MERCHANT,
    "category": kernel.E_CATEGORY,
    "country": kernel.E_COUNTRY,
    "device": kernel.E_DEVICE,
    "channel": kernel.E_CHANNEL,
}
RETENTION_US: Final = max(WINDOWS_US.values()) + LATENESS_US
"""An event this much older than its entity's newest one is forgotten."""
_LENGTHS_US: Final = tuple(WINDOWS_US[name] for name in WINDOWS)
_REACHES_US: Final = tuple(
    LATENESS_US
    + max(length for length, of in zip(_LENGTHS_US, WINDOW_TILE_LEVEL, strict=True) if of == level)
    for level in range(kernel.LEVELS)
)
"""How far behind the newest event the tiles of each level are kept."""
_MOST_TILES: Final = tuple(reach // width + 3 for reach, width in zip(_REACHES_US, TILES_US, strict=True))
"""Most tiles of each level."""
_BUCKETS: Final = ("category", "country", "device", "channel")
"""Columns of the kernel's bucket slots, in their order."""


_ROW: Final = {
    Op.COUNT: kernel.R_COUNT,
    Op.SUM: kernel.R_SUM,
    Op.MEAN: kernel.R_MEAN,
    Op.STD: kernel.R_STD,
    Op.MAX: kernel.R_MAX,
    Op.ZSCORE: kernel.R_ZSCORE,
    Op.FRAUD_SHARE: kernel.R_FRAUD_SHARE,
    Op.HOUR_DEVIATION: kernel.R_HOURS,
    Op.SAME_MERCHANT: kernel.R_SAME_MERCHANT,
    Op.SAME_AMOUNT: kernel.R_SAME_AMOUNT,
    Op.DISTANCE_FROM_USUAL: kernel.R_USUAL,
    Op.FRAUD_RUN: kernel.R_FRAUD_RUN,
    Op.SECONDS_SINCE_FIRST_FRAUD: kernel.R_FIRST_FRAUD,
}
"""Row of slots of a statistic over one window."""
_SLOT: Final = {
    Op.AMOUNT: (kernel.R_PRESENT, 0),
    Op.HOUR_OF_DAY: (kernel.R_PRESENT, 1),
    Op.DAY_OF_WEEK: (kernel.R_PRESENT, 2),
    Op.DISTANCE_FROM_HOME: (kernel.R_PRESENT, 3),
    Op.SECONDS_SINCE_LAST: (kernel.R_LAST, 0),
    Op.DISTANCE_FROM_LAST: (kernel.R_LAST, 1),
    Op.SPEED_FROM_LAST: (kernel.R_LAST, 2),
    Op.SECONDS_SINCE_FRAUD: (kernel.R_LAST, 3),
}
"""Slot of a statistic that there is one of."""
_SCANNED: Final = (Op.HOUR_DEVIATION, Op.SAME_MERCHANT, Op.SAME_AMOUNT, Op.DISTANCE_FROM_USUAL)
_PLACED: Final = (Op.DISTANCE_FROM_LAST, Op.SPEED_FROM_LAST, Op.DISTANCE_FROM_USUAL)


@dataclass(frozen=True, slots=True)
class Plan:
    """The program of one entity, and the sizes that go with it."""

    entity: Entity
    features: tuple[Feature, ...]
    layout: float
    """Identity of the state's layout: whole number below 2**53."""
    kept_columns: int
    """Numbers that a state holds of each kept event."""
    state_floats: int
    """Greatest length of a state, in float64."""
    event_floats: int
    """By how much one event can lengthen a state, in float64."""
    work_floats: int
    """Room that the kernel works in, in float64."""
    program: Floats
    """What the kernel runs; see ``fraud.features.kernel.records.Program``."""


@cache
def compile_plan(entity: Entity, features: tuple[Feature, ...] | None = None) -> Plan:
    """Compile the features of one entity (the user pass also computes those of the transaction alone).

    Parameters
    ----------
    entity
        USER or MERCHANT, or one of other bounds.
    features
        What to compute; all features of the table by default. The state does not depend on it.

    Raises
    ------
    BadConfig
        When the entity does not keep what a feature needs, or asks for more than the kernel holds.

    Examples
    --------
    >>> from fraud.schema.features import MERCHANT
    >>> compile_plan(MERCHANT).features[0].name
    'count_1h_by_merchant'
    """
    if features is None:
        features = USER_FEATURES if entity.name == USER.name else MERCHANT_FEATURES
    if len(entity.distinct) > kernel.MOST_DISTINCT or len(entity.known) > kernel.MOST_KNOWN:
        raise BadConfig(f"the {entity.name} counts or remembers more columns than the kernel holds")
    program = _program_of(entity, features)
    known = sum(capacity for _, capacity in entity.known)
    return Plan(
        entity=entity,
        features=features,
        layout=program.layout,
        kept_columns=program.columns,
        state_floats=kernel.HEADER
        + entity.events * program.columns
        + sum(_MOST_TILES) * kernel.TILE_COLUMNS
        + known * kernel.KNOWN_COLUMNS,
        event_floats=program.columns
        + kernel.LEVELS * kernel.TILE_COLUMNS
        + len(entity.known) * kernel.KNOWN_COLUMNS,
        work_floats=work_floats(program),
        program=pack(program),
    )


def _program_of(entity: Entity, features: tuple[Feature, ...]) -> Program:
    pairs = _distinct_pairs((f.window, f.base) for f in features if f.kind.op is Op.VELOCITY)
    slots = [_slot(entity, feature, pairs) for feature in features]
    scans = {slot for slot, f in zip(slots, features, strict=True) if f.kind.op in _SCANNED}
    ops = {f.kind.op for f in features}
    key = kernel.C_LAT + 2 * entity.places
    return Program(
        events=entity.events,
        key=key,
        columns=key + 2 * len(entity.distinct),
        has_places=entity.places,
        deduplicates=entity.deduplicates,
        layout=_layout_of(entity),
        retention_us=float(RETENTION_US),
        idle_us=float(IDLE_US),
        same_merchant=entity.distinct.index("merchant") if "merchant" in entity.distinct else -1,
        needs_last_place=bool(ops & {Op.DISTANCE_FROM_LAST, Op.SPEED_FROM_LAST}),
        needs_home=Op.DISTANCE_FROM_HOME in ops,
        most_tiles=max(_MOST_TILES),
        most_values=max((capacity for _, capacity in entity.known), default=0),
        windows=np.array(_LENGTHS_US, np.float64),
        levels=np.array(WINDOW_TILE_LEVEL, np.int64),
        widths=np.array(TILES_US, np.int64),
        reaches=np.array(_REACHES_US, np.float64),
        distinct=_columns(entity.distinct),
        known_columns=_columns([name for name, _ in entity.known]),
        known_capacities=np.array([capacity for _, capacity in entity.known], np.int64),
        scans=np.array(sorted(scans), np.int64).reshape(-1, 2),
        pairs=np.array([(WINDOWS.index(a), WINDOWS.index(b)) for a, b in pairs], np.int64).reshape(-1, 2),
        ripe=np.array([(age, WINDOWS_US[RIPE]) for age in RIPE_US.values()], np.float64),
        sources=np.array([kernel.SLOTS * row + at for row, at in slots], np.int64),
    )


def _columns(names: Iterable[str]) -> Ints:
    return np.array([EVENT_COLUMN[name] for name in names], np.int64)


def _slot(entity: Entity, feature: Feature, pairs: list[tuple[str, str]]) -> tuple[int, int]:
    """Where the kernel leaves a feature's value: row and position of its slot."""
    op = feature.kind.op
    try:
        if op in _SLOT:
            slot = _SLOT[op]
        elif op is Op.VELOCITY:
            slot = kernel.R_VELOCITY, pairs.index((feature.window, feature.base))
        elif op is Op.RIPE_FRAUD_SHARE:
            slot = kernel.R_RIPE, list(RIPE_US).index(feature.window)
        elif op is Op.BUCKET:
            slot = kernel.R_BUCKET, _BUCKETS.index(feature.column)
        elif op is Op.IS_FIRST:
            slot = kernel.R_FIRST, [column for column, _ in entity.known].index(feature.column)
        elif op is Op.DISTINCT:
            slot = kernel.R_DISTINCT + entity.distinct.index(feature.column), WINDOWS.index(feature.window)
        else:
            slot = _ROW[op], WINDOWS.index(feature.window)
    except ValueError as error:
        raise BadConfig(f"{feature.name}: the {entity.name} does not keep what it needs") from error
    needs_merchant = op is Op.SAME_MERCHANT and "merchant" not in entity.distinct
    if slot[1] >= kernel.WINDOWS or needs_merchant or (op in _PLACED and not entity.places):
        raise BadConfig(f"{feature.name}: the {entity.name} does not keep what it needs")
    return slot


def _layout_of(entity: Entity) -> float:
    words = (
        kernel.LAYOUT,
        entity,
        _LENGTHS_US,
        WINDOW_TILE_LEVEL,
        TILES_US,
        _REACHES_US,
        RETENTION_US,
        IDLE_US,
    )
    return float(int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:8]) >> 11)


def _distinct_pairs(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(pairs))
