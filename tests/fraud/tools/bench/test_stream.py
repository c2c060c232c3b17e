"""What the stream's benchmark makes of its measurements."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from fraud.tools.bench.cost import Cost
from fraud.tools.bench.keyed_state import KeyedRate
from fraud.tools.bench.machine import describe_machine
from fraud.tools.bench.stream import (
    SENT_AT,
    Latency,
    StageTime,
    StreamFigures,
    TaskTimes,
    _latency,
    labels_beside,
    sustained,
)
from fraud.tools.bench.stream_report import tables_of, write_report

FIGURES = [
    StreamFigures(
        users=10_000,
        backlog=2_000,
        transactions_per_s=900.0,
        archived_per_s=700.0,
        latencies=[Latency(90.0, 45.0, 500, 11.0, 22.0, 33.0)],
        keyed=[KeyedRate("ours", 100, 3_000.0), KeyedRate("theirs", 100, 250.0)],
        costs=[Cost("stream: JVM", 41.5), Cost("broker", 7.25)],
        stages=[StageTime("validate", 12.75)],
    ),
    StreamFigures(
        users=20_000,
        backlog=3_000,
        transactions_per_s=800.0,
        archived_per_s=600.0,
        latencies=[],
        keyed=[],
        costs=[],
        stages=[],
    ),
]


def test_the_rate_leaves_out_the_micro_batch_in_which_everything_warms_up() -> None:
    decided = np.array([(0.0, 9_000.0, 4.0)] * 10 + [(0.0, 10_000.0, 5.0)] * 30 + [(0.0, 11_000.0, 6.0)] * 50)
    first, rate = sustained(decided)
    assert (first.count, first.end_ms) == (10, 9_000.0)
    assert rate == pytest.approx(80 / 2.0)


def test_a_latency_goes_from_append_to_append() -> None:
    taken = np.arange(101.0)
    decided = np.column_stack([taken, taken + np.arange(101.0), np.zeros(101)])
    found = _latency(50.0, 0.0, decided)
    assert (found.transactions, found.p50_ms, found.p99_ms) == (101, 50.0, 99.0)


def test_labels_are_dealt_out_over_the_transactions() -> None:
    transactions = pa.table({"event_time": [10, 20, 30, 40]})
    labels = pa.table({"transaction_id": ["a", "b", "c"]})
    found = labels_beside(transactions, labels, 0.5)
    assert found.to_pydict() == {"transaction_id": ["a", "b"], SENT_AT: [10, 30]}
    assert labels_beside(transactions, labels, 0.0).num_rows == 0
    assert labels_beside(transactions, labels, 9.0).num_rows == 3


def test_a_stage_is_told_from_where_the_measurement_began_on() -> None:
    before = TaskTimes(50_000.0, {"model_call": 2.0, "idle": 1.0})
    found = TaskTimes(150_000.0, {"model_call": 2.5, "idle": 1.0, "users": 1.5}).since(before)
    assert found == [StageTime("users", 15.0), StageTime("model_call", 5.0)]


def test_the_tables_say_how_many_times_faster_ours_is() -> None:
    console = Console(record=True, width=120)
    for table in tables_of(describe_machine(), FIGURES):
        console.print(table)
    text = console.export_text()
    assert "12.0" in text
    assert all(
        number in text for number in ("900", "700", "800", "600", "11", "22", "33", "41.5", "48.8", "12.8")
    )


def test_the_costs_stand_beside_published_ones() -> None:
    console = Console(record=True, width=120)
    console.print(tables_of(describe_machine(), FIGURES)[3])
    text = console.export_text()
    assert "Tazama" in text
    assert "421,429" in text
    assert "9,615" in text


def test_the_report_holds_every_figure_and_a_picture(tmp_path: Path) -> None:
    files = write_report(describe_machine(), FIGURES, tmp_path / "new")
    whole = json.loads(files[0].read_text())
    assert [one["users"] for one in whole["figures"]] == [10_000, 20_000]
    assert whole["figures"][0]["keyed"][1]["transactions_per_s"] == 250.0
    assert files[1].read_bytes().startswith(b"\x89PNG")
