"""What a state holds, for people: the kernel's flat numbers given names and units."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from fraud.features import kernel
from fraud.features.definitions import TILES_US, Entity, Op
from fraud.features.engine import fold_events
from fraud.features.events import EPOCH
from fraud.features.kernel import Floats
from fraud.features.plan import compile_plan

_OF_WINDOWS: Final = (
    Op.COUNT,
    Op.SUM,
    Op.MEAN,
    Op.STD,
    Op.MAX,
    Op.VELOCITY,
    Op.DISTINCT,
    Op.FRAUD_SHARE,
)
"""Statistics that say something of the entity whatever the next transaction is."""
_VERDICTS: Final = {0.0: None, 1.0: False, 2.0: True}
_NOBODY: Final = -1.0  # a transaction_id that no hash is equal to


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """One transaction that is kept on its own."""

    event_time: datetime
    amount: float
    is_fraud: bool | None
    """What its label said; None: no label yet."""


@dataclass(frozen=True, slots=True)
class KnownValue:
    """One remembered value of a column."""

    value_hash: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content of one state."""

    newest_event: datetime | None
    """None: no transaction yet (a label alone)."""
    transactions: int
    """Folded since the state began."""
    kept: tuple[KeptEvent, ...]
    """By event time, the newest last."""
    kept_at_most: int
    tiles: dict[str, int]
    """Tiles in use, by width."""
    known: dict[str, tuple[KnownValue, ...]]
    """Remembered values by column, the most recently seen last."""
    windows: dict[str, float]
    """Features of the entity as of its newest event, that event included; NaN: missing."""


def read_snapshot(entity: Entity, state: bytes) -> Snapshot:
    """Read a state.

    Parameters
    ----------
    entity
        USER or MERCHANT.
    state
        As the fold left it.

    Raises
    ------
    BadState
        When it was written with another layout; rebuild it by replay.
    """
    windows = _windows(entity, state)  # first: it refuses another layout
    numbers = np.frombuffer(state)
    header, rest = numbers[: kernel.HEADER], numbers[kernel.HEADER :]
    columns = kernel.C_LAT + 2 * entity.places + 2 * len(entity.distinct)
    kept, rest = _take(rest, columns, header[kernel.H_EVENTS])
    tiles = header[kernel.H_TILES : kernel.H_TILES + kernel.LEVELS].astype(int).tolist()
    rest = rest[kernel.TILE_COLUMNS * sum(tiles) :]
    known = {}
    for (column, _), count in zip(entity.known, header[kernel.H_KNOWN :], strict=False):
        values, rest = _take(rest, kernel.KNOWN_COLUMNS, count)
        order = np.argsort(values[kernel.K_SEQUENCE])
        known[column] = tuple(
            KnownValue(int(value), _time(since))
            for value, since in values[[kernel.K_VALUE, kernel.K_SINCE]][:, order].T.tolist()
        )
    newest = float(header[kernel.H_NEWEST])
    return Snapshot(
        newest_event=_time(newest) if math.isfinite(newest) else None,
        transactions=int(header[kernel.H_SEQUENCE]),
        kept=tuple(
            KeptEvent(_time(time), cents / 100.0, _VERDICTS[verdict])
            for time, cents, verdict in kept[[kernel.C_TIME, kernel.C_CENTS, kernel.C_FRAUD]].T.tolist()
        ),
        kept_at_most=entity.events,
        tiles={f"{us // 60_000_000} min": n for us, n in zip(TILES_US, tiles, strict=True)},
        known=known,
        windows=windows,
    )


def _windows(entity: Entity, state: bytes) -> dict[str, float]:
    """Fold one more transaction, at the time of the newest, and look at what it would be served."""
    features = tuple(
        f for f in compile_plan(entity).features if f.entity == entity and f.kind.op in _OF_WINDOWS
    )
    probe = np.zeros((1, kernel.EVENT_COLUMNS))
    probe[0, kernel.E_TIME] = newest = np.frombuffer(state)[kernel.H_NEWEST]
    probe[0, kernel.E_ID] = _NOBODY
    probe[0, kernel.E_LAT : kernel.E_HOME_LON + 1] = math.nan
    probe[0, [kernel.E_USER, kernel.E_MERCHANT]] = 1.0
    if not math.isfinite(newest):
        probe[0, kernel.E_TIME] = 0.0
    folded = fold_events(entity, probe, {1.0: state}, keep_states=False, features=features)
    return dict(zip((f.name for f in features), folded.vectors[0].tolist(), strict=True))


def _take(numbers: Floats, columns: int, count: float) -> tuple[Floats, Floats]:
    size = columns * int(count)
    return numbers[:size].reshape(columns, int(count)), numbers[size:]


def _time(microseconds: float) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)
