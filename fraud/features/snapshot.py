"""What a state holds, for people: the kernel's flat numbers given names and units."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from fraud.features.codec import newest_us, read_content
from fraud.features.engine import fold_plan
from fraud.features.events import EPOCH, MICRODEGREES
from fraud.features.kernel import layout
from fraud.features.kernel.layout import Floats
from fraud.features.plan import Plan, compile_plan
from fraud.schema.fields import FieldType
from fraud.schema.operations import Op

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
_IS_FRAUD: Final = {layout.LABEL_NONE: None, layout.LABEL_GENUINE: False, layout.LABEL_FRAUD: True}
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
class ToldValue:
    """One value of the entity's profile."""

    value: float | tuple[float, float]
    """A number as told, degrees, seconds since 1970, or the hash of a word; NaN: not known any more."""
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
    profile: dict[str, ToldValue]
    """What was told of it, by name."""
    windows: dict[str, float]
    """Features of the entity as of its newest event, that event included; NaN: missing."""


def read_snapshot(plan: Plan, state: bytes) -> Snapshot:
    """Read a state.

    Parameters
    ----------
    plan
        Of the entity; its features are shown as of its newest event.
    state
        As the fold left it.

    Raises
    ------
    BadState
        When it was written with another layout; rebuild it by replay.
    """
    entity = plan.entity
    windows = _windows(plan, state)  # first: it refuses a state that cannot be read
    content = read_content(plan, state)
    kept = content.kept[[layout.C_TIME, layout.C_CENTS, layout.C_FRAUD]]
    return Snapshot(
        newest_event=_time(content.newest_us) if math.isfinite(content.newest_us) else None,
        transactions=int(content.sequence),
        kept=tuple(
            KeptEvent(_time(time), cents / plan.events.minor_units, _IS_FRAUD[label])
            for time, cents, label in kept.T.tolist()
        ),
        kept_at_most=entity.events,
        tiles={
            f"{us / 60_000_000:g} min": n
            for us, n in zip(plan.tiling.widths_us, content.tile_counts, strict=True)
        },
        known={
            column: _known(values) for (column, _), values in zip(entity.known, content.known, strict=True)
        },
        profile=_profile(plan, content.profile),
        windows=windows,
    )


def _profile(plan: Plan, told: Floats) -> dict[str, ToldValue]:
    units = {FieldType.PLACE: MICRODEGREES, FieldType.TIME: layout.SECOND_US}
    found, at = {}, 0
    for field in plan.entity.profile:
        size = len(field.names)
        if told.shape[1] and told[layout.K_SEQUENCE, at]:
            unit = units.get(field.type, 10.0**field.scale)
            values = (told[layout.K_VALUE, at : at + size] / unit).tolist()
            since = _time(abs(float(told[layout.K_SINCE, at])))
            found[field.name] = ToldValue((values[0], values[1]) if size > 1 else values[0], since)
        at += size
    return found


def _windows(of: Plan, state: bytes) -> dict[str, float]:
    """Fold one more transaction, at the time of the newest, and look at what it would be served."""
    features = tuple(f for f in of.features if f.entity == of.entity and f.kind.op in _OF_WINDOWS)
    plan = compile_plan(of.entity, features, of.events)
    probe = np.zeros((1, plan.events.width))
    probe[0, layout.E_TIME] = newest = (
        read_content(of, state).newest_us if of.entity.profile else newest_us(state)
    )
    probe[0, layout.E_ID] = _NOBODY
    probe[0, layout.E_LAT : layout.E_HOME_LON + 1] = math.nan
    probe[0, plan.key_column] = 1.0
    if not math.isfinite(newest):
        probe[0, layout.E_TIME] = 0.0
    folded = fold_plan(plan, probe, {1.0: state}, keep_states=False)
    return dict(zip((f.name for f in features), folded.vectors[0].tolist(), strict=True))


def _known(values: Floats) -> tuple[KnownValue, ...]:
    by_age = values[:, np.argsort(values[layout.K_SEQUENCE])]
    pairs = by_age[[layout.K_VALUE, layout.K_SINCE]].T.tolist()
    return tuple(KnownValue(int(value), _time(since)) for value, since in pairs)


def _time(microseconds: float) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)
