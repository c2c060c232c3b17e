"""The user fold over the same Kafka records by several engines: our pass, Spark's keyed state, plain Python.

Each reads the same transactions from the topic, validates them, folds them into a state per user and
counts the vectors. Ours is the streaming job's user pass over its feature store; Spark's is
transformWithState over RocksDB with the same fold and state, by rows and by pandas frames; plain Python
is one process with objects in a dictionary. Nobody scores, publishes or archives here.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812  its name everywhere
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from fraud.contracts import TRANSACTIONS, contracts_of, parse_record
from fraud.features.engine import fold_events
from fraud.features.events import event_of_transaction, stack_events
from fraud.features.hashing import hash_text
from fraud.features.kernel import Floats
from fraud.kafka.reader import Reader
from fraud.log import rows
from fraud.schema.default import USER
from fraud.schema.deployed import deployed_schema
from fraud.spark.session import KAFKA_SOURCE, open_session
from fraud.store import Epoch, open_store
from fraud.tools.bench.plain import PlainFold
from jobs.stream.tasks import entity_pass, validate_pass
from jobs.stream.tasks.arrow_rows import ARROW_ROWS, receive
from jobs.stream.tasks.context import TaskContext
from jobs.stream.tasks.warm_up import warm_up

PARTITIONS: Final = 2
WARM_SHARE: Final = 0.2
"""First part of the records, which is not timed: workers start, code is compiled."""

_PATIENCE_S: Final = 3_600.0
"""How long plain Python may take to read all records, seconds."""
MOST_S: Final = 120
"""How long one of Spark's ways is measured at most, seconds."""


@dataclass(frozen=True, slots=True)
class KeyedRate:
    """How fast one engine was."""

    engine: str
    transactions: int
    transactions_per_s: float


def compare_keyed_state(
    bootstrap: str, transactions: int, micro_batch: int, folder: Path, tell: Callable[[str], None]
) -> list[KeyedRate]:
    """Measure them over the topic ``transactions``, which holds that many records.

    Parameters
    ----------
    micro_batch
        Records of a micro-batch, for both of Spark's ways.
    folder
        For states and checkpoints; emptied before. Another one for every call of a process: Spark's
        workers outlive a session, and keep the store of this path open.
    """
    shutil.rmtree(folder, ignore_errors=True)
    spark = open_session("fraud-bench", f"local[{PARTITIONS}]", PARTITIONS, delta=False)
    try:
        warm_up(spark, PARTITIONS, deployed_schema())
        tell("the user pass over the feature store")
        ours = _measure_stream(spark, bootstrap, micro_batch, folder / "pass", _start_pass)
        tell("transformWithState over RocksDB")
        in_rows = _measure_stream(spark, bootstrap, micro_batch, folder / "rows", _start_rows)
        tell("transformWithStateInPandas over RocksDB")
        in_frames = _measure_stream(spark, bootstrap, micro_batch, folder / "frames", _start_frames)
    finally:
        spark.stop()
    tell("plain Python")
    plain = _measure_plain(bootstrap, transactions)
    return [
        KeyedRate("user pass (mapInArrow, feature store)", *ours),
        KeyedRate("transformWithState, rows (RocksDB)", *in_rows),
        KeyedRate("transformWithStateInPandas (RocksDB)", *in_frames),
        KeyedRate("plain Python, one process, no store", *plain),
    ]


def _measure_stream(
    spark: SparkSession,
    bootstrap: str,
    micro_batch: int,
    folder: Path,
    start: Callable[[DataFrame, Path, list[tuple[float, int]]], Any],
) -> tuple[int, float]:
    source = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap)
        .option("subscribe", TRANSACTIONS)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", micro_batch)
        .options(**KAFKA_SOURCE)
        .load()
    )
    done: list[tuple[float, int]] = []
    query = start(source, folder, done)
    if not query.awaitTermination(MOST_S):
        query.stop()
    warm = max(1, int(len(done) * WARM_SHARE))
    counted = sum(n for _, n in done[warm:])
    return counted, counted / (done[-1][0] - done[warm - 1][0])


def _start_pass(source: DataFrame, folder: Path, done: list[tuple[float, int]]) -> Any:
    url = f"lmdb://{(folder / 'store').absolute()}"
    with open_store(url) as store:
        token = store.acquire("bench")
    kept = open_store(url)

    def process(frame: DataFrame, batch: int) -> None:
        context = TaskContext(Epoch(1, batch), token, url, folder / "spool", (), "", 1.0, PARTITIONS)
        arrow_rows = from_arrow_schema(ARROW_ROWS)
        counted = (
            frame.select(*validate_pass.COLUMNS)
            .coalesce(PARTITIONS)
            .mapInArrow(validate_pass.mapped(context), arrow_rows)
            .repartitionById(PARTITIONS, "to")
            .mapInArrow(partial(_count_vectors, context), "vectors long")
            .collect()
        )
        kept.flush()
        done.append((time.perf_counter(), sum(row.vectors for row in counted)))

    return _start(source, process, folder)


def _count_vectors(context: TaskContext, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    passed = entity_pass.run_entity_pass(context, 0, batches)
    table, _ = receive(passed, context.rows.passed_schema(context.passes, 0))
    vectors = int((~np.isnan(rows.matrix_of(table.column("vector"))).all(axis=1)).sum())
    yield pa.record_batch({"vectors": [vectors]})


class _FoldRows(StatefulProcessor):
    """The same fold as a processor of Spark's keyed state, over rows."""

    def init(self, handle: StatefulProcessorHandle) -> None:
        self._state = handle.getValueState("state", "state binary")

    def handleInputRows(self, key: Any, rows: Any, timerValues: Any) -> Iterator[Any]:  # noqa: N802, N803
        del timerValues
        found = sorted((row.offset, bytes(row.value)) for row in rows)
        for vector in self._fold(key[0], [value for _, value in found]):
            yield Row(user_vector=vector.tobytes())

    def close(self) -> None:
        pass

    def _fold(self, user: str, values: list[bytes]) -> Floats:
        hashed = hash_text(user)
        found = self._state.get() if self._state.exists() else None
        contract = contracts_of(deployed_schema()).transaction
        events = stack_events([event_of_transaction(parse_record(contract, value)) for value in values])
        folded = fold_events(USER, events, {hashed: bytes(found[0]) if found else None})
        self._state.update((folded.states[hashed],))
        return folded.vectors


class _FoldFrames(_FoldRows):
    """The same over pandas frames, Spark's older way."""

    def handleInputRows(self, key: Any, rows: Any, timerValues: Any) -> Iterator[Any]:  # noqa: N802, N803
        del timerValues
        frame = pd.concat(list(rows)).sort_values("offset")
        vectors = self._fold(key[0], frame["value"].tolist())
        yield pd.DataFrame({"user_vector": [vector.tobytes() for vector in vectors]})


def _start_rows(source: DataFrame, folder: Path, done: list[tuple[float, int]]) -> Any:
    grouped = _by_user(source)
    return _start_keyed(
        grouped.transformWithState(_FoldRows(), "user_vector binary", "Append", "None"), folder, done
    )


def _start_frames(source: DataFrame, folder: Path, done: list[tuple[float, int]]) -> Any:
    grouped = _by_user(source)
    return _start_keyed(
        grouped.transformWithStateInPandas(_FoldFrames(), "user_vector binary", "Append", "None"),
        folder,
        done,
    )


def _by_user(source: DataFrame) -> Any:
    provider = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    source.sparkSession.conf.set("spark.sql.streaming.stateStore.providerClass", provider)
    user = F.get_json_object(F.col("value").cast("string"), "$.user_id")
    return source.select("value", "offset", user.alias("user")).groupBy("user")


def _start_keyed(vectors: DataFrame, folder: Path, done: list[tuple[float, int]]) -> Any:
    def process(frame: DataFrame, _batch: int) -> None:
        counted = frame.filter(F.length("user_vector") > 0).count()
        done.append((time.perf_counter(), counted))

    return _start(vectors, process, folder)


def _start(frame: DataFrame, process: Callable[[DataFrame, int], None], folder: Path) -> Any:
    writer = frame.writeStream.foreachBatch(process).trigger(availableNow=True)
    return writer.option("checkpointLocation", str(folder / "checkpoint")).start()


def _measure_plain(bootstrap: str, transactions: int) -> tuple[int, float]:
    fold, contract = PlainFold(USER), contracts_of(deployed_schema()).transaction
    warm = int(transactions * WARM_SHARE)
    seen, started = 0, 0.0
    with Reader(bootstrap, name="fraud-bench-plain") as reader:
        ends = {at: bounds.end for at, bounds in reader.bounds(TRANSACTIONS).items()}
        reader.begin(dict.fromkeys(ends, 0))
        for message in islice(reader.read_to(ends, _PATIENCE_S), transactions):
            fold.fold(event_of_transaction(parse_record(contract, message.value())))
            seen += 1
            if seen == warm:
                started = time.perf_counter()
    rate = (seen - warm) / (time.perf_counter() - started)
    return seen - warm, rate
