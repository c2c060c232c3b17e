"""A build over every kind of table, by both engines, over a real Spark session and real Delta tables."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from fraud.contracts import AheadBounds, without_future
from fraud.errors import BadInput
from fraud.features.batch import compute_features
from fraud.features.passes import feature_names, passes_of
from fraud.schema.default import MERCHANT, USER
from fraud.schema.entities import Entity
from fraud.schema.future import SourceBounds
from fraud.spark.session import open_session
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tables import TIME, open_source
from jobs.features.arrival import Guard
from jobs.features.build import Engine, build
from jobs.features.local import build_local
from jobs.features.parallel import build_parallel, count_left_out
from tests.deployed import FEATURE_NAMES
from tests.fraud.features.entities import features_of
from tests.fraud.features.tables import handing_on

BOTH = pytest.mark.parametrize("engine", [Engine.LOCAL, Engine.SPARK])


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    session = open_session("test-features-build", "local[2]", 2)
    yield session
    session.stop()


@pytest.fixture(scope="module")
def tables() -> tuple[pa.Table, pa.Table]:
    """A log with late arrivals, equal arrival times and duplicates; labels among the transactions."""
    data = generate(GeneratorSettings(transactions=3_000, users=40, merchants=30, seed=3, days=40))
    dice = np.random.default_rng(5)
    times = data.transactions["event_time"].cast(pa.int64()).to_numpy()
    late = np.where(dice.random(len(times)) < 0.2, dice.integers(0, 72 * 3600, len(times)) * 1_000_000, 0)
    arrival = (times + late) // 60_000_000 * 60_000_000
    table = data.transactions.append_column("arrival_time", pa.array(arrival).cast(pa.timestamp("us", "UTC")))
    again = table.take(pa.array(dice.integers(0, table.num_rows, 50)))
    return pa.concat_tables([table, again]), data.labels


def read(spark: SparkSession, path: Path) -> pa.Table:
    table = spark.read.format("delta").load(str(path)).toArrow().combine_chunks()
    return table.sort_by("arrival_sequence")


def vectors_of(table: pa.Table) -> np.ndarray[Any, Any]:
    return np.column_stack([table[name].to_numpy() for name in FEATURE_NAMES])


def write_log(spark: SparkSession, tables: tuple[pa.Table, pa.Table], folder: Path) -> None:
    """Two Delta tables with the streaming job's arrival columns; their rows in no order."""
    dice = np.random.default_rng(8)
    for name, table in zip(("transactions", "labels"), tables, strict=True):
        n = table.num_rows
        arrival = table["arrival_time" if name == "transactions" else "label_time"]
        minute = pa.array(arrival.cast(pa.int64()).to_numpy() // 60_000_000)
        log = (
            table.append_column("received_at", arrival)
            .append_column("generation", pa.array(np.full(n, 1)))
            .append_column("epoch", minute)
            .append_column("source_partition", pa.array(dice.integers(0, 12, n), pa.int32()))
            .append_column("source_offset", pa.array(np.arange(n)))
        )
        shuffled = log.take(pa.array(dice.permutation(n)))
        pq.write_table(shuffled, folder / f"{name}.parquet")
        frame = spark.read.parquet(str(folder / f"{name}.parquet"))
        frame.write.format("delta").save(str(folder / name))


def write_tables(
    kind: str, spark: SparkSession, tables: tuple[pa.Table, pa.Table], folder: Path
) -> list[Path]:
    if kind == "delta":
        write_log(spark, tables, folder)
        return [folder / "transactions", folder / "labels"]
    paths = []
    for name, table in zip(("transactions", "labels"), tables, strict=True):
        target = folder / f"{name}.{kind}"
        if kind == "csv":
            pa_csv.write_csv(table, target)
        else:
            pq.write_table(table, target, row_group_size=700)
        paths.append(target)
    return paths


@pytest.mark.parametrize("kind", ["csv", "parquet", "delta"])
def test_both_engines_write_the_same_bytes(
    kind: str, spark: SparkSession, tables: tuple[pa.Table, pa.Table], tmp_path: Path
) -> None:
    transactions, labels = write_tables(kind, spark, tables, tmp_path)
    found = {}
    for engine in (Engine.LOCAL, Engine.SPARK):
        built = build(transactions, labels, tmp_path / engine, spark, engine=engine)
        assert (built.transactions, built.labels, built.duplicates) == (3_000, 3_000, 50)
        found[engine] = read(spark, tmp_path / engine)
    local, parallel = found[Engine.LOCAL], found[Engine.SPARK]
    assert vectors_of(parallel).tobytes() == vectors_of(local).tobytes()
    names = [name for name in local.column_names if name not in FEATURE_NAMES]
    assert parallel.select(names).equals(local.select(names))


@BOTH
def test_a_build_gives_the_vectors_of_the_batch(
    engine: Engine, spark: SparkSession, tables: tuple[pa.Table, pa.Table], tmp_path: Path
) -> None:
    transactions, labels = write_tables("parquet", spark, tables, tmp_path)
    build(transactions, labels, tmp_path / "out", spark, engine=engine)
    expected = compute_features(*tables)
    rows = np.flatnonzero(~expected.is_duplicate)
    order = np.argsort(tables[0]["arrival_time"].cast(pa.int64()).to_numpy()[rows], kind="stable")
    found = read(spark, tmp_path / "out")
    assert vectors_of(found).tobytes() == expected.vectors[rows[order]].tobytes()
    assert found["transaction_id"].to_pylist() == tables[0]["transaction_id"].take(rows[order]).to_pylist()


def test_both_engines_leave_out_the_same_rows_where_sources_have_bounds(
    spark: SparkSession, tmp_path: Path
) -> None:
    bounds = AheadBounds(300.0, SourceBounds("channel", (("batch", 7_200.0), ("pos", 30.0))))
    now = datetime(2026, 3, 1, tzinfo=UTC)
    cases = [
        (channel, ahead_s)
        for channel in ("pos", "batch", "online", None)
        for ahead_s in (0, 30, 31, 300, 301, 7_200, 7_201)
    ]
    times = pa.array([now + timedelta(seconds=ahead_s) for _, ahead_s in cases], TIME)
    rows = {
        "transaction_id": [f"t{at}" for at in range(len(cases))],
        "event_time": times,
        "user_id": ["u"] * len(cases),
        "merchant_id": ["m"] * len(cases),
        "amount": [1.0] * len(cases),
        "channel": pa.array([channel for channel, _ in cases], pa.string()),
    }
    told = {name: rows[name] for name in ("transaction_id", "user_id", "event_time")}
    label = {**told, "label_time": pa.array([now] * len(cases), TIME), "is_fraud": [True] * len(cases)}
    guard, expected = Guard(bounds, now), {"transactions": 12, "labels": 4}
    for what, columns in (("transactions", rows), ("labels", label)):
        pq.write_table(pa.table(columns), tmp_path / f"{what}.parquet")
        source = open_source(what, tmp_path / f"{what}.parquet")
        late = spark.read.parquet(str(tmp_path / f"{what}.parquet")).where(guard.ahead(source)).toArrow()
        kept, left_out = without_future(source.table(print), bounds, now)
        assert left_out == expected[what] == count_left_out(source, spark, guard)
        assert not set(late["transaction_id"].to_pylist()) & set(kept["transaction_id"].to_pylist())


@pytest.mark.parametrize("others", [(), (MERCHANT,)], ids=["last", "before another"])
def test_an_entity_with_two_sides_gives_the_same_by_both_engines(
    others: tuple[Entity, ...], spark: SparkSession, tables: tuple[pa.Table, pa.Table], tmp_path: Path
) -> None:
    """Merchants have the names of users here: they pay, too, and some pay themselves."""
    for name, table in zip(("transactions", "labels"), tables, strict=True):
        place = table.column_names.index("merchant_id")
        renamed = pc.replace_substring(table["merchant_id"].cast(pa.string()), "m", "u")
        pq.write_table(table.set_column(place, "merchant_id", renamed), tmp_path / f"{name}.parquet")
    account = Entity("account", 16, ("merchant",), (), sides=(("out", "user"), ("in", "merchant")))
    entities = (handing_on(USER, ("merchant",)), account, *others)
    passes = passes_of(entities, [feature for one in entities for feature in features_of(one)])
    sources = [open_source(name, tmp_path / f"{name}.parquet") for name in ("transactions", "labels")]
    guard = Guard(AheadBounds(1e12), datetime.now(UTC))
    local, _, _ = build_local(sources, guard, lambda _: None, passes)
    parallel = build_parallel(sources, spark, 6_000, guard, lambda _: None, passes=passes).toArrow()
    parallel = parallel.sort_by("arrival_sequence")
    assert parallel["arrival_sequence"].to_pylist() == local["arrival_sequence"].to_pylist()
    for name in feature_names(passes):
        assert parallel[name].to_numpy().tobytes() == local[name].to_numpy().tobytes(), name


def test_the_sequence_counts_labels_and_duplicates_and_files_stand_in_its_order(
    spark: SparkSession, tables: tuple[pa.Table, pa.Table], tmp_path: Path
) -> None:
    transactions, labels = write_tables("parquet", spark, tables, tmp_path)
    build(transactions, labels, tmp_path / "out", spark, engine=Engine.SPARK)
    sequence = read(spark, tmp_path / "out")["arrival_sequence"].to_numpy()
    assert len(np.unique(sequence)) == 3_000
    assert sequence.max() < 6_050
    for file in (tmp_path / "out").glob("*.parquet"):
        part = pq.read_table(file)["arrival_sequence"].to_numpy()
        assert (np.diff(part) > 0).all()
        assert ((sequence >= part.min()) & (sequence <= part.max())).sum() == len(part)


def test_a_table_without_labels_and_nanoseconds_builds(
    spark: SparkSession, tables: tuple[pa.Table, pa.Table], tmp_path: Path
) -> None:
    table = tables[0].slice(0, 200)
    plain = table.drop_columns(["arrival_time"]).set_column(
        table.column_names.index("event_time"),
        "event_time",
        table["event_time"].cast(pa.timestamp("ns", "UTC")).cast(pa.timestamp("ns")),
    )
    pq.write_table(plain, tmp_path / "t.parquet")
    found = []
    for engine in (Engine.LOCAL, Engine.SPARK):
        build(tmp_path / "t.parquet", None, tmp_path / engine, spark, engine=engine)
        found.append(vectors_of(read(spark, tmp_path / engine)).tobytes())
    assert found[0] == found[1]
    assert found[0] == compute_features(table.drop_columns(["arrival_time"])).vectors.tobytes()


def test_auto_folds_a_small_table_in_this_process(
    spark: SparkSession, tables: tuple[pa.Table, pa.Table], tmp_path: Path
) -> None:
    pq.write_table(tables[0].slice(0, 10), tmp_path / "t.parquet")
    assert build(tmp_path / "t.parquet", None, tmp_path / "out", spark).engine is Engine.LOCAL


@BOTH
@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("amount", None, "lacks the column amount"),
        ("merchant_id", None, "lacks the column merchant_id"),
        ("amount", pa.array(["ten", "20"]), "column amount must hold numbers: got 'ten'"),
        (
            "event_time",
            pa.array(["today", "now"]),
            "column event_time must hold times: got 'today'",
        ),
        ("user_id", pa.array(["u1", None]), "column user_id.* has 1 missing values"),
        (
            "amount",
            pa.array([1.0, float("nan")]),
            "column amount(:| has) 1 (values are not (above|at least) 0|missing values)",
        ),
        ("amount", pa.array([1.0, -3.0]), "column amount: 1 values are not at least 0"),
    ],
)
def test_a_missing_or_wrong_column_is_named(
    *,
    engine: Engine,
    column: str,
    values: pa.Array | None,
    words: str,
    spark: SparkSession,
    tables: tuple[pa.Table, pa.Table],
    tmp_path: Path,
) -> None:
    table = tables[0].slice(0, 2)
    place = table.column_names.index(column)
    table = table.remove_column(place)
    if values is not None:
        table = table.append_column(column, values)
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(BadInput, match=words):
        build(tmp_path / "t.parquet", None, tmp_path / "out", spark, engine=engine)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / ".out.staging").exists()


@BOTH
def test_a_wrong_value_in_csv_names_its_column(engine: Engine, spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "transaction_id,event_time,user_id,merchant_id,amount\n1,2026-03-01T12:00:00Z,u,m,10.0\n2,soon,u,m,1\n"
    )
    with pytest.raises(BadInput, match="column event_time must hold times: got 'soon'"):
        build(tmp_path / "t.csv", None, tmp_path / "out", spark, engine=engine)


def test_a_folder_with_something_in_it_is_not_overwritten_unasked(
    spark: SparkSession, tables: tuple[pa.Table, pa.Table], tmp_path: Path
) -> None:
    pq.write_table(tables[0].slice(0, 10), tmp_path / "t.parquet")
    out = tmp_path / "out"
    build(tmp_path / "t.parquet", None, out, spark)
    with pytest.raises(BadInput, match="--overwrite"):
        build(tmp_path / "t.parquet", None, out, spark)
    assert build(tmp_path / "t.parquet", None, out, spark, overwrite=True).transactions == 10


@BOTH
@pytest.mark.parametrize("kind", ["csv", "parquet", "delta"])
def test_rows_from_the_future_are_left_out_and_counted(
    engine: Engine, kind: str, spark: SparkSession, tables: tuple[pa.Table, pa.Table], tmp_path: Path
) -> None:
    """Against the arrival column where there is one, else against now; the others' vectors do not change."""
    far = pa.scalar(datetime(2099, 6, 1, tzinfo=UTC), pa.timestamp("us", "UTC"))
    late = tables[0].slice(0, 5)
    place = late.column_names.index("event_time")
    late = late.set_column(place, "event_time", pc.add(late["arrival_time"], timedelta(days=33)))
    late = late.set_column(0, "transaction_id", pa.array([f"late-{i}" for i in range(5)]))
    future = tables[1].slice(0, 7)
    place = future.column_names.index("label_time")
    future = future.set_column(place, "label_time", pa.repeat(far, 7))
    whole = (pa.concat_tables([tables[0], late]), pa.concat_tables([tables[1], future]))
    found = []
    for name, both, left_out in (("plain", tables, 0), ("whole", whole, 12)):
        (tmp_path / name).mkdir()
        transactions, labels = write_tables(kind, spark, both, tmp_path / name)
        built = build(transactions, labels, tmp_path / f"{name}-out", spark, engine=engine)
        assert (built.transactions, built.duplicates, built.left_out) == (3_000, 50, left_out)
        found.append(vectors_of(read(spark, tmp_path / f"{name}-out")).tobytes())
    assert found[0] == found[1]
