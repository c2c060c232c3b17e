"""The end of the last entity's pass: score, decide, publish, leave results in the spool.

Reads rows of ``Rows.passed_schema``, whose vectors are whole; calls the model server once; writes the
topics ``decisions``, ``alerts`` and ``dead-letters``, and one spool file. What the scoring
service has decided (and published) only goes to the spool.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraud.contracts import Outcome, Reason
from fraud.decide.experiment import TRIAL_FIELDS, Alias
from fraud.decide.overruling import RULED_FIELDS, UNTOUCHED, ruled_fields
from fraud.features import kernel
from fraud.features.passes import Passes, feature_names, whole
from fraud.log import rows
from fraud.runtime.telemetry import EVENT_BUCKETS_S, LATENCY_BUCKETS_S
from fraud.runtime.traces import MOST_LINKS, carrying, is_sampled
from jobs.stream.tasks.arrow_rows import Stages
from jobs.stream.tasks.context import TaskContext, model_of, producer_of
from jobs.stream.tasks.feature_age import count_ages
from jobs.stream.tasks.histograms import count
from jobs.stream.tasks.large_records import without_written
from jobs.stream.tasks.publish import publish
from jobs.stream.tasks.rules import apply_rules, unexplained
from jobs.stream.tasks.score import Decisions, FeatureWords, explain_further, score, score_in_trial
from jobs.stream.tasks.scored import Decided, as_archived
from jobs.stream.tasks.stopwatch import Stopwatch


def run_decide_pass(
    context: TaskContext, table: pa.Table, stages: Stages, watch: Stopwatch
) -> Iterator[pa.RecordBatch]:
    """Decide what a task's passes have folded; yields one ``rows.SUMMARY``.

    Parameters
    ----------
    table
        What the last pass hands on.
    stages
        Seconds by stage, of the tasks that these rows have been through.
    watch
        Of this task, which also goes into the summary.
    """
    vectors = whole(context.passes, rows.matrix_of(table.column("vector")))
    is_transaction = table.column("row_kind").to_numpy() == rows.TRANSACTION
    with watch.time("model_call"), carrying(context.trace):
        decisions = _score(context, table, vectors, is_transaction)
    with watch.time("rules"):
        decisions = _rule(context, decisions, table, vectors, is_transaction)
    decided = Decided(table, context.passes, context.contracts)
    decided.fill_vectors(vectors)
    spooled = spool_table(context, table, vectors=vectors, decisions=decisions, decided=decided)
    with watch.time("publish"):
        traces = table.column(rows.TRACE.name) if context.is_traced else None
        publish(producer_of(context), spooled, context.schema, traces)
    with watch.time("spool"):
        _write_spool(context, as_archived(without_written(spooled)))
    summary = _summary(spooled, decisions, [*stages, watch.seconds], context.passes)
    if context.is_traced:
        summary["traces"] = _linked(table.filter(pa.array(is_transaction)).column(rows.TRACE.name))
    yield pa.RecordBatch.from_pylist([{"summary": json.dumps(summary)}], rows.SUMMARY)


def _score(
    context: TaskContext, table: pa.Table, vectors: kernel.Floats, is_transaction: NDArray[np.bool_]
) -> Decisions:
    of = FeatureWords(context.schema, feature_names(context.passes))
    if context.experiment is None:
        return score(model_of(context), vectors[is_transaction], of)
    users = table.column(context.schema.primary_key.name).filter(pa.array(is_transaction)).to_pylist()
    client_of = partial(model_of, context)
    return score_in_trial(client_of, vectors[is_transaction], users, context.experiment, of)


def _rule(
    context: TaskContext,
    decisions: Decisions,
    table: pa.Table,
    vectors: kernel.Floats,
    is_transaction: NDArray[np.bool_],
) -> Decisions:
    if context.rules is None:
        return decisions
    fields = table.filter(pa.array(is_transaction))
    of = FeatureWords(context.schema, feature_names(context.passes))
    vectors = vectors[is_transaction]
    decisions = apply_rules(decisions, context.rules, fields, vectors, of)
    aliases = (Alias.CHAMPION, *((Alias.CHALLENGER,) if context.experiment else ()))
    models = [model_of(context, alias) for alias in aliases]
    return explain_further(decisions, models, vectors, unexplained(decisions), of)


def spool_table(
    context: TaskContext,
    table: pa.Table,
    *,
    vectors: kernel.Floats,
    decisions: Decisions,
    decided: Decided,
) -> pa.Table:
    """Make rows of ``Rows.spooled_schema``.

    Parameters
    ----------
    table
        What the last pass hands on.
    vectors
        [rows, features], also those that the scoring service has served.
    decisions
        On the transactions that are decided here.
    decided
        By the scoring service.
    """
    n = table.num_rows
    schema = context.rows.spooled_schema(context.passes)
    kinds = table.column("row_kind").to_numpy()
    where, is_notice = np.flatnonzero(kinds == rows.TRANSACTION), np.isin(kinds, rows.NOTICES)

    def spread(values: list[Any], theirs: list[Any], kind: pa.DataType) -> pa.Array:
        column = np.full(n, None, object)
        column[where] = values
        column[decided.where] = theirs
        return pa.array(column, kind, from_pandas=False)

    now = datetime.now(UTC)
    shared = [field.name for field in (*rows.ORIGIN, *context.rows.record_fields)]
    processed_at = np.full(n, now, object)
    processed_at[decided.where] = decided.values("scored_at")
    features_version = np.full(n, context.schema.features_version, object)
    features_version[decided.where] = decided.values("features_version")
    stamp = {
        "generation": context.epoch.generation,
        "epoch": context.epoch.batch,
    }
    told: dict[str, tuple[list[Any], list[Any]]] = {
        "outcome": (list(map(str, decisions.outcomes)), list(map(str, decided.values("outcome")))),
        "score": (decisions.probability, decided.values("score")),
        "reasons": (_as_json(decisions.reasons), _as_json(decided.values("reasons"))),
        "model_version": (decisions.model_versions, decided.values("model_version")),
        "is_fallback": (decisions.is_fallback, decided.values("is_fallback")),
        "policy_version": ([decisions.policy_version] * len(where), decided.values("policy_version")),
        **{
            name: (texts, list(map(_text_of, decided.values(name))))
            for name, texts in _of_rules(decisions).items()
        },
        **{name: (_of_trials(decisions, name), decided.values(name)) for name in TRIAL_FIELDS},
    }
    repeated = {name: pa.repeat(pa.scalar(value, pa.int64()), n) for name, value in stamp.items()}
    columns = [
        *(table.column(name) for name in shared),
        *(spread(*told[field.name], field.type) for field in rows.DECISION_FIELDS),
        pa.array(processed_at, rows.STAMP[0].type),
        repeated["generation"],
        repeated["epoch"],
        pa.array(features_version, pa.string()),
        *decided.sequences(table),
        *rows.hash_columns(context.passes, rows.matrix_of(table.column("event")), is_notice),
        *(
            _feature_column(name, vectors[:, i], decided)
            for i, name in enumerate(feature_names(context.passes))
        ),
    ]
    return pa.table(columns, schema=schema)


def _of_trials(decisions: Decisions, name: str) -> list[Any]:
    if decisions.trials is None:
        return [None] * len(decisions.outcomes)
    return [getattr(trial, name) for trial in decisions.trials]


def _of_rules(decisions: Decisions) -> dict[str, list[str | None]]:
    """Write what the rules made of each decision; most share a value, which is written once."""
    ruled = decisions.ruled or [UNTOUCHED[outcome] for outcome in decisions.outcomes]
    texts: dict[int, dict[str, str | None]] = {}
    for one in ruled:
        if id(one) not in texts:
            texts[id(one)] = {name: _text_of(value) for name, value in ruled_fields(one).items()}
    return {name: [texts[id(one)][name] for one in ruled] for name in RULED_FIELDS}


def _text_of(value: Sequence[str] | None) -> str | None:
    """Write names as JSON; a queue is its name."""
    if isinstance(value, str):
        return str(value)
    return None if value is None else json.dumps(value)


def _as_json(reasons: list[list[Reason]]) -> list[str]:
    return [json.dumps([reason.model_dump() for reason in found]) if found else "[]" for found in reasons]


def _feature_column(name: str, values: kernel.Floats, decided: Decided) -> pa.Array:
    """Make a column; null, not NaN, where a service of an older build did not know the feature."""
    unknown = decided.is_unknown(name)
    mask = None
    if unknown:
        mask = np.zeros(len(values), np.bool_)
        mask[unknown] = True
    return pa.array(np.ascontiguousarray(values), mask=mask)


def _write_spool(context: TaskContext, table: pa.Table) -> None:
    """Write the task's file whole or not at all; the task run again writes the same name."""
    from pyspark import TaskContext as SparkTask  # noqa: PLC0415  known only inside a task

    task = SparkTask.get()
    part = task.partitionId() if task else 0
    file = context.result_file(f"part-{part:05d}", str(task.taskAttemptId() if task else 0))
    pq.write_table(table, file.path, compression="lz4", use_dictionary=False, write_statistics=False)
    file.finish()


def _summary(table: pa.Table, decisions: Decisions, stages: Stages, passes: Passes) -> dict[str, Any]:
    kinds = table.column("row_kind").to_numpy()
    is_transaction = kinds == rows.TRANSACTION
    received = table.column("received_at").cast(pa.int64()).to_numpy()[is_transaction]
    happened = table.column("event_time").cast(pa.int64()).to_numpy()[is_transaction]
    is_scored = (kinds == rows.SCORED) | (kinds == rows.RECOUNTED)
    known = table.column("event_time").cast(pa.int64()).to_numpy()[is_transaction | is_scored]
    done = time.time() * 1e6
    reasons = [reason for reason in table.column("reason").to_pylist() if reason is not None]
    return {
        "transactions": len(decisions.outcomes),
        "labels": int((kinds == rows.LABEL).sum()),
        "results": int((kinds == rows.RESULT).sum()),
        "profiles": int((kinds == rows.PROFILE).sum()),
        "outcomes": {outcome: sum(o is outcome for o in decisions.outcomes) for outcome in Outcome},
        "dead_letters": Counter(reasons),
        "fallbacks": sum(decisions.is_fallback),
        "rules": decisions.rule_counts,
        "arms": Counter(trial.arm for trial in decisions.trials or ()),
        "scores": _histogram(decisions),
        "latency": count((done - received) / 1e6, LATENCY_BUCKETS_S),
        "event_latency": count((done - happened) / 1e6, EVENT_BUCKETS_S),
        "stages_s": stages,
        "ages": count_ages(table, is_transaction, passes),
        "newest_event_us": float(known.max()) if len(known) else None,
        "scored": int(is_scored.sum()),
    }


def _linked(traces: pa.ChunkedArray) -> list[str]:
    """Choose the traces that the micro-batch's span is linked with: those that somebody has sampled."""
    return list(islice(filter(is_sampled, traces.to_pylist()), MOST_LINKS))


def _histogram(decisions: Decisions) -> list[int]:
    """Count the scores in tenths."""
    known = [probability for probability in decisions.probability if probability is not None]
    counts, _ = np.histogram(known, bins=10, range=(0.0, 1.0))
    return list(map(int, counts))
