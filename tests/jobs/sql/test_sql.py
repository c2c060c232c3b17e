"""``fraud sql``: views against hand counts, time travel, export, and what is refused."""

from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner

from fraud.cli import app
from fraud.errors import BadInput
from fraud.log.sql import CASE_DAYS, open_tables, write
from fraud.schema.arrow import TIME
from fraud.schema.reading import DEFAULT, parse_schema
from jobs.whatif.cases import cases_of, list_cases
from jobs.whatif.read import HELD, read_history

START = datetime(2025, 1, 6, tzinfo=UTC)  # a Monday


def times(*days: float) -> pa.Array:
    return pa.array([START + timedelta(days=day) for day in days], TIME)


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    """Four transactions in two weeks; the label of the second is taken back, the fourth has none."""
    ids = ["a", "b", "c", "d"]
    keys = {"transaction_id": ids, "user_id": ["u1", "u1", "u2", "u2"]}
    log = {"generation": [1] * 4, "epoch": [1, 2, 3, 4]}
    tables = {
        "transactions": {**keys, "event_time": times(0, 1, 7, 8), "amount": [10.0, 20.0, 30.0, 40.0], **log},
        "decisions": {
            **keys,
            "event_time": times(0, 1, 7, 8),
            "outcome": ["approve", "decline", "review", "approve"],
            "score": [0.1, 0.9, 0.5, 0.2],
            "model_version": ["1", "1", "1", "2"],
            **log,
        },
        "features": {
            "transaction_id": ids,
            "user_id": keys["user_id"],
            "count_1h_by_user": [0.0, 1.0, 0.0, 1.0],
        },
        "labels": {
            "transaction_id": ["a", "b", "b", "c"],
            "label_time": times(3, 3, 1.5, 9),
            "is_fraud": [True, True, False, True],
            "generation": [1, 1, 1, 1],
            "epoch": [5, 5, 6, 5],
            "received_at": times(3, 3, 4, 9),
            "source_partition": [0, 0, 0, 0],
            "source_offset": [0, 1, 2, 3],
        },
    }
    for name, columns in tables.items():
        write_deltalake(tmp_path / name, pa.table(columns))
    return tmp_path


def rows(delta: Path, text: str) -> list[tuple[object, ...]]:
    return open_tables(delta).query(text).fetchall()


def test_the_label_that_arrived_last_counts(delta: Path) -> None:
    assert rows(delta, "SELECT transaction_id, is_fraud FROM last_labels ORDER BY ALL") == [
        ("a", True),
        ("b", False),
        ("c", True),
    ]


def test_decisions_stand_with_amount_and_label_each_once(delta: Path) -> None:
    text = "SELECT transaction_id, outcome, amount, is_fraud, label_days FROM decided ORDER BY ALL"
    assert rows(delta, text) == [
        ("a", "approve", 10.0, True, 3.0),
        ("b", "decline", 20.0, False, 0.5),
        ("c", "review", 30.0, True, 2.0),
        ("d", "approve", 40.0, None, None),
    ]


def test_what_a_chargeback_tells_stands_beside_its_decision(tmp_path: Path) -> None:
    keys = {"transaction_id": ["a"], "user_id": ["u1"], "event_time": times(0)}
    write_deltalake(tmp_path / "transactions", pa.table({**keys, "amount": [10.0]}))
    write_deltalake(
        tmp_path / "decisions", pa.table({**keys, "outcome": ["approve"], "model_version": ["1"]})
    )
    write_deltalake(tmp_path / "features", pa.table({**keys, "count_1h_by_user": [1.0]}))
    told = {"reason_code": ["10.4"], "disputed_amount": [4.5], "disputed_currency": ["EUR"]}
    write_deltalake(
        tmp_path / "labels", pa.table({**keys, "label_time": times(40), "is_fraud": [True], **told})
    )
    for view in ("decided", "vectors"):
        text = "SELECT amount, reason_code, disputed_amount, disputed_currency FROM "
        assert rows(tmp_path, text + view) == [(10.0, "10.4", 4.5, "EUR")]


def test_an_id_of_two_users_is_two_transactions(tmp_path: Path) -> None:
    keys = {"transaction_id": ["a", "a"], "user_id": ["u1", "u2"], "event_time": times(0, 1)}
    write_deltalake(tmp_path / "transactions", pa.table({**keys, "amount": [1.0, 2.0]}))
    write_deltalake(
        tmp_path / "decisions", pa.table({**keys, "outcome": ["approve"] * 2, "model_version": ["1"] * 2})
    )
    write_deltalake(
        tmp_path / "labels", pa.table({**keys, "label_time": times(2, 2), "is_fraud": [True, False]})
    )
    assert rows(tmp_path, "SELECT user_id, amount, is_fraud FROM decided ORDER BY ALL") == [
        ("u1", 1.0, True),
        ("u2", 2.0, False),
    ]


def test_features_stand_beside_under_their_names(delta: Path) -> None:
    assert rows(delta, "SELECT count_1h_by_user, is_fraud FROM vectors WHERE transaction_id = 'b'") == [
        (1.0, False)
    ]


def test_a_week_is_measured_by_its_labelled_decisions(delta: Path) -> None:
    assert rows(delta, "SELECT * REPLACE (week::VARCHAR AS week) FROM by_week") == [
        ("2025-01-06", "1", 2, 2, 1, 1, 0.0, 0.0, None, 10.0),
        ("2025-01-13", "1", 1, 1, 1, 1, 1.0, 1.0, 30.0, None),
        ("2025-01-13", "2", 1, 0, 0, 0, None, None, None, None),
    ]


def test_cases_of_a_cardholder_are_those_of_the_what_if_report(tmp_path: Path) -> None:
    """Two cardholders over 60 days: the same cases, stops and amounts as numpy finds for the report."""
    rng = np.random.default_rng(3)
    n = 120
    days = np.sort(rng.uniform(0, 60, n)).round(4)
    keys = {
        "transaction_id": [f"t{at}" for at in range(n)],
        "user_id": [f"u{at}" for at in rng.integers(0, 3, n)],
        "event_time": times(*days),
    }
    amount = rng.integers(1, 90, n).astype(float)
    decided = {
        "outcome": rng.choice(["approve", "review", "decline"], n, p=[0.7, 0.2, 0.1]),
        "score": rng.uniform(0, 1, n),
        "model_version": ["1"] * n,
    }
    write_deltalake(tmp_path / "transactions", pa.table({**keys, "amount": amount}))
    write_deltalake(tmp_path / "decisions", pa.table({**keys, **decided}))
    labels = {"label_time": times(*(days + 1)), "is_fraud": rng.uniform(0, 1, n) < 0.5}
    write_deltalake(tmp_path / "labels", pa.table({**keys, **labels}))
    history = read_history(str(tmp_path), {})
    cases = list_cases(history, cases_of(history, CASE_DAYS), history.level, HELD)
    told = attrgetter(
        "card", "first_fraud", "frauds", "amount", "stopped_at", "frauds_before", "amount_before"
    )
    wanted = sorted(map(told, cases))
    found = rows(tmp_path, "SELECT * EXCLUDE (number, last_fraud) FROM cases ORDER BY user_id, first_fraud")
    assert found == wanted
    assert 5 < len(found) < 40
    assert {row[4] is None for row in found} == {True, False}


def test_amounts_of_several_currencies_are_added_up_in_the_base_currency(tmp_path: Path) -> None:
    schema = parse_schema(DEFAULT.read_bytes() + b"money: {base: EUR}\n", "paid")
    keys = {"transaction_id": ["a", "b"], "user_id": ["u1"] * 2, "event_time": times(0, 1)}
    priced = {"amount": [1000.0, 3.0], "currency": ["JPY", "EUR"], "base_minor": [625, 300]}
    write_deltalake(tmp_path / "transactions", pa.table({**keys, **priced}))
    decided = {"outcome": ["approve", "approve"], "model_version": ["1"] * 2}
    write_deltalake(tmp_path / "decisions", pa.table({**keys, **decided}))
    labels = {"label_time": times(2, 2), "is_fraud": [True, True]}
    write_deltalake(tmp_path / "labels", pa.table({**keys, **labels}))
    tables = open_tables(tmp_path, schema=schema)
    assert tables.query("SELECT lost_amount FROM by_week").fetchall() == [(9.25,)]
    assert tables.query("SELECT amount, amount_before FROM cases").fetchall() == [(9.25, 9.25)]


def test_tables_are_read_as_they_were(delta: Path) -> None:
    before = datetime.now(UTC)
    write_deltalake(
        delta / "labels",
        open_tables(delta).query("SELECT * FROM labels LIMIT 1").to_arrow_table(),
        mode="append",
    )
    assert rows(delta, "SELECT count(*) FROM labels") == [(5,)]
    assert open_tables(delta, as_of=before).query("SELECT count(*) FROM labels").fetchall() == [(4,)]
    with pytest.raises(BadInput, match=r"no Delta table in .* as of 2020"):
        open_tables(delta, as_of=datetime(2020, 1, 1, tzinfo=UTC))


def test_a_result_is_exported_whole(delta: Path, tmp_path: Path) -> None:
    found = open_tables(delta).query("SELECT * FROM decided ORDER BY transaction_id")
    assert write(found, tmp_path / "r.parquet") == 4
    assert pq.read_table(tmp_path / "r.parquet")["transaction_id"].to_pylist() == ["a", "b", "c", "d"]
    assert write(found, tmp_path / "r.csv") == 4
    assert pa_csv.read_csv(tmp_path / "r.csv")["amount"].to_pylist() == [10.0, 20.0, 30.0, 40.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("DELETE FROM decisions", "write one SELECT"),
        ("SELECT 1; SELECT 2", "write one SELECT"),
        ("COPY decisions TO 'x.csv'", "write one SELECT"),
        ("INSTALL delta", "write one SELECT"),
        ("SELECT scor FROM decisions", "scor.*`fraud sql` alone lists tables"),
        ("SELECT FROM WHERE", "cannot be read"),
        ("", "write one SELECT"),
    ],
)
def test_what_is_no_single_query_is_refused(delta: Path, text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        open_tables(delta).query(text)


def call(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["sql", *map(str, words)], env={"COLUMNS": "200"})
    return done.exit_code, done.output


def test_the_command_lists_shows_and_writes(delta: Path, tmp_path: Path) -> None:
    code, output = call("--delta", delta)
    assert code == 0
    assert all(
        name in output
        for name in ("decided", "by_week", "cases", "vectors", "last_labels", "count_1h_by_user")
    )
    code, output = call("SELECT outcome, score FROM decisions ORDER BY score", "--delta", delta, "--rows", 3)
    assert code == 0
    assert "decline" not in output
    assert "more than 3 rows" in output
    code, output = call("SELECT * FROM decisions", "--delta", delta, "--out", tmp_path / "d.csv")
    assert (code, "d.csv: 4 rows" in output) == (0, True)
    code, output = call("SELECT 1", "--delta", delta, "--out", tmp_path / "d.xlsx")
    assert code == 1
    assert ".csv or .parquet" in output


def test_a_folder_without_tables_is_named(tmp_path: Path) -> None:
    code, output = call("SELECT 1", "--delta", tmp_path)
    assert code == 1
    assert "no Delta table" in output


def test_the_tables_are_those_of_the_platforms_home(delta: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = delta.parent / "home"
    (home / "stream").mkdir(parents=True)
    (home / "stream" / "delta").symlink_to(delta)
    monkeypatch.setenv("FRAUD_STREAM_HOME", str(home / "stream"))
    code, output = call("SELECT count(*) AS n FROM decided")
    assert code == 0, output
    assert "4" in output
