"""The feature table compiled for the kernel: small arrays, one set an entity."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from fraud.errors import BadConfig
from fraud.features import kernel
from fraud.features.definitions import (
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
from fraud.features.kernel import Floats, Ints

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
    """What the kernel needs to know of one entity; see ``fraud.features.kernel.fold``."""

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
    scalars: Floats
    windows: Floats
    levels: Ints
    widths: Ints
    reaches: Floats
    distinct: Ints
    known_columns: Ints
    known_capacities: Ints
    scans: Ints
    """[s, 2]: row and window of each statistic that looks at every kept event of its window."""
    pairs: Ints
    """[p, 2]: the window and the base of each velocity."""
    ripe: Floats
    """[r, 2]: ages in microseconds of the far and the near end of each window of ripe transactions."""
    sources: Ints
    """[features]: the slot that each feature is read from."""

    @property
    def arrays(self) -> tuple[Floats | Ints, ...]:
        """The first arguments of the kernel, in its order."""
        return (
            self.scalars,
            self.windows,
            self.levels,
            self.widths,
            self.reaches,
            self.distinct,
            self.known_columns,
            self.known_capacities,
            self.scans,
            self.pairs,
            self.ripe,
            self.sources,
        )


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
    >>> from fraud.features.definitions import MERCHANT
    >>> len(compile_plan(MERCHANT).sources) == len(compile_plan(MERCHANT).features)
    True
    """
    if features is None:
        features = USER_FEATURES if entity.name == USER.name else MERCHANT_FEATURES
    if len(entity.distinct) > kernel.MOST_DISTINCT or len(entity.known) > kernel.MOST_KNOWN:
        raise BadConfig(f"the {entity.name} counts or remembers more columns than the kernel holds")
    columns = kernel.C_LAT + 2 * entity.places + 2 * len(entity.distinct)
    tiles = sum(reach // width + 3 for reach, width in zip(_REACHES_US, TILES_US, strict=True))
    known = sum(capacity for _, capacity in entity.known)
    layout = _layout_of(entity)
    pairs = _distinct_pairs((f.window, f.base) for f in features if f.kind.op is Op.VELOCITY)
    ops = {f.kind.op for f in features}
    merchant = entity.distinct.index("merchant") if "merchant" in entity.distinct else -1
    has_last_place = bool(ops & {Op.DISTANCE_FROM_LAST, Op.SPEED_FROM_LAST})
    most_tiles = max(reach // width + 3 for reach, width in zip(_REACHES_US, TILES_US, strict=True))
    most_values = max((capacity for _, capacity in entity.known), default=0)
    scalars = [entity.events, entity.places, entity.deduplicates, layout, RETENTION_US, IDLE_US, merchant]
    return Plan(
        entity=entity,
        features=features,
        layout=layout,
        kept_columns=columns,
        state_floats=kernel.HEADER
        + entity.events * columns
        + tiles * kernel.TILE_COLUMNS
        + known * kernel.KNOWN_COLUMNS,
        event_floats=columns + kernel.LEVELS * kernel.TILE_COLUMNS + len(entity.known) * kernel.KNOWN_COLUMNS,
        work_floats=(columns + 1) * (2 * entity.events + kernel.LINE)
        + kernel.LEVELS * kernel.TILE_COLUMNS * most_tiles
        + len(entity.known) * kernel.KNOWN_COLUMNS * most_values
        + 2 * kernel.S_ROWS * kernel.WINDOWS
        + 4 * kernel.R_ROWS
        + kernel.LEVELS,
        scalars=np.array(
            [*scalars, has_last_place, Op.DISTANCE_FROM_HOME in ops, most_tiles, most_values], np.float64
        ),
        windows=np.array(_LENGTHS_US, np.float64),
        levels=np.array(WINDOW_TILE_LEVEL, np.int64),
        widths=np.array(TILES_US, np.int64),
        reaches=np.array(_REACHES_US, np.float64),
        distinct=np.array([EVENT_COLUMN[name] for name in entity.distinct], np.int64),
        known_columns=np.array([EVENT_COLUMN[name] for name, _ in entity.known], np.int64),
        known_capacities=np.array([capacity for _, capacity in entity.known], np.int64),
        scans=_matrix(sorted({_slot(entity, f, pairs) for f in features if f.kind.op in _SCANNED})),
        pairs=_matrix([(WINDOWS.index(window), WINDOWS.index(base)) for window, base in pairs]),
        ripe=np.array([(age, WINDOWS_US[RIPE]) for age in RIPE_US.values()], np.float64),
        sources=np.array([4 * row + at for row, at in (_slot(entity, f, pairs) for f in features)], np.int64),
    )


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


def _matrix(pairs: list[tuple[int, int]]) -> Ints:
    return np.array(pairs, np.int64).reshape(-1, 2)
