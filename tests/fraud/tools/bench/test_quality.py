"""The scoreboard: its worlds are sound, published features never read the future, and leaks are named."""

import json
import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.errors import BadInput
from fraud.learn.examples import Examples
from fraud.learn.settings import TrainSettings
from fraud.tools.bench.machine import describe_machine
from fraud.tools.bench.quality import SCHEMAS, Scoreboard, measure_quality, rows_of
from fraud.tools.bench.quality_report import table_of, write_report
from fraud.tools.bench.quality_world import AT_RANDOM, BY_TIME, OURS, RAW, WORLDS, Figure, splits_of
from fraud.tools.bench.worlds.amlsim import draw_amlsim
from fraud.tools.bench.worlds.world import DAY_US, times_of

SMALL = 0.1


@pytest.mark.parametrize("name", WORLDS)
def test_a_world_is_drawn_anew_from_its_seed_in_order_with_rare_frauds(name):
    one, again, other = (WORLDS[name].draw(seed, SMALL) for seed in (1, 1, 2))
    assert one.equals(again)
    assert not one.equals(other)
    assert (np.diff(times_of(one)) >= 0).all()
    assert 0.001 < one["is_fraud"].to_numpy().mean() < 0.06
    assert pc.min(one["amount"]).as_py() > 0
    assert pc.count_distinct(one["transaction_id"]).as_py() == one.num_rows


@pytest.mark.parametrize("name", WORLDS)
def test_published_features_of_a_row_do_not_change_with_what_comes_later(name):
    table = WORLDS[name].draw(0, SMALL)
    whole, half = (WORLDS[name].features(part) for part in (table, table.slice(0, table.num_rows // 2)))
    np.testing.assert_allclose(whole[: len(half)], half, rtol=1e-6, atol=1e-6)


def test_a_file_is_measured_on_both_splits_and_a_column_that_tells_the_label_is_named(tmp_path):
    table = draw_amlsim(1_000)
    closed_as = pa.array(np.where(table["is_fraud"].to_numpy() == 1, "stolen", "fine"))
    table = table.append_column("closed_as", closed_as)
    path = tmp_path / "transfers.csv"
    pa_csv.write_csv(table, path)
    text = (SCHEMAS / "transfers.yaml").read_text()
    schema = tmp_path / "schema.yaml"
    schema.write_text(text.replace("entities:", "  closed_as: {type: category}\nentities:", 1))
    board = measure_quality([], [path], schema=schema, gap_days=14.0)
    assert {(row.split, row.model) for row in board.rows} == {
        (split, model) for split in (BY_TIME, AT_RANDOM) for model in (RAW, OURS)
    }
    assert all(0.0 < row.low <= row.pr_auc <= row.high <= 1.0 for row in board.rows)
    assert board.leaks == {str(path): ["the column closed_as tells the label by itself"]}
    raw = {row.split: row.pr_auc for row in board.rows if row.model == RAW}
    assert raw[BY_TIME] > 0.99


def test_a_table_of_a_database_is_measured_by_the_command_like_a_file(tmp_path):
    table = draw_amlsim(1_000)
    with sqlite3.connect(tmp_path / "bank.db") as database:
        database.execute("CREATE TABLE transfers (id, event_time, sender, receiver, amount, is_fraud)")
        columns = (table[name].to_pylist() for name in ("sender", "receiver", "amount", "is_fraud"))
        times = (moment.isoformat() for moment in table["event_time"].to_pylist())
        rows = zip(table["transaction_id"].to_pylist(), times, *columns, strict=True)
        database.executemany("INSERT INTO transfers VALUES (?, ?, ?, ?, ?, ?)", rows)
    source = "source:\n  columns: {transaction_id: id, event_time: time(event_time), sender: sender, "
    source += "receiver: receiver, amount: amount, is_fraud: is_fraud}\n"
    (tmp_path / "schema.yaml").write_text((SCHEMAS / "transfers.yaml").read_text() + source)
    words = ["bench", "quality", f"sqlite:///{tmp_path}/bank.db#transfers", "--worlds", "", "--trials", "0"]
    words += ["--schema", str(tmp_path / "schema.yaml"), "--label-gap-days", "14", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "quality.json").read_text())["rows"]
    assert {(row["split"], row["model"]) for row in rows} == {
        (split, model) for split in (BY_TIME, AT_RANDOM) for model in (RAW, OURS)
    }
    assert "| bank.db#transfers | by time |" in (tmp_path / "quality.md").read_text()


def test_both_splits_train_on_as_many_rows():
    rows, rng = 4_000, np.random.default_rng(0)
    event_us = np.sort(rng.integers(0, 60 * DAY_US, rows))
    examples = Examples(
        vectors=rng.random((rows, 2)),
        event_us=event_us,
        label_us=event_us + 7 * DAY_US,
        is_fraud=rng.random(rows) < 0.1,
        amount=np.ones(rows),
        user=rng.integers(0, 50, rows),
        category=np.zeros(rows, int),
    )
    settings = TrainSettings(train_days=7, label_gap_days=7, test_days=7)
    by_time, at_random = (split for _, split in splits_of(examples, {OURS: examples.vectors}, settings))
    assert len(by_time.train) == len(at_random.train) < rows / 5
    assert len(np.unique(at_random.train.event_us // DAY_US)) > 50
    assert not set(at_random.train.vectors[:, 0]) & set(at_random.test.vectors[:, 0])


def test_several_seeds_give_their_mean_and_range_and_the_report_has_a_line_a_split(tmp_path):
    figures = [
        Figure("handbook", split, model, seed, 100, 10, value, value - 0.1, value + 0.1)
        for split in (BY_TIME, AT_RANDOM)
        for model in (RAW, OURS)
        for seed, value in enumerate((0.5, 0.7))
    ]
    board = Scoreboard(rows_of(figures), {"handbook": []})
    assert {(row.seeds, row.rows, row.pr_auc, row.low, row.high) for row in board.rows} == {
        (2, 200, 0.6, 0.5, 0.7)
    }
    assert table_of(board, describe_machine()).row_count == 2
    account, page = write_report(board, tmp_path)
    assert len(json.loads(account.read_text())["rows"]) == 4
    assert "| handbook | by time | 200 | 20 | 0.600 (0.500 to 0.700) |  | 0.600" in page.read_text()


def test_a_world_that_is_not_known_and_a_table_that_cannot_be_read_are_refused_in_words(tmp_path):
    with pytest.raises(BadInput, match="no world 'paysim'; did you mean amlsim"):
        measure_quality(["paysim"])
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match=r"t\.csv could not be measured: .*column"):
        measure_quality([], [path], schema=SCHEMAS / "transfers.yaml")
