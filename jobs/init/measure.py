"""What a table says about itself: times, gaps, repeats, columns, drift, entities, and what that suggests."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.schema.fields import FieldType
from jobs.init.currencies import currency_words
from jobs.init.labels import label_words
from jobs.init.strength import strength_of
from jobs.init.table_data import DAY_US, NEVER, Bools, Data, Ints, Row

MONTH_US: Final = 30 * DAY_US
BINS: Final = 10
MOVED: Final = 0.2
"""Population stability index above which a column counts as moved."""
LEAK: Final = 0.99
_GAPS: Final = 5
_SMALL: Final = 1e-4


def gaps(data: Data) -> list[Row]:
    """Find the longest times without a transaction that are far above the usual ones."""
    steps = np.diff(data.times)
    if len(steps) < 10:
        return []
    usual = float(np.quantile(steps, 0.99))
    found = np.argsort(-steps, kind="stable")[:_GAPS]
    return [
        {
            "from": _moment(data.times[at]),
            "to": _moment(data.times[at + 1]),
            "hours": round(steps[at] / 3.6e9, 2),
        }
        for at in found
        if steps[at] > 5 * max(usual, 6e7)
    ]


def repeats(data: Data) -> list[Row]:
    """Count ids that come again, ids of several cards, and rows that are the same but for the id."""
    table, key = data.table, data.schema.primary_key.name
    ids = table["transaction_id"]
    again = table.num_rows - int(pc.count_distinct(ids).as_py())
    pairs = table.group_by(["transaction_id", key]).aggregate([]).num_rows
    of_several = pairs - (table.num_rows - again)
    rest = [name for name in table.column_names if name not in {"transaction_id", "label_time", "is_fraud"}]
    same = table.num_rows - table.select(rest).group_by(rest).aggregate([]).num_rows
    return [
        {"what": "rows whose id came before (counted once)", "rows": again},
        {"what": f"ids that stand with more than one {key}", "rows": of_several},
        {"what": "rows that are the same as another but for the id", "rows": same},
    ]


def columns(data: Data) -> list[Row]:
    """Describe each column: what it holds, how it tells fraud by itself, how it moved."""
    named = [(name, field.type) for field in data.schema.fields for name in field.names]
    return [_column(data, name, kind) for name, kind in named if name in data.table.column_names]


def _column(data: Data, name: str, kind: FieldType) -> Row:
    column = data.table[name].combine_chunks()
    known = data.is_labelled
    strength = (
        strength_of(column.filter(pa.array(known)), data.is_fraud[known]) if known.any() else float("nan")
    )
    return {
        "column": name,
        "type": str(kind),
        "missing": column.null_count / max(1, len(column)),
        "different": int(pc.count_distinct(column.drop_null()).as_py()),
        "holds": _holds(column),
        "tells fraud alone (0.5 to 1)": strength,
        "moved (PSI, first to last third)": moved(data, name),
    }


def _holds(column: pa.Array) -> str:
    present = column.drop_null()
    if not len(present):
        return ""
    if pa.types.is_floating(present.type):
        low, middle, high = (float(pc.quantile(present, q)[0].as_py()) for q in (0.01, 0.5, 0.99))
        return f"1 %: {low:g}, median {middle:g}, 99 %: {high:g}"
    counts = sorted(pc.value_counts(present).to_pylist(), key=lambda row: -row["counts"])[:3]
    return ", ".join(f"{row['values']} ({row['counts'] / len(present):.0%})" for row in counts)


def moved(data: Data, name: str) -> float:
    """Measure how far a column of the last third of the time lies from that of the first third.

    Returns
    -------
    float
        Population stability index; NaN for ids, of which each is new, and for less than three days.
    """
    third = (data.times[-1] - data.times[0]) / 3
    if name in {"transaction_id", "event_time"} or third < DAY_US:
        return float("nan")
    first, last = data.times <= data.times[0] + third, data.times >= data.times[-1] - third
    bins = binned(data, name)
    return stability(bins[first], bins[last]) if bins is not None else float("nan")


def binned(data: Data, name: str) -> Ints | None:
    """Part a column's values in bins; None where it has too many of equal rank for that."""
    column = data.table[name].combine_chunks()
    if pa.types.is_floating(column.type):
        values = np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
        present = values[np.isfinite(values)]
        if not len(present):
            return None
        edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1]))
        return np.where(np.isfinite(values), np.searchsorted(edges, values, side="right") + 1, 0)
    codes = data.codes(name)
    counts = np.bincount(codes + 1)
    if len(counts) > 1_000 or pa.types.is_timestamp(column.type):
        return None
    top = np.argsort(-counts, kind="stable")[: 2 * BINS]
    place = np.full(len(counts), 2 * BINS)
    place[top] = np.arange(len(top))
    return place[codes + 1]


def stability(first: Ints, last: Ints) -> float:
    """Compute the population stability index between two samples of bins.

    Examples
    --------
    >>> stability(np.array([0, 1]), np.array([0, 1]))
    0.0
    """
    size = int(max(first.max(initial=0), last.max(initial=0))) + 1
    before, after = (np.bincount(one, minlength=size) / max(1, len(one)) for one in (first, last))
    before, after = np.maximum(before, _SMALL), np.maximum(after, _SMALL)
    return float(((after - before) * np.log(after / before)).sum())


def weeks(data: Data) -> list[Row]:
    """Count transactions, frauds and money by week."""
    week = data.days // 7
    size = int(week.max()) + 1
    rows = np.bincount(week, minlength=size)
    known = np.bincount(week, weights=data.is_labelled, minlength=size)
    frauds = np.bincount(week, weights=data.is_fraud, minlength=size)
    money = np.bincount(week, weights=data.amount, minlength=size)
    start = int(data.times.min()) // DAY_US * DAY_US
    return [
        {
            "week of": _moment(start + at * 7 * DAY_US)[:10],
            "transactions": int(rows[at]),
            "labelled": int(known[at]),
            "frauds": int(frauds[at]),
            "share of fraud": float(frauds[at] / known[at]) if known[at] else float("nan"),
            "mean amount": float(money[at] / rows[at]) if rows[at] else float("nan"),
        }
        for at in range(size)
    ]


def entities(data: Data) -> list[Row]:
    """Describe each column that names something: how often it comes again, and how fraud gathers on it."""
    names = [field.name for field in data.schema.named(FieldType.KEY, FieldType.CATEGORY)]
    keys = [
        name
        for name in names
        if name in data.table.column_names and name not in {"transaction_id", "currency"}
    ]
    return [_entity(data, name) for name in keys]


def _entity(data: Data, name: str) -> Row:
    codes = data.codes(name)
    named = codes >= 0
    counts = np.bincount(codes[named]) if named.any() else np.zeros(1, np.int64)
    counts = counts[counts > 0]
    before, after_fraud = seen_before(data.times, codes, data.is_fraud)
    known = data.is_labelled & after_fraud
    share = float(data.is_fraud[known].mean()) if known.any() else float("nan")
    return {
        "column": name,
        "different": len(counts),
        "rows each, median": float(np.median(counts)) if len(counts) else 0.0,
        "rows each, most": int(counts.max(initial=0)),
        "seen in the 30 days before": float(before[named].mean()) if named.any() else 0.0,
        "frauds in the 30 days before: share of fraud": share,
        "times the usual share": share / data.rate if data.rate else float("nan"),
    }


def seen_before(times: Ints, codes: Ints, is_fraud: Bools) -> tuple[Bools, Bools]:
    """Tell for each row whether its key came in the 30 days before, and whether it had a fraud then.

    Parameters
    ----------
    times
        Ascending, microseconds.
    codes
        Keys; -1: none.
    is_fraud
        By row. It says what happened, not what was known: labels came later.

    Examples
    --------
    >>> seen_before(np.array([0, 1, 2]), np.array([5, 5, -1]), np.array([True, False, False]))
    (array([False,  True, False]), array([False,  True, False]))
    """
    last_row, last_fraud = _last(times, codes, np.ones(len(codes), np.bool_)), _last(times, codes, is_fraud)
    return times - last_row <= MONTH_US, times - last_fraud <= MONTH_US


def _last(times: Ints, codes: Ints, chosen: Bools) -> Ints:
    """Find the time of the latest chosen row of the same key before each row; long ago where there is none.

    One running maximum serves all keys: the seconds of each lie above those of the keys before it.
    """
    if not len(times):
        return times
    seconds = (times - times.min()) // 1_000_000
    order = np.lexsort([np.arange(len(codes)), codes])
    is_first = np.r_[True, codes[order][1:] != codes[order][:-1]]
    floor = (np.cumsum(is_first) - 1) * (int(seconds.max()) + 2)
    is_chosen = chosen[order] & (codes[order] >= 0)
    lifted = np.where(is_chosen, floor + 1 + seconds[order], floor)
    before = np.r_[0, np.maximum.accumulate(lifted)[:-1]]
    found = np.where(is_first | (before <= floor), NEVER, (before - floor - 1) * 1_000_000 + times.min())
    result = np.empty(len(codes), np.int64)
    result[order] = found
    return result


def suggestions(data: Data, rows: Mapping[str, list[Row]]) -> list[str]:
    """Say what the figures let expect."""
    found = []
    declared = {field.name for keys in data.schema.keys for field in keys}
    for row in rows["entities"]:
        name, lift = row["column"], row["times the usual share"]
        if name not in declared and row["rows each, median"] >= 2 and row["different"] > 100:
            found.append(
                f"{name} comes again ({row['different']:,} of them): an entity of its own? {{key: {name}}}"
            )
        if name in declared and np.isfinite(lift) and lift >= 3:
            found.append(
                f"fraud gathers on {name}: {lift:.0f} times the usual share within 30 days of a fraud: "
                "fraud_share, ripe_fraud_share, since_fraud"
            )
    for row in rows["columns"]:
        moved_by, strength = row["moved (PSI, first to last third)"], row["tells fraud alone (0.5 to 1)"]
        if row["column"] != "transaction_id" and strength >= LEAK:
            found.append(
                f"{row['column']} tells fraud by itself ({strength:.3f}): is it known before the decision?"
            )
        if moved_by > MOVED:
            found.append(
                f"{row['column']} moved (PSI {moved_by:.2f}): a model on old data will meet other values"
            )
    found += [
        f"{row['column']} lies after the transaction in {row['rows']:.1%} of the rows: it knows the future"
        for row in rows["later"]
    ]
    return [*found, *currency_words(data.table, data.schema), *label_words(data)]


def _moment(micros: int) -> str:
    return str(np.datetime64(int(micros), "us").astype("datetime64[s]")).replace("T", " ")
