"""Decisions with their labels, as the report judges them.

Reads the view ``decided`` of ``fraud sql``: the Delta tables ``decisions``, ``transactions``, ``labels``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.contracts import Outcome
from fraud.contracts.priced import amount_column, base_amounts
from fraud.errors import BadInput
from fraud.learn.examples import DAY, NEVER, in_words, ripe_until, to_micros
from fraud.log.sql import Tables, open_tables
from fraud.log.tables import floats_of, micros_of
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from jobs.whatif.settings import WhatIfSettings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
NO_MODEL: Final = ""
"""Version of a decision that the fallback took."""
APPROVED, HELD, DECLINED = 0.0, 1.0, 2.0
_LEVELS: Final = {Outcome.APPROVE: APPROVED, Outcome.DECLINE: DECLINED}
_UNKNOWN: Final = "not given"


@dataclass(frozen=True, slots=True)
class History:
    """Decisions in the order of their time, each once, with their labels; [n] each."""

    transaction: NDArray[np.object_]
    """Ids."""
    card: NDArray[np.object_]
    """Keys of the primary entity."""
    user: Ints
    """Their numbers."""
    event_us: Ints
    label_us: Ints
    """``NEVER`` where there is no label."""
    is_fraud: Bools
    amount: Floats
    """Units of the base currency."""
    score: Floats
    """Calibrated probability of fraud; -1 where the fallback decided."""
    level: Floats
    """What was decided: 0 approved, 1 held (reviewed, or another step asked for), 2 declined."""
    version: NDArray[np.object_]
    """Of the model that scored."""
    fraud_type: NDArray[np.object_]
    """As labels name it."""
    segment: NDArray[np.object_]
    """Value of the schema's first segment."""

    def __len__(self) -> int:
        return len(self.event_us)

    def take(self, rows: Any) -> "History":
        """Keep rows, by a mask or by numbers."""
        return replace(self, **{one.name: getattr(self, one.name)[rows] for one in fields(self)})

    @property
    def days(self) -> float:
        """Length of the period, days; at least one."""
        return max(float(self.event_us[-1] - self.event_us[0]) / 86_400e6, 1.0)


def read_history(
    delta: str, options: Mapping[str, str], since: datetime | None = None, schema: Schema | None = None
) -> History:
    """Read the decisions of the log, all or those from a moment on.

    Raises
    ------
    BadInput
        When there are no tables, decisions or labels; says which.
    """
    schema = schema or deployed_schema()
    tables = open_tables(delta, options, schema=schema)
    if "decided" not in tables.names:
        lacking = sorted({"decisions", "transactions", "labels"} - set(tables.names))
        raise BadInput(
            f"{delta} lacks the table {', '.join(lacking)}: run the stream and send transactions and labels, "
            "e.g. fraud simulate --replay FILE"
        )
    found = tables.query(_query(tables, since, schema)).to_arrow_table()
    if not found.num_rows:
        when = f" from {since.isoformat()} on" if since else ""
        raise BadInput(
            f"{delta} holds no decision{when}: send transactions, e.g. fraud simulate --replay FILE"
        )
    return _history(found, schema)


def _query(tables: Tables, since: datetime | None, schema: Schema) -> str:
    primary, columns = schema.primary_key.name, tables.names["decided"]
    segment = schema.segments[0] if schema.segments else ""
    names = [
        *("transaction_id", primary, "event_time", amount_column(schema)),
        *("outcome", "score", "model_version", "is_fraud", "label_time"),
    ]
    quoted = [f'"{name}"' for name in names]
    for name, given in (("fraud_type", "fraud_type"), ("segment", segment)):
        quoted.append(f'CAST("{given}" AS VARCHAR) AS {name}' if given in columns else f"NULL AS {name}")
    once = f'QUALIFY row_number() OVER (PARTITION BY transaction_id, "{primary}" ORDER BY event_time) = 1'
    later = f"WHERE event_time >= '{since.isoformat()}'::TIMESTAMPTZ" if since else ""
    return f"SELECT {', '.join(quoted)} FROM decided {later} {once} ORDER BY event_time, transaction_id"  # noqa: S608


def _history(found: pa.Table, schema: Schema) -> History:
    cards = found[schema.primary_key.name].combine_chunks().dictionary_encode()
    is_fraud = pc.fill_null(found["is_fraud"], pa.scalar(False))
    known = found["is_fraud"].is_valid().to_numpy()
    outcome = found["outcome"].to_pylist()
    return History(
        transaction=_texts(found["transaction_id"], ""),
        card=_texts(found[schema.primary_key.name], ""),
        user=cards.indices.to_numpy().astype(np.int64),
        event_us=micros_of(found["event_time"]),
        label_us=np.where(known, _label_times(found), NEVER),
        is_fraud=is_fraud.to_numpy().astype(np.bool_),
        amount=base_amounts(found, schema),
        score=np.nan_to_num(floats_of(found["score"]), nan=-1.0),
        level=np.array([_LEVELS.get(Outcome(one), HELD) for one in outcome]),
        version=_texts(found["model_version"], NO_MODEL),
        fraud_type=_texts(found["fraud_type"], _UNKNOWN),
        segment=_texts(found["segment"], _UNKNOWN),
    )


def _label_times(found: pa.Table) -> Ints:
    return micros_of(pc.coalesce(found["label_time"], found["event_time"]))


def _texts(column: pa.ChunkedArray, missing: str) -> NDArray[np.object_]:
    filled = pc.fill_null(column.cast(pa.string()), missing)
    return np.array(filled.to_pylist(), np.object_)


@dataclass(frozen=True, slots=True)
class JudgedHistory:
    """What can be judged of a history, and what was left out of it and why."""

    history: History
    left_out: tuple[str, ...]


def judge(history: History, settings: WhatIfSettings, trained: Mapping[str, int | None]) -> JudgedHistory:
    """Keep the decisions that their model had not been trained on, and that are old enough for a label.

    Parameters
    ----------
    trained
        Version: the moment of its training, microseconds; None where it is unknown.

    Raises
    ------
    BadInput
        When nothing is left, or no fraud; says what to do.
    """
    since = to_micros(settings.since) if settings.since else -NEVER
    until = to_micros(settings.until) if settings.until else NEVER
    ripe = ripe_until(history, settings.label_gap_days)
    inside = (history.event_us >= since) & (history.event_us < until)
    young = inside & (history.event_us > ripe)
    unseen, words = _unseen(history, inside, trained)
    notes = [*words, *([_young_words(young, ripe, settings.label_gap_days)] if young.any() else [])]
    kept = history.take(inside & unseen & ~young)
    if not len(kept):
        raise BadInput(_nothing_words(history, inside, notes))
    honest = (kept.label_us == NEVER) & ~kept.is_fraud
    gap_us = round(settings.label_gap_days * DAY.total_seconds() * 1e6)
    kept = replace(kept, label_us=np.where(honest, kept.event_us + gap_us, kept.label_us))
    if not kept.is_fraud.any():
        raise BadInput(
            f"none of the {len(kept):,} decisions from {in_words(int(kept.event_us[0]))} to "
            f"{in_words(int(kept.event_us[-1]))} has a label that says fraud: send labels "
            "(fraud simulate --replay FILE sends them), or give another period"
        )
    return JudgedHistory(kept, tuple(notes))


def _unseen(history: History, inside: Bools, trained: Mapping[str, int | None]) -> tuple[Bools, list[str]]:
    """Tell which decisions lie after the training of their model; the fallback has none."""
    found, words = np.ones(len(history), np.bool_), []
    for version in sorted({str(one) for one in history.version} - {NO_MODEL}):
        of_version = inside & (history.version == version)
        moment = trained.get(version)
        seen = of_version & (history.event_us < (NEVER if moment is None else moment))
        found &= ~seen
        if seen.any() and moment is None:
            words.append(
                f"{seen.sum():,} decisions by version {version} are left out: the registry does not say when "
                "it was trained (tag as_of); say it with --trained-until TIME"
            )
        elif seen.any() and moment is not None:
            words.append(
                f"{seen.sum():,} decisions by version {version} are left out: they lie before "
                f"{in_words(moment)}, the moment of its training, so that it may have learnt their labels"
            )
    by_model = history.version != NO_MODEL
    if by_model.any():  # the fallback's decisions count from where a model could have decided
        first = history.event_us[inside & found & by_model].min(initial=NEVER)
        found &= by_model | (history.event_us >= first)
    return found, words


def _young_words(young: Bools, ripe: int, gap_days: float) -> str:
    return (
        f"{young.sum():,} decisions after {in_words(ripe)} are left out: their labels had less than "
        f"{gap_days:g} days to arrive (label_gap_days)"
    )


def _nothing_words(history: History, inside: Bools, notes: list[str]) -> str:
    first, last = in_words(int(history.event_us[0])), in_words(int(history.event_us[-1]))
    if not inside.any():
        return f"no decision lies in this period; the log reaches from {first} to {last}"
    return (
        f"no decision can be judged; the log reaches from {first} to {last}. {'. '.join(notes)}. Train "
        "a model before the period (fraud train --as-of TIME), and replay what came after it (fraud simulate "
        "--replay FILE --from TIME)"
    )
