"""The commands, by the command line's own entry."""

import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.contracts import LABELS, TRANSACTIONS
from fraud.errors import BadConfig
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
