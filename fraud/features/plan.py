"""The feature table compiled for the kernel: small arrays, one set an entity."""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from fraud.features import kernel
from fraud.features.definitions import (
    ENTITIES,
    IDLE_US,
    LATENESS_US,
    MERCHANT_FEATURES,
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


@dataclass(frozen=True, slots=True)
class Plan:
    """What the kernel needs to know of one entity; see ``fraud.features.kernel.fold``."""

    entity: Entity
    features: tuple[Feature, ...]
    layout: float
    """Identity of the state's layout: whole number below 2**53."""
    state_floats: int
    """Greatest length of a state, in float64."""
    event_floats: int
    """By how much one event can lengthen a state, in float64."""
    scalars: Floats
    windows: Floats
    levels: Ints
    widths: Ints
    reaches: Floats
    distinct: Ints
    known_columns: Ints
    known_capacities: Ints
    ops: Ints


def _compile_op(entity: Entity, feature: Feature) -> tuple[int, int, int]:
    op = feature.kind.op
    window = WINDOWS.index(feature.window) if feature.window else 0
    if op is Op.VELOCITY:
        return op, window, WINDOWS.index(feature.base)
    if op is Op.BUCKET:
        return op, window, EVENT_COLUMN[feature.column]
    if op is Op.DISTINCT:
        return op, window, entity.distinct.index(feature.column)
    if op is Op.IS_FIRST:
        return op, window, [column for column, _ in entity.known].index(feature.column)
    return op, window, 0


def _compile(entity: Entity, features: tuple[Feature, ...]) -> Plan:
    places = entity is USER
    columns = kernel.C_LAT + 2 * places + 2 * len(entity.distinct)
    lengths = [WINDOWS_US[name] for name in WINDOWS]
    reaches = [
        max(length for length, of in zip(lengths, WINDOW_TILE_LEVEL, strict=True) if of == level)
        + LATENESS_US
        for level in range(kernel.LEVELS)
    ]
    words = (
        entity,
        lengths,
        WINDOW_TILE_LEVEL,
        TILES_US,
        reaches,
        RETENTION_US,
        IDLE_US,
        columns,
        kernel.HEADER,
    )
    layout = float(int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:8]) >> 11)
    tiles = sum(reach // width + 3 for reach, width in zip(reaches, TILES_US, strict=True))
    known = sum(capacity for _, capacity in entity.known)
    return Plan(
        entity=entity,
        features=features,
        layout=layout,
        state_floats=kernel.HEADER
        + entity.events * columns
        + tiles * kernel.TILE_COLUMNS
        + known * kernel.KNOWN_COLUMNS,
        event_floats=columns + kernel.LEVELS * kernel.TILE_COLUMNS + len(entity.known) * kernel.KNOWN_COLUMNS,
        scalars=np.array([entity.events, places, entity is USER, layout, RETENTION_US, IDLE_US], np.float64),
        windows=np.array(lengths, np.float64),
        levels=np.array(WINDOW_TILE_LEVEL, np.int64),
        widths=np.array(TILES_US, np.int64),
        reaches=np.array(reaches, np.float64),
        distinct=np.array([EVENT_COLUMN[name] for name in entity.distinct], np.int64),
        known_columns=np.array([EVENT_COLUMN[name] for name, _ in entity.known], np.int64),
        known_capacities=np.array([capacity for _, capacity in entity.known], np.int64),
        ops=np.array([_compile_op(entity, feature) for feature in features], np.int64).reshape(-1, 3),
    )


@cache
def compile_plan(entity: Entity) -> Plan:
    """Compile the features of one entity (the user pass also computes those of the transaction alone).

    Examples
    --------
    >>> from fraud.features.definitions import MERCHANT
    >>> compile_plan(MERCHANT).ops.shape[1]
    3
    """
    if entity not in ENTITIES:
        raise KeyError(entity.name)
    return _compile(entity, USER_FEATURES if entity is USER else MERCHANT_FEATURES)
