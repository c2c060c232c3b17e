"""Checks of a day's data before anything is learnt from them: schema, volumes, ranges, labels, duplicates.

Every check runs; the report lists all that failed, so that one look shows the whole trouble.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.tables import ours_of
from fraud.tables.columns import SchemaColumns
from fraud.tables.contract import Violation, violations
from jobs.retrain.settings import Interval, RetrainSettings

BEFORE: Final = timedelta(days=28)
LISTED: Final = 3
"""Bad values shown of each check."""


@dataclass(frozen=True, slots=True)
class Validated:
    """What the checks found."""

    failures: tuple[str, ...]
    figures: dict[str, float]

    @property
    def is_good(self) -> bool:
        """Whether every check held."""
        return not self.failures


def validate(
    transactions: pa.Table,
    labels: pa.Table,
    interval: Interval,
    gap: timedelta,
    settings: RetrainSettings,
    *,
    schema: Schema | None = None,
) -> Validated:
    """Check an interval's transactions against the contract, and against the four weeks before.

    Parameters
    ----------
    transactions, labels
        With the types of ``fraud.tables``; duplicates still there.
    interval
        Whose transactions are checked; the newest matured ones, which are older by ``gap``, for labels.
    gap
        How long labels take.
    settings
        The limits.
    schema
        Of the transactions; by default the deployment's.
    """
    ours = ours_of(schema or deployed_schema())
    day = _between(transactions, interval.start, interval.end)
    before = _between(transactions, interval.start - BEFORE, interval.start)
    figures = {"transactions": float(day.num_rows), "transactions_before": float(before.num_rows)}
    if day.num_rows < settings.min_rows:
        words = (
            f"volume: {day.num_rows:,} transactions in the interval, at least {settings.min_rows:,} expected"
        )
        return Validated((words,), figures)
    failures = [
        *_schema_failures(day, settings, ours),
        *_volume_failures(day, before, interval, settings, figures),
        *_missing_failures(day, before, settings, figures, ours.transaction),
        *_label_failures(transactions, labels, interval, gap, settings=settings, figures=figures),
    ]
    return Validated(tuple(failures), figures)


def _schema_failures(day: pa.Table, settings: RetrainSettings, ours: SchemaColumns) -> Iterator[str]:
    """Check values by the wire's contract, and amounts by a limit of their own."""
    broken = list(violations(day, "transactions", ours))
    too_much = pc.greater(day["amount"], settings.max_amount).to_numpy()
    if ours.schema.money is not None:  # which bounds amounts of all currencies by their base
        too_much = np.zeros(day.num_rows, np.bool_)
    for one in broken:
        too_much = too_much & ~one.rows
    if too_much.any():
        broken.append(Violation("amount", too_much, f"at most {settings.max_amount:,g} (max_amount)"))
    for found in broken:
        values = day[found.column].filter(pa.array(found.rows)).slice(0, LISTED)
        yield f"range: {found}, e.g. {', '.join(str(value) for value in values.to_pylist())}"
    repeated = day.num_rows - pc.count_distinct(day["transaction_id"]).as_py()
    if repeated > settings.max_duplicates * day.num_rows:
        yield (
            f"duplicates: column transaction_id: {repeated:,} of {day.num_rows:,} are repeated, above "
            f"{settings.max_duplicates:.2%}"
        )


def _volume_failures(
    day: pa.Table, before: pa.Table, interval: Interval, settings: RetrainSettings, figures: dict[str, float]
) -> Iterator[str]:
    if before.num_rows == 0:
        return
    first = min(pc.min(before["event_time"]).as_py(), interval.start - timedelta(days=1))
    usual = before.num_rows / ((interval.start - first) / timedelta(days=1))
    now = day.num_rows / ((interval.end - interval.start) / timedelta(days=1))
    figures["volume_ratio"] = now / usual
    if not 1.0 / settings.volume_factor <= now / usual <= settings.volume_factor:
        yield (
            f"volume: {now:,.0f} transactions a day against {usual:,.0f} before; a ratio within "
            f"{settings.volume_factor:g} is expected"
        )


def _missing_failures(
    day: pa.Table,
    before: pa.Table,
    settings: RetrainSettings,
    figures: dict[str, float],
    names: Iterable[str],
) -> Iterator[str]:
    for name in names:
        if name not in day.column_names or before.num_rows == 0:
            continue
        now, usual = (table[name].null_count / table.num_rows for table in (day, before))
        figures[f"missing.{name}"] = now
        if now > usual + settings.max_missing_rise:
            yield f"missing: column {name}: {now:.1%} missing against {usual:.1%} before"


def _label_failures(
    transactions: pa.Table,
    labels: pa.Table,
    interval: Interval,
    gap: timedelta,
    *,
    settings: RetrainSettings,
    figures: dict[str, float],
) -> Iterator[str]:
    """Compare the share of fraud of the newest matured stretch with the four weeks before it."""
    end = interval.end - gap
    start = end - max(interval.end - interval.start, timedelta(days=7))
    frauds = labels.filter(
        pc.and_(labels["is_fraud"], pc.less(labels["label_time"], pa.scalar(interval.end)))
    )
    shares: list[float] = []
    for first, last in ((start, end), (start - BEFORE, start)):
        part = _between(transactions, first, last)
        if part.num_rows == 0:
            return
        known = pc.is_in(part["transaction_id"], value_set=frauds["transaction_id"].combine_chunks())
        shares.append(pc.sum(known).as_py() / part.num_rows)
    now, usual = shares
    figures["fraud_share"], figures["fraud_share_before"] = now, usual
    if now > settings.max_fraud_share:
        yield f"labels: {now:.1%} of the matured are fraud, above {settings.max_fraud_share:.1%}"
    elif usual > 0.0 and not usual / settings.fraud_factor <= now <= usual * settings.fraud_factor:
        yield (
            f"labels: {now:.2%} of the matured are fraud (column is_fraud) against {usual:.2%} before"
            f"; a ratio within {settings.fraud_factor:g} is expected: are labels missing?"
        )


def _between(table: pa.Table, start: Any, end: Any) -> pa.Table:
    time = table["event_time"]
    return table.filter(pc.and_(pc.greater_equal(time, pa.scalar(start)), pc.less(time, pa.scalar(end))))
