"""Small worlds of decisions and labels."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

START = datetime(2026, 3, 1, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")
THRESHOLD = 0.3


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def decisions(rows) -> pa.Table:
    """(id, user, day, amount, outcome, score, version) each."""
    names = ("transaction_id", "user_id", "event_time", "amount", "outcome", "score", "model_version")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    columns["event_time"] = pa.array([at(day) for day in columns["event_time"]], TIME)
    columns["score"] = pa.array(columns["score"], pa.float64())
    columns["model_version"] = pa.array(columns["model_version"], pa.string())
    return pa.table(columns)


def labels(rows) -> pa.Table:
    """(id, day of the transaction, day of the label, is fraud) each."""
    ids, events, days, frauds = map(list, zip(*rows, strict=True))
    return pa.table(
        {
            "transaction_id": pa.array(ids, pa.string()),
            "event_time": pa.array([at(day) for day in events], TIME),
            "label_time": pa.array([at(day) for day in days], TIME),
            "is_fraud": pa.array(frauds, pa.bool_()),
        }
    )


def draw(seed: int, days: int, a_day: int = 120, *, blind_from: float = np.inf):
    """Calibrated scores and labels by them; from a day on a half of the fraud has low scores."""
    rng = np.random.default_rng(seed)
    n = days * a_day
    day = np.sort(rng.uniform(0.0, days, n))
    chance = rng.beta(0.15, 3.0, n)
    fraud = rng.random(n) < chance
    unseen = fraud & (day >= blind_from) & (rng.random(n) < 0.5)
    score = np.where(unseen, 0.001 * rng.random(n), chance)
    delay = rng.uniform(0.0, 6.0, n)
    decided = [
        (
            f"t{k}",
            f"u{rng.integers(400)}",
            day[k],
            10.0 + 90.0 * rng.random(),
            "review" if score[k] >= THRESHOLD else "approve",
            score[k],
            "1" if day[k] < days / 2 else "2",
        )
        for k in range(n)
    ]
    told = [(f"t{k}", day[k], day[k] + delay[k], True) for k in np.flatnonzero(fraud)]
    return decisions(decided), labels(told)


def write(folder, decided: pa.Table, told: pa.Table | None = None) -> str:
    write_deltalake(f"{folder}/decisions", decided)
    if told is not None:
        write_deltalake(f"{folder}/labels", told)
    return str(folder)
