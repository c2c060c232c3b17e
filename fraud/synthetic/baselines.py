"""How far each raw column alone tells fraud: the floor under any model, and a check of the generator.

A data set in which one column gives fraud away teaches nothing; see the table in the README.
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.metrics import average_precision_score

from fraud.errors import BadInput
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.places import distance_km
from fraud.synthetic.population import Bools, Floats, Ints

TRAIN_SHARE: Final = 0.7
"""Of the transactions, by time, from which the rates of categories are learnt."""
PRIOR_WEIGHT: Final = 20.0
"""Transactions of average fraud that each category's own are mixed with: rare ones stay near the average."""


def single_column_pr_auc(data_set: DataSet) -> dict[str, float]:
    """Measure the PR-AUC (average precision) of every raw column on the last 30 % of the time.

    Numbers count in the better of their two directions; categories by their smoothed share of fraud in
    the first 70 %; for every number that may be missing, its absence is a column of its own.

    Returns
    -------
    dict of str to float
        Column: PR-AUC in [0, 1], the highest first, and ``random``, the share of fraud, for comparison.

    Raises
    ------
    BadInput
        When the last 30 % hold no fraud or nothing else.
    """
    table = data_set.transactions
    order = pc.index_in(table["transaction_id"], value_set=data_set.labels["transaction_id"])
    is_fraud = data_set.labels["is_fraud"].take(order).to_numpy()
    cut = int(TRAIN_SHARE * len(is_fraud))
    late = is_fraud[cut:]
    if late.all() or not late.any():
        raise BadInput("the last 30 % of the transactions hold one class alone; generate more of them")
    scores = {
        name: max(average_precision_score(late, values[cut:]), average_precision_score(late, -values[cut:]))
        for name, values in _numbers(table).items()
    }
    for name in _words(table):
        scores[name] = average_precision_score(late, _rates(table[name], is_fraud, cut))
    scores["random"] = float(late.mean())
    return dict(sorted(((name, float(score)) for name, score in scores.items()), key=lambda pair: -pair[1]))


def _numbers(table: pa.Table) -> dict[str, Floats]:
    """Collect the numeric columns and the plain functions of one row that people try first."""

    def column(name: str) -> Floats:
        return np.asarray(table[name].to_numpy(), dtype=np.float64)

    time_us: Ints = table["event_time"].cast(pa.int64()).to_numpy()
    amount = column("amount")
    own = [
        field.name for field in table.schema if pa.types.is_floating(field.type) and field.name != "amount"
    ]
    values = {name: column(name) for name in own}
    far = {}
    if {"latitude", "longitude", "home_latitude", "home_longitude"} <= set(own):
        places = (values[name] for name in ("home_latitude", "home_longitude", "latitude", "longitude"))
        far["distance_from_home"] = np.nan_to_num(distance_km(*places), nan=-1.0)
    missing = {f"{name}_is_missing": table[name] for name in table.column_names if table[name].null_count}
    hour = time_us / 3.6e9 % 24.0
    return {
        "amount": amount,
        "amount_is_round": (np.round(amount * 100) % 500 == 0).astype(np.float64),
        "hour": hour,
        "hour_from_noon": np.abs(hour - 12.0),
        "weekday": np.floor(time_us / 8.64e10 + 3.0) % 7.0,
        **far,
        **{name: np.nan_to_num(found, nan=-181.0) for name, found in values.items()},
        **{name: _flags(found.is_null()) for name, found in missing.items()},
    }


def _words(table: pa.Table) -> list[str]:
    """Name the columns of keys and categories."""
    return [
        field.name
        for field in table.schema
        if pa.types.is_string(field.type) and field.name != "transaction_id"
    ]


def _flags(values: pa.ChunkedArray) -> Floats:
    return np.asarray(values.to_numpy(), dtype=np.float64)


def _rates(column: pa.ChunkedArray, is_fraud: Bools, cut: int) -> Floats:
    """Give each late row its category's smoothed share of fraud among the early ones."""
    codes = pc.fill_null(column, "").combine_chunks().dictionary_encode().indices.to_numpy()
    size = int(codes.max()) + 1
    count = np.bincount(codes[:cut], minlength=size)
    frauds = np.bincount(codes[:cut], weights=is_fraud[:cut].astype(np.float64), minlength=size)
    average = is_fraud[:cut].mean()
    return np.asarray(((frauds + PRIOR_WEIGHT * average) / (count + PRIOR_WEIGHT))[codes[cut:]])
