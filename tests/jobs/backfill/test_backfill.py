"""The backfill as a program: history up to a moment, once, and never into a store that is live."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake
from pandas.testing import assert_frame_equal
from pyarrow import dataset

from fraud.errors import BadInput, Fenced
from fraud.features.hashing import hash_text
from fraud.money import Rate, write_rates
from fraud.money.rates import ALWAYS
from fraud.schema.reading import DEFAULT, parse_schema
from fraud.store import Answer, Change, Epoch, open_store
from fraud.store.value import version_of
from fraud.synthetic import files
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tables.rates import deployed_rates
from jobs.backfill.run import backfill, run
from jobs.backfill.settings import BackfillSettings
from jobs.stream.settings import StreamSettings
from tests.deployed import ENTITIES

UNTIL = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def history(tmp_path: Path) -> tuple[DataSet, BackfillSettings]:
    data = generate(GeneratorSettings(transactions=600, users=40, merchants=30))
    files.write(data, tmp_path / "history")
    return data, BackfillSettings(data=str(tmp_path / "history"), until=UNTIL)


def test_it_takes_what_came_before_the_moment(
    history: tuple[DataSet, BackfillSettings], tmp_path: Path
) -> None:
    data, settings = history
    stream = StreamSettings(home=tmp_path / "stream")
    done = run(settings, stream)
    assert done is not None
    before = {
        name: pc.sum(pc.less(table[time], UNTIL)).as_py()
        for name, table, time in (
            ("transactions", data.transactions, "event_time"),
            ("labels", data.labels, "label_time"),
        )
    }
    assert (done.transactions, done.labels) == (before["transactions"], before["labels"])
    assert 0 < done.transactions < data.transactions.num_rows


def test_again_before_the_stream_it_changes_nothing(
    history: tuple[DataSet, BackfillSettings], tmp_path: Path
) -> None:
    stream = StreamSettings(home=tmp_path / "stream")
    states = []
    for _ in range(2):
        assert run(history[1], stream) is not None
        with open_store(stream.store) as store:
            states.append({kind: dict(store.scan(kind)) for kind in ENTITIES})
    assert states[0] == states[1]
    assert all(states[0].values())


def test_a_slice_at_a_time_makes_the_same_states_and_rows(
    history: tuple[DataSet, BackfillSettings], tmp_path: Path
) -> None:
    data, _ = history
    twice = pa.concat_tables([data.transactions, data.transactions.slice(40, 9)])
    found = []
    for rows_at_once in (83, 1_000_000):
        stream = StreamSettings(home=tmp_path / f"stream-{rows_at_once}")
        done = backfill(twice, data.labels, stream, rows_at_once)
        assert done.duplicates == 9
        with open_store(stream.store) as store:
            states = {kind: dict(store.scan(kind)) for kind in ENTITIES}
        spooled = dataset.dataset(stream.spool_path).to_table().drop_columns(["processed_at"]).to_pandas()
        found.append((done, states, spooled.sort_values(["row_kind", "source_offset"], ignore_index=True)))
    assert found[0][:2] == found[1][:2]
    assert_frame_equal(found[0][2], found[1][2], check_exact=True)
    assert len(found[0][2]) == data.transactions.num_rows + data.labels.num_rows


@pytest.mark.parametrize("when", ["before", "between"])
def test_what_the_scoring_service_counts_meanwhile_is_left_to_the_stream(
    history: tuple[DataSet, BackfillSettings], tmp_path: Path, when: str
) -> None:
    plain, stream = StreamSettings(home=tmp_path / "plain"), StreamSettings(home=tmp_path / "stream")
    run(history[1], plain)
    if when == "between":
        run(history[1], stream)
    user = hash_text(history[0].transactions["user_id"][0].as_py())
    with open_store(stream.store) as store:
        before, stored = store.identity(), store.stored("user", [user])[0]
        change = Change("user", user, b"\0" * 96, version_of(stored))
        assert store.answers().commit("t-scored", Answer(b"f" * 16, b"{}", b"{}"), [change], before)
    run(history[1], stream)
    with open_store(stream.store) as store, open_store(plain.store) as expected:
        assert store.identity() not in {"", before}  # so the stream counts it
        assert store.answers().backlog() == 1
        for kind in ENTITIES:
            assert dict(store.scan(kind)) == dict(expected.scan(kind))


def test_a_store_that_a_micro_batch_has_written_is_refused(
    history: tuple[DataSet, BackfillSettings], tmp_path: Path
) -> None:
    stream = StreamSettings(home=tmp_path / "stream")
    user = hash_text(history[0].transactions["user_id"][0].as_py())
    with open_store(stream.store) as store:
        token = store.acquire("driver")
        store.write("user", {user: b"\0" * 96}, Epoch(1, 0), token)
    with pytest.raises(Fenced):
        run(history[1], stream)
    with open_store(stream.store) as store:
        store.hold(token)
    assert not stream.spool_path.exists()


def test_once_the_stream_has_begun_there_is_nothing_to_do(
    history: tuple[DataSet, BackfillSettings], tmp_path: Path
) -> None:
    stream = StreamSettings(home=tmp_path / "stream")
    stream.checkpoint_path.mkdir(parents=True)
    (stream.checkpoint_path / "query-id").write_text("of a driver")
    assert run(history[1], stream) is None
    assert not stream.spool_path.exists()


def test_a_table_that_is_not_there_yet_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"transactions\.parquet"):
        run(BackfillSettings(data=str(tmp_path)), StreamSettings(home=tmp_path / "stream"))


def test_it_waits_for_tables_that_are_still_being_written(
    history: tuple[DataSet, BackfillSettings], tmp_path: Path
) -> None:
    data, _ = history
    folder = tmp_path / "later"
    folder.mkdir()
    (folder / "transactions.parquet").write_bytes(b"PAR1")  # half a file
    settings = BackfillSettings(data=str(folder), until=UNTIL, wait_s=60)
    with ThreadPoolExecutor(1) as side:
        folded = side.submit(run, settings, StreamSettings(home=tmp_path / "stream"))
        files.write(data, folder)
        assert folded.result() is not None


def test_it_says_which_table_did_not_come(tmp_path: Path) -> None:
    settings = BackfillSettings(data=str(tmp_path / "never"), wait_s=0.1)
    with pytest.raises(BadInput, match=r"never/transactions\.parquet does not exist"):
        run(settings, StreamSettings(home=tmp_path / "stream"))


def test_what_is_from_the_future_is_left_out_and_changes_no_state(
    history: tuple[DataSet, BackfillSettings], tmp_path: Path
) -> None:
    data, _ = history
    far = pa.repeat(pa.scalar(datetime(2099, 6, 1, tzinfo=UTC), pa.timestamp("us", tz="UTC")), 3)
    future = []
    for table, time in ((data.transactions, "event_time"), (data.labels, "label_time")):
        late = table.slice(0, 3).set_column(table.column_names.index(time), time, far)
        future.append(pa.concat_tables([late, table]))
    states = []
    for name, tables in (("plain", (data.transactions, data.labels)), ("future", future)):
        stream = StreamSettings(home=tmp_path / name)
        done = backfill(*tables, stream)
        assert done.left_out == (6 if name == "future" else 0)
        with open_store(stream.store) as store:
            states.append({kind: dict(store.scan(kind)) for kind in ENTITIES})
    assert states[0] == states[1]


def test_a_log_without_currencies_fills_a_deployment_that_has_them(
    history: tuple[DataSet, BackfillSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each amount is converted by the rate that held when its transaction arrived."""
    data, late = history[0], timedelta(minutes=5)
    table = data.transactions.drop_columns(["currency"])
    codes = ["USD", "EUR", None] * (table.num_rows // 3)
    table = table.append_column("currency", pa.array(codes, pa.string()))
    table = table.append_column("received_at", pc.add(table["event_time"], pa.scalar(late)))
    for name, rows in (("transactions", table), ("labels", data.labels)):
        write_deltalake(str(tmp_path / "delta" / name), rows)
    changes = table["event_time"][300].as_py() + timedelta(minutes=1)
    rates = [Rate("EUR", "USD", ALWAYS, Decimal("1.25")), Rate("EUR", "USD", changes, Decimal(2))]
    write_rates(tmp_path / "rates.csv", rates)
    monkeypatch.setenv("FRAUD_RATES_FILE", str(tmp_path / "rates.csv"))
    monkeypatch.setenv("FRAUD_STREAM_KAFKA_BOOTSTRAP", "127.0.0.1:9")
    deployed_rates.cache_clear()
    schema = parse_schema(DEFAULT.read_bytes() + b"\nmoney: {base: USD}\n", "money.yaml")
    stream = StreamSettings(home=tmp_path / "stream")
    done = run(BackfillSettings(data=str(tmp_path / "delta")), stream, schema=schema)
    assert done is not None
    assert done.transactions == table.num_rows
    spooled = dataset.dataset(
        str(tmp_path / "stream" / "spool"), format="parquet", exclude_invalid_files=True
    )
    found = {row["transaction_id"]: row for row in spooled.to_table().to_pylist() if row["row_kind"] == 0}
    assert len(found) == table.num_rows
    for row in table.to_pylist():
        rate = 2 if row["event_time"] + late >= changes else Decimal("1.25")
        cents = round(Decimal(repr(row["amount"])) * 100)
        expected = cents if row["currency"] != "EUR" else round(cents * rate)
        assert found[row["transaction_id"]]["base_minor"] == expected
    deployed_rates.cache_clear()
