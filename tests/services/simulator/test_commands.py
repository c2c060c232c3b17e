"""The commands, by the command line's own entry."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.contracts import LABELS, TRANSACTIONS
from fraud.errors import BadConfig
from fraud.schema.reading import DEFAULT
from fraud.synthetic.files import read
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from services.simulator.commands import choose_pace, parse_time

SIZES = ("--transactions", "600", "--users", "60", "--merchants", "60", "--seed", "3", "--days", "30")


def call(*words) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


@pytest.fixture
def folder(tmp_path):
    code, output = call("generate", "--out", tmp_path, *SIZES, "--fraud-rate", "0.1")
    assert code == 0, output
    assert "600" in output
    assert "card_testing" in output
    return tmp_path


def test_generate_writes_what_the_generator_gives(folder):
    settings = GeneratorSettings(transactions=600, users=60, merchants=60, seed=3, days=30, fraud_rate=0.1)
    assert read(folder) == generate(settings)


def test_generate_says_which_option_is_wrong(tmp_path):
    code, output = call("generate", "--out", tmp_path / "none", "--users", "0")
    assert code == 1
    assert "users" in output
    assert not (tmp_path / "none").exists()


def test_generate_leaves_a_whole_data_set_and_mends_a_damaged_one(folder):
    labels = folder / "labels.parquet"
    before = labels.stat().st_mtime_ns
    code, output = call("generate", "--out", folder, *SIZES, "--fraud-rate", "0.1", "--keep")
    assert code == 0
    assert "nothing to do" in output
    assert labels.stat().st_mtime_ns == before
    labels.write_bytes(labels.read_bytes()[:100])  # somebody was killed while writing
    code, output = call("generate", "--out", folder, *SIZES, "--fraud-rate", "0.1", "--keep")
    assert code == 0, output
    assert read(folder).labels.num_rows > 0


def test_simulate_sends_the_window_that_was_asked_for(folder, broker):
    data = read(folder)
    end = data.transactions["event_time"][300].as_py()
    early_labels = sum(time < end for time in data.labels["label_time"].to_pylist())
    code, output = call(
        "simulate", "--data", folder, "--bootstrap", broker.address, "--until", end.isoformat()
    )
    assert code == 0, output
    assert f"300 transactions and {early_labels} labels" in " ".join(output.split())
    broker.read(TRANSACTIONS, 300)
    broker.read(LABELS, early_labels)


def test_simulate_can_leave_the_labels_out(folder, broker):
    code, output = call("simulate", "--data", folder, "--bootstrap", broker.address, "--no-labels")
    assert code == 0, output
    assert "600 transactions and 0 labels" in " ".join(output.split())


def test_simulate_refuses_two_paces(folder):
    code, output = call("simulate", "--data", folder, "--rate", "5", "--speedup", "5")
    assert code == 1
    assert "not both" in output


def test_no_pace_is_as_fast_as_it_goes():
    assert type(choose_pace(None, None)).__name__ == "Unpaced"


def test_a_time_that_is_none_is_shown():
    with pytest.raises(BadConfig, match="noon"):
        parse_time("noon")


SOURCE = """
source:
  columns:
    transaction_id: row()
    event_time: time(join(Tag, ' ', Zeit), 'day-first', 'Europe/Berlin')
    user_id: Kunde
    merchant_id: Laden
    amount: number(Betrag, 'comma')
    is_fraud: map("Betrug?", 'Ja' = true, 'Nein' = false, '?' = null)
  read: {separator: ";"}
"""
ROWS = """\
Tag;Zeit;Kunde;Laden;Betrag;Betrug?
02.01.2025;00:30:00;u2;m1;1.234,50;Ja
01.01.2025;00:30:00;u1;m1;7,5;Nein
20.01.2025;00:30:00;u2;m2;8;?
"""


def replay(folder, broker, *words, rows: str = ROWS) -> str:
    """Replay in a process of its own, as the schema is; return what it said."""
    (folder / "schema.yaml").write_bytes(DEFAULT.read_bytes() + SOURCE.encode())
    (folder / "rows.csv").write_text(rows)
    command = [sys.executable, "-m", "fraud", "simulate", "--replay", folder / "rows.csv"]
    done = subprocess.run(
        [*map(str, command), "--bootstrap", broker.address, *words],
        env={**os.environ, "FRAUD_SCHEMA_FILE": str(folder / "schema.yaml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join(done.stdout.split())


def test_own_history_is_sent_in_its_order_by_the_schemas_source_part(tmp_path, broker):
    said = replay(tmp_path, broker, "--label-gap-days", "5")
    assert "Sent 3 transactions and 2 labels" in said
    sent = [_json(record) for record in broker.read(TRANSACTIONS, 3)]
    assert {one["transaction_id"]: (one["user_id"], one["amount"]) for one in sent} == {
        "2": ("u1", 7.5),
        "1": ("u2", 1234.5),
        "3": ("u2", 8.0),
    }
    assert [one["transaction_id"] for one in sent if one["user_id"] == "u2"] == ["1", "3"]  # of one partition
    times = {one["transaction_id"]: one["event_time"] for one in sent}
    assert times["2"].startswith("2024-12-31T23:30:00")
    labels = {found["transaction_id"]: found for found in map(_json, broker.read(LABELS, 2))}
    assert {name: one["is_fraud"] for name, one in labels.items()} == {"2": False, "1": True}
    assert labels["1"]["label_time"].startswith("2025-01-06T23:30:00")
    assert (labels["1"]["user_id"], labels["1"]["merchant_id"]) == ("u2", "m1")


def _json(record):
    return json.loads(record.value())


def test_own_history_can_be_cut_and_sent_without_labels(tmp_path, broker):
    assert "Sent 2 transactions and 0 labels" in replay(
        tmp_path, broker, "--from", "2025-01-01", "--no-labels", "--label-gap-days", "5"
    )


def test_labels_that_the_gap_dates_ahead_are_warned_of_with_what_to_do(tmp_path, broker):
    """Of a table that is labelled to its end no label is left out."""
    rows, far = ROWS.replace("8;?", "8;Nein"), ("--label-gap-days", "36500")
    said = replay(tmp_path, broker, *far, rows=rows)
    assert "Sent 3 transactions and 3 labels" in said
    assert "warning: 3 records are dated ahead of this machine's clock." in said
    assert "`fraud replay dead-letters` sends them again when their time has come." in said
    assert "give fewer days, or --no-labels" in said
    assert "ahead" not in replay(tmp_path, broker, *far, "--no-labels", rows=rows)


@pytest.mark.parametrize("words", [(), ("--data", "a", "--replay", "b")])
def test_simulate_takes_a_data_set_or_own_history(words):
    code, output = call("simulate", *words)
    assert code == 1
    assert "either --data FOLDER" in output
