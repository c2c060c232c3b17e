"""Parity over a disturbed stream's own log: nothing differs, and whatever is changed is found."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake

from fraud.errors import BadConfig, BadInput
from fraud.watch.figures import Figures
from jobs.parity.compare import compare
from jobs.parity.settings import ParitySettings
from jobs.stream.settings import StreamSettings
from tests.deployed import FEATURE_NAMES, FEATURES_VERSION
from tests.load.parity import Played

FRAUD = [sys.executable, "-c", "from fraud.cli import app; app()"]


def fraud(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FRAUD_STREAM_HOME": str(home)}
    return subprocess.run(
        [*FRAUD, *words], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def perturb(delta: str, name: str, by: str, count: int = 1) -> None:
    table = DeltaTable(f"{delta}/features")
    rows = table.to_pyarrow_table(columns=["transaction_id", name])
    ids = rows.filter(pc.invert(pc.is_nan(rows[name])))["transaction_id"].to_pylist()[-count:]
    table.update(updates={name: by}, predicate=f"transaction_id IN ({', '.join(map(repr, ids))})")


@pytest.mark.parametrize("rows", [300, 100_000])
def test_a_disturbed_stream_was_served_what_its_log_gives(played: Played, rows: int) -> None:
    found = compare(played.settings.delta_path, rows=rows)
    assert found.errors() == []
    assert found.transactions == found.folded == played.transactions
    assert found.greatest == 0.0
    assert played.dead_letters > 0, "the stream was not disturbed"
    assert {name for name, one in found.features.items() if one.compared == found.transactions} == set(
        FEATURE_NAMES
    )


def test_a_perturbed_value_is_found_and_ends_non_zero(log_copy: StreamSettings, tmp_path: Path) -> None:
    name = "amount_mean_24h_by_user"
    perturb(log_copy.delta_path, name, f"{name} + 0.5")
    account = tmp_path / "parity.json"
    ended = fraud(log_copy.home, "parity", "--json-file", str(account))
    assert ended.returncode == 1
    assert f"{name}: 1 of" in ended.stderr
    found = json.loads(account.read_text())
    assert not found["is_equal"]
    assert found["features"][name]["differing"] == 1
    assert found["features"][name]["greatest"] == pytest.approx(0.5)
    shown = Figures(log_copy.delta_path, {})
    shown.refresh()
    gauges = {
        sample.labels.get("feature", sample.name): sample.value
        for family in shown.collect()
        for sample in family.samples
        if sample.name in {"fraud_parity_difference", "fraud_parity_greatest_difference"}
    }
    assert gauges[name] == gauges["fraud_parity_greatest_difference"] == pytest.approx(0.5)
    assert sum(value > 0 for value in gauges.values()) == 2


def test_one_bit_differs_at_tolerance_zero_and_passes_at_a_greater_one(log_copy: StreamSettings) -> None:
    name = "amount_sum_7d_by_merchant"
    perturb(log_copy.delta_path, name, f"{name} * 1.0000000000000002")
    found = compare(log_copy.delta_path)
    assert found.errors() != []
    assert found.errors(tolerance=1e-6) == []


def test_a_value_that_is_missing_on_one_side_is_infinitely_far(log_copy: StreamSettings) -> None:
    perturb(log_copy.delta_path, "seconds_since_last_by_user", "'NaN'::double", count=2)
    found = compare(log_copy.delta_path)
    assert found.features["seconds_since_last_by_user"].differing == 2
    assert found.greatest == float("inf")


def test_missing_extra_and_repeated_rows_are_counted(log_copy: StreamSettings) -> None:
    path = f"{log_copy.delta_path}/features"
    served = DeltaTable(path).to_pyarrow_table()
    ids = served["transaction_id"].to_pylist()
    DeltaTable(path).delete(f"transaction_id IN ('{ids[0]}', '{ids[1]}')")
    transactions = DeltaTable(f"{log_copy.delta_path}/transactions")
    rows = transactions.to_pyarrow_table()
    again = rows.filter(pc.equal(rows["transaction_id"], ids[2]))
    write_deltalake(transactions, again, mode="append")
    orphan = served.slice(3, 1)
    at = orphan.column_names.index("source_offset")
    orphan = orphan.set_column(at, "source_offset", pc.add(orphan["source_offset"], 10_000_000))
    write_deltalake(path, orphan, mode="append")
    found = compare(log_copy.delta_path)
    assert (found.missing, found.extra, found.repeated) == (2, 1, 1)
    assert len(found.errors()) == 3


def test_a_window_narrows_what_is_compared_and_not_what_is_folded(played: Played) -> None:
    times = DeltaTable(f"{played.settings.delta_path}/features").to_pyarrow_table(columns=["received_at"])
    ordered = sorted(times["received_at"].to_pylist())
    middle = ordered[len(ordered) * 3 // 4]
    whole = compare(played.settings.delta_path)
    later = compare(played.settings.delta_path, since=middle, rows=500)
    earlier = compare(played.settings.delta_path, until=middle, rows=500)
    nothing = compare(played.settings.delta_path, since=ordered[-1] + timedelta(seconds=1))
    assert later.errors() == earlier.errors() == nothing.errors() == []
    assert later.transactions == sum(time >= middle for time in ordered)
    assert earlier.transactions + later.transactions == whole.transactions
    assert nothing.transactions == 0
    assert later.folded == nothing.folded == whole.folded


def test_values_of_an_older_table_are_compared_where_both_know_the_feature(log_copy: StreamSettings) -> None:
    table = DeltaTable(f"{log_copy.delta_path}/features")
    gone = "same_amount_count_24h_by_user"
    table.update(updates={gone: "NULL", "features_version": "'older'"}, predicate="generation = 0")
    found = compare(log_copy.delta_path)
    history = found.older_versions["older"]
    assert found.errors() == []
    assert found.versions[FEATURES_VERSION] == found.transactions - history
    assert found.features[gone].compared == found.transactions - history


def test_a_log_that_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="transactions"):
        compare(str(tmp_path))


def test_a_time_without_offset_is_refused_in_words() -> None:
    with pytest.raises(BadConfig, match="since"):
        ParitySettings(since="2026-03-01T00:00:00")
