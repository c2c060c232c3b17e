"""What a table's labels and further times say: counts, delays, and what was known too early or too late."""

from typing import Final

import numpy as np
import pyarrow as pa

from fraud.schema.fields import FieldType
from jobs.init.table_data import DAY_US, NEVER, Data, Row

_LATER: Final = 2**62
_AHEAD_US: Final = 300_000_000
"""What clocks may differ by, microseconds."""


def labels(data: Data) -> list[Row]:
    """Count labels, and measure how long they took."""
    rows: list[Row] = [
        {"what": "fraud", "value": f"{int(data.is_fraud.sum()):,}"},
        {"what": "honest", "value": f"{int((data.is_labelled & ~data.is_fraud).sum()):,}"},
        {"what": "not known", "value": f"{int((~data.is_labelled).sum()):,}"},
        {"what": "share of fraud among the labelled", "value": f"{data.rate:.3%}"},
    ]
    for name, days in delays(data).items():
        rows.append({"what": f"label delay, {name}", "value": f"{days:,.1f} days"})
    early = early_labels(data)
    if early:
        rows.append({"what": "labels that came before their transaction", "value": f"{early:,}"})
    return rows


def early_labels(data: Data) -> int:
    """Count labels that were known a day or more before their transaction: the column is another time."""
    if "label_time" not in data.table.column_names:
        return 0
    passed = np.asarray(data.table["label_time"].cast(pa.int64()).fill_null(_LATER).to_numpy(), np.int64)
    return int((passed < data.times - DAY_US).sum())


def delays(data: Data) -> dict[str, float]:
    """Measure the days from a transaction to its label; empty where that is not told."""
    if "label_time" not in data.table.column_names:
        return {}
    label_us = data.table["label_time"].cast(pa.int64())
    told = np.asarray(label_us.is_valid().to_numpy(), np.bool_) & data.is_labelled
    if not told.any():
        return {}
    passed = (np.asarray(label_us.fill_null(0).to_numpy(), np.int64) - data.times)[told] / DAY_US
    names = {"median": 0.5, "90 %": 0.9, "99 %": 0.99, "longest": 1.0}
    return {name: float(np.quantile(passed, level)) for name, level in names.items()}


def later(data: Data) -> list[Row]:
    """Find fields of times that lie after their transaction: what they tell was not known at the decision."""
    found = []
    for field in data.schema.fields:
        if (
            field.type is FieldType.TIME
            and field.name in data.table.column_names
            and field.name != "event_time"
        ):
            micros = data.table[field.name].cast(pa.int64()).fill_null(NEVER).to_numpy()
            share = float((np.asarray(micros, np.int64) > data.times + _AHEAD_US).mean())
            if share > 0.0:
                found.append({"column": field.name, "rows": share})
    return found


def label_words(data: Data) -> list[str]:
    """Say what the labels let expect."""
    known, early = delays(data), early_labels(data)
    if known:
        words = f"{early:,} labels came before their transaction: is label_time another time?"
        return [
            *([words] if early else []),
            f"90 % of the labels come within {known['90 %']:.0f} days: --label-gap-days {known['90 %']:.0f}",
        ]
    if not data.is_fraud.any():
        return ["no fraud is labelled: a model needs some hundreds"]
    few = (
        [f"{int(data.is_fraud.sum())} frauds are few; intervals will be wide"]
        if data.is_fraud.sum() < 300
        else []
    )
    return [
        *few,
        "no column says when a label became known: --label-gap-days (21) is an assumption; correct it",
    ]
