"""Writes the tables of a log from transactions, without a stream."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from fraud.schema.arrow import TIME
from tests.deployed import FEATURE_NAMES, FEATURES_VERSION


def write_log(
    folder: Path,
    transactions: pa.Table,
    vectors: np.ndarray[Any, Any],
    *,
    since: datetime,
    every: timedelta,
    scores: np.ndarray[Any, Any],
    outcomes: list[str],
    labels: dict[int, bool],
    without: tuple[str, ...] = (),
    versions: Sequence[str | None] | None = None,
) -> str:
    """Write transactions as if one was decided every so often; ``labels`` by row.

    ``without`` are features that were not served; ``versions`` are those of rules and lists.
    """
    n = transactions.num_rows
    origin = {
        "received_at": pa.array([since + at * every for at in range(n)], TIME),
        "generation": pa.array([1] * n, pa.int64()),
        "epoch": pa.array([at // 500 for at in range(n)], pa.int64()),
        "source_partition": pa.array([0] * n, pa.int32()),
        "source_offset": pa.array(range(n), pa.int64()),
    }
    for name, values in origin.items():
        transactions = transactions.append_column(name, values)
    ids = transactions["transaction_id"]
    served = {name: vectors[:, at] for at, name in enumerate(FEATURE_NAMES) if name not in without}
    rows = pa.array(sorted(labels), pa.int64())
    tables = {
        "transactions": transactions,
        "features": pa.table(served | {"features_version": [FEATURES_VERSION] * n} | origin),
        "decisions": pa.table(
            {"transaction_id": ids, "outcome": outcomes, "score": scores}
            | ({} if versions is None else {"policy_version": pa.array(versions, pa.string())})
            | origin
        ),
        "labels": pa.table({"transaction_id": ids, "label_time": origin["received_at"]} | origin)
        .take(rows)
        .append_column("is_fraud", pa.array([labels[at] for at in sorted(labels)])),
    }
    for name, table in tables.items():
        write_deltalake(str(folder / name), table)
    return str(folder)
