"""The second pass: fold into the merchants' states, score, decide, publish, and leave the results in the spool.

Reads rows of ``rows.PASSED`` and the merchants' states; calls the model server once; writes the
states, the topics ``decisions``, ``alerts`` and ``dead-letters``, and one spool file.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraud.contracts import LABELS, Outcome
from fraud.features import FEATURE_NAMES, FEATURES_VERSION, kernel
from fraud.features.definitions import MERCHANT, USER_FEATURES
from fraud.features.engine import fold_events
from fraud.store import Kind
from jobs.stream import rows
from jobs.stream.context import TaskContext, model_of, producer_of, store_of
from jobs.stream.publish import publish
from jobs.stream.score import Verdicts, score


def run_merchant_pass(context: TaskContext, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Run the pass over one partition (a ``mapInArrow`` function); yields one row of ``rows.SUMMARY``."""
    parts = list(batches)
    if not parts:
        return
    started = time.perf_counter()
    table = _in_arrival_order(pa.Table.from_batches(parts))
    vectors = _fold(context, table)
    folded = time.perf_counter()
    is_transaction = table.column("kind").to_numpy() == rows.TRANSACTION
    verdicts = score(model_of(context), vectors[is_transaction])
    scored = time.perf_counter()
    spooled = _spool_table(context, table, vectors, verdicts, is_transaction)
    publish(producer_of(context), spooled)
    published = time.perf_counter()
    _write_spool(context, spooled)
    stages = {
        "merchant_pass": folded - started,
        "model_call": scored - folded,
        "publish": published - scored,
        "spool": time.perf_counter() - published,
    }
    yield pa.RecordBatch.from_pylist([{"summary": json.dumps(_summary(spooled, verdicts, stages))}], rows.SUMMARY)


def mapped(context: TaskContext) -> partial[Iterator[pa.RecordBatch]]:
    """Bind the pass to a micro-batch, for ``mapInArrow``."""
    return partial(run_merchant_pass, context)


def _in_arrival_order(table: pa.Table) -> pa.Table:
    time_us = table.column("received_at").cast(pa.int64()).to_numpy()
    is_label = np.asarray(table.column("topic").to_numpy(zero_copy_only=False), "U") == LABELS
    columns = (table.column("source_offset").to_numpy(), table.column("source_partition").to_numpy())
    return table.take(pa.array(np.lexsort((*columns, ~is_label, time_us))))


def _fold(context: TaskContext, table: pa.Table) -> kernel.Floats:
    """Fold what concerns merchants; returns the whole vectors, [rows, features]."""
    events = _matrix(table.column("event"), kernel.EVENT_COLUMNS)
    kinds = table.column("kind").to_numpy()
    concerns = (kinds == rows.TRANSACTION) | ((kinds == rows.LABEL) & (events[:, kernel.E_CENTS] != 0.0))
    passed = events[concerns]
    keys = np.unique(passed[:, kernel.E_MERCHANT]).tolist()
    store = store_of(context.store_url)
    states = dict(zip(keys, store.read(Kind.MERCHANT, keys, context.epoch), strict=True))
    folded = fold_events(MERCHANT, passed, states)
    store.write(Kind.MERCHANT, folded.states, context.epoch, context.token)
    vectors = np.full((len(events), len(FEATURE_NAMES)), np.nan)
    vectors[:, : len(USER_FEATURES)] = _matrix(table.column("user_vector"), len(USER_FEATURES))
    vectors[concerns, len(USER_FEATURES) :] = folded.vectors
    return vectors


def _matrix(column: pa.ChunkedArray, width: int) -> kernel.Floats:
    """Read a column of binary rows back as a float64 matrix."""
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks)
    joined = b"".join(values.to_pylist())
    return np.frombuffer(joined, np.float64).reshape(-1, width)


def _spool_table(
    context: TaskContext, table: pa.Table, vectors: kernel.Floats, verdicts: Verdicts, is_transaction: Any
) -> pa.Table:
    n = table.num_rows
    where = np.flatnonzero(is_transaction)

    def spread(values: list[Any], kind: pa.DataType) -> pa.Array:
        column = np.full(n, None, object)
        column[where] = values
        return pa.array(column, kind, from_pandas=False)

    reasons = [json.dumps([reason.model_dump() for reason in found]) if found else "[]" for found in verdicts.reasons]
    now = datetime.now(UTC)
    shared = [field.name for field in (*rows.ORIGIN, *rows.RECORD_FIELDS)]
    stamp = {
        "processed_at": now,
        "generation": context.epoch.generation,
        "epoch": context.epoch.batch,
        "features_version": FEATURES_VERSION,
    }
    columns = [
        *(table.column(name) for name in shared),
        spread([str(outcome) for outcome in verdicts.outcomes], pa.string()),
        spread(verdicts.probability, pa.float64()),
        spread(reasons, pa.string()),
        spread([verdicts.model_version] * len(where), pa.string()),
        spread([verdicts.is_fallback] * len(where), pa.bool_()),
        *(pa.repeat(pa.scalar(stamp[field.name], field.type), n) for field in rows.STAMP),
        *(pa.array(np.ascontiguousarray(vectors[:, i])) for i in range(len(FEATURE_NAMES))),
    ]
    return pa.table(columns, schema=rows.SPOOLED)


def _write_spool(context: TaskContext, table: pa.Table) -> None:
    """Write the task's file whole or not at all; the task run again writes the same name."""
    from pyspark import TaskContext as SparkTask  # noqa: PLC0415  known only inside a task

    task = SparkTask.get()
    part = task.partitionId() if task else 0
    context.spool_folder.mkdir(parents=True, exist_ok=True)
    target = context.spool_folder / f"part-{part:05d}.parquet"
    partial_file = target.with_suffix(f".{task.taskAttemptId() if task else 0}.partial")
    pq.write_table(table, partial_file, compression="lz4", use_dictionary=False, write_statistics=False)
    partial_file.replace(target)


def _summary(table: pa.Table, verdicts: Verdicts, stages: dict[str, float]) -> dict[str, Any]:
    kinds = table.column("kind").to_numpy()
    received = table.column("received_at").cast(pa.int64()).to_numpy()[kinds == rows.TRANSACTION]
    done = time.time() * 1e6
    reasons = [reason for reason in table.column("reason").to_pylist() if reason is not None]
    return {
        "transactions": len(verdicts.outcomes),
        "labels": int((kinds == rows.LABEL).sum()),
        "outcomes": {outcome: sum(o is outcome for o in verdicts.outcomes) for outcome in Outcome},
        "dead_letters": Counter(reasons),
        "is_fallback": verdicts.is_fallback,
        "model_version": verdicts.model_version,
        "scores": np.histogram(verdicts.probability, bins=10, range=(0.0, 1.0))[0].tolist()
        if not verdicts.is_fallback
        else [],
        "latencies_s": np.round((done - received) / 1e6, 3).tolist(),
        "stages_s": stages,
    }
