"""Outcomes of an experiment's transactions: its decisions joined with their matured labels.

Reads the Delta tables ``decisions`` and ``labels``. A transaction counts once it is older than the
experiment's maturity, on the clock of the newest event or label; without a label by then it is honest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.contracts import Outcome
from fraud.contracts.priced import base_amounts
from fraud.decide.experiment import Experiment, Metric
from fraud.errors import BadInput
from fraud.log.labels import columns_for_order, in_order_of_arrival
from fraud.log.rows import rows_of
from fraud.log.tables import find_table, floats_of, micros_of
from fraud.schema.schema import Schema

Floats = NDArray[np.float64]
DAY_US: Final = 86_400_000_000
NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The transactions of an experiment in the order of their time, those that have matured."""

    user: NDArray[np.int64]
    """Index, [n]."""
    users: list[str]
    arm: NDArray[np.int64]
    """Index into the experiment's arms, [n]."""
    day: NDArray[np.int64]
    """Days since the first, [n]."""
    first_day: datetime
    amount: Floats
    outcome: NDArray[np.str_]
    is_fraud: NDArray[np.bool_]
    score: Floats
    shadow_score: Floats
    immature: int
    """Transactions whose labels have not matured."""
    strays: int
    """Transactions whose recorded arm is not the user's, matured or not; more than 0 is a fault."""
    user_arm: NDArray[np.int64]
    """Each user's arm, [users]."""
    user_day: NDArray[np.int64]
    """Day of each user's first transaction, matured or not, [users]; ``NEVER`` where it has strays alone."""
    currency: str = ""
    """Of the amounts; empty where the schema has no money."""


def read_outcomes(delta: str, options: Mapping[str, str], experiment: Experiment, schema: Schema) -> Outcomes:
    """Read the transactions of an experiment.

    Raises
    ------
    BadInput
        When there are none.
    Unavailable
        When the tables cannot be read; try again.
    """
    table = find_table(delta, "decisions", options)
    if table is None or "experiment" not in table.columns:
        raise BadInput(f"no decision under {delta} was part of an experiment yet")
    read = (*rows_of(schema).judged, "arm", "shadow_score")
    found = table.rows(read, pc.field("experiment") == experiment.id)
    if not found.num_rows:
        raise BadInput(f"no decision under {delta} was part of the experiment {experiment.id} yet")
    stored = find_table(delta, "labels", options)
    labels = (
        stored.rows(("transaction_id", "is_fraud", *columns_for_order(stored.columns)), pc.scalar(value=True))
        if stored
        else pa.table({"transaction_id": [], "is_fraud": [], "label_time": []})
    )
    return match(found, labels, experiment, schema)


def match(decisions: pa.Table, labels: pa.Table, experiment: Experiment, schema: Schema) -> Outcomes:
    """Join decisions with the newest labels, and keep what has matured; that may be nothing yet."""
    decisions = decisions.sort_by("event_time")
    times = micros_of(decisions.column("event_time"))
    label_times = micros_of(labels.column("label_time"))
    # What is dated into the future tells nothing of now.
    newest = min(int(times[-1]), int(datetime.now(UTC).timestamp() * 1e6))
    maturity_us = round(experiment.maturity_days * DAY_US)
    newest = max(newest, int(label_times[label_times <= newest + maturity_us].max(initial=0)))
    arrived = in_order_of_arrival(labels)
    newest_label = dict(
        zip(arrived["transaction_id"].to_pylist(), arrived["is_fraud"].to_pylist(), strict=True)
    )
    _, first_seen = np.unique(
        np.array(decisions.column("transaction_id").to_pylist(), object), return_index=True
    )
    decisions = decisions.take(pa.array(np.sort(first_seen)))
    times = micros_of(decisions.column("event_time"))
    is_mature = times + maturity_us <= newest
    users, user = np.unique(
        np.array(decisions.column(schema.primary_key.name).to_pylist(), str), return_inverse=True
    )
    names = [arm.name for arm in experiment.arms]
    recorded = np.array(
        [names.index(arm) if arm in names else -1 for arm in decisions.column("arm").to_pylist()]
    )
    user_arm = np.array([names.index(experiment.arm_of(str(one)).name) for one in users], np.int64)
    is_right = recorded == user_arm[user]
    ids = decisions.column("transaction_id").to_pylist()
    columns: dict[str, Any] = {
        "user": user.astype(np.int64),
        "arm": recorded.astype(np.int64),
        "day": (times - times[0]) // DAY_US,
        "amount": base_amounts(decisions, schema),
        "outcome": np.array(decisions.column("outcome").to_pylist(), str),
        "is_fraud": np.array([newest_label.get(one, False) for one in ids], bool),
        "score": floats_of(decisions.column("score")),
        "shadow_score": floats_of(decisions.column("shadow_score")),
    }
    first_day = np.full(len(users), NEVER)
    np.minimum.at(first_day, user[is_right], columns["day"][is_right])
    return Outcomes(
        **{name: values[is_right & is_mature] for name, values in columns.items()},
        users=users.tolist(),
        user_arm=user_arm,
        user_day=first_day,
        first_day=datetime.fromtimestamp(int(times[0]) / 1e6, UTC),
        immature=int((~is_mature).sum()),
        strays=int((~is_right).sum()),
        currency=schema.base_currency,
    )


def parts_of(outcomes: Outcomes, metric: Metric) -> tuple[Floats, Floats]:
    """Give each transaction's share of a metric: what it adds above and below the line."""
    ones = np.ones(len(outcomes.user))
    if metric is Metric.MONEY_SAVED:
        return outcomes.amount * (outcomes.is_fraud & (outcomes.outcome != Outcome.APPROVE)), ones
    if metric is Metric.FALSE_DECLINES:
        is_declined = ~outcomes.is_fraud & (outcomes.outcome == Outcome.DECLINE)
        return is_declined.astype(np.float64), (~outcomes.is_fraud).astype(np.float64)
    return (outcomes.outcome == Outcome.REVIEW).astype(np.float64), ones
