"""Clocks: a wrong one is told from a slow way, also where the guard refuses what it dates."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner

from fraud.cli import app
from fraud.errors import BadInput
from fraud.schema.arrow import TIME
from fraud.schema.reading.file import DEFAULT
from jobs.clocks.measure import Clock, Delays, clocks_of, read_delays

NOW = datetime.now(UTC).replace(microsecond=0)
SINCE = NOW - timedelta(days=7)


def clocks(delays: dict[str, list[float]], most_s: float = 60.0) -> dict[str, Clock]:
    names = [name for name, of in delays.items() for _ in of]
    late = np.array([one for of in delays.values() for one in of])
    found = Delays(pa.array(names), late, np.zeros(len(late), np.bool_))
    return {one.name: one for one in clocks_of(found, least=20, most_s=most_s)}


def quick(seed: int, n: int = 100) -> list[float]:
    return list(np.random.default_rng(seed).exponential(2.0, n))


def test_a_clock_that_is_ahead_or_behind_is_found_with_its_offset() -> None:
    found = clocks(
        {
            **{f"good-{n}": quick(n) for n in range(5)},
            "ahead": [one - 200.0 for one in quick(9)],
            "behind": [one + 3_600.0 for one in quick(10)],
        }
    )
    assert {name for name, one in found.items() if one.is_wrong} == {"ahead", "behind"}
    assert found["ahead"].offset_s == pytest.approx(-200.0, abs=1.0)
    assert found["behind"].offset_s == pytest.approx(3_600.0, abs=1.0)
    assert next(iter(found)) == "behind"


def test_a_terminal_that_sends_once_a_day_has_a_slow_way_and_no_wrong_clock() -> None:
    nightly = [*np.linspace(1.0, 30_000.0, 90), *[1.0] * 10]
    found = clocks({**{f"good-{n}": quick(n) for n in range(5)}, "nightly": nightly})
    assert not found["nightly"].is_wrong
    assert found["nightly"].median_s > 10_000.0


def test_a_busy_wrong_clock_makes_no_other_one_wrong_and_few_records_say_nothing() -> None:
    busy = [one + 900.0 for one in quick(3, 10_000)]
    found = clocks({"busy": busy, **{f"good-{n}": quick(n, 30) for n in range(4)}, "new": [9_999.0] * 19})
    assert {name for name, one in found.items() if one.is_wrong} == {"busy"}
    assert "new" not in found


@pytest.fixture
def delta(tmp_path: Path) -> str:
    """Tables of merchants: three are right, one 30 s ahead, one so far that most of it is refused."""
    rows: list[dict[str, Any]] = []
    letters: list[dict[str, Any]] = []
    for n in range(60):
        at = NOW - timedelta(hours=1, seconds=n)
        for name, ahead_s, generation in (
            ("right", -1, 1),
            ("right too", -1, 1),
            ("right as well", -1, 1),
            ("ahead", 130, 1),
            ("old", 0, 0),
        ):
            rows.append(
                {
                    "merchant_id": name,
                    "event_time": at + timedelta(seconds=ahead_s),
                    "received_at": at,
                    "generation": generation,
                }
            )
        record = {"merchant_id": "far ahead", "event_time": (at + timedelta(days=1)).isoformat()}
        letters.append(
            {
                "topic": "transactions",
                "reason": "future_event_time",
                "raw": json.dumps(record).encode(),
                "received_at": at,
            }
        )
    letters += [
        {"topic": "labels", "reason": "future_event_time", "raw": b"{}", "received_at": NOW},
        {"topic": "transactions", "reason": "future_event_time", "raw": b"[1]", "received_at": NOW},
    ]
    for name, found in (("transactions", rows), ("dead_letters", letters)):
        table = pa.Table.from_pylist(found)
        for column in ("event_time", "received_at"):
            if column in table.column_names:
                place = table.column_names.index(column)
                table = table.set_column(place, column, table[column].cast(TIME))
        write_deltalake(str(tmp_path / name), table)
    return str(tmp_path)


def test_the_log_and_its_dead_letters_tell_whose_clock_is_wrong(delta: str) -> None:
    found = {
        one.name: one
        for one in clocks_of(read_delays(delta, "merchant_id", SINCE, {}), least=20, most_s=60.0)
    }
    assert set(found) == {"right", "right too", "right as well", "ahead", "far ahead"}
    assert {name for name, one in found.items() if one.is_wrong} == {"ahead", "far ahead"}
    assert (found["far ahead"].refused, found["ahead"].refused) == (60, 0)
    assert found["far ahead"].offset_s < -86_000.0


def test_clocks_that_the_schema_bounds_are_shown_with_their_bounds(delta: str, tmp_path: Path) -> None:
    """By default those: the schema says whose clocks matter."""
    schema, out = tmp_path / "schema.yaml", tmp_path / "clocks.json"
    part = "future: {by: merchant_id, most_ahead_s: {far ahead: 90000, right: 5.5}}\n"
    schema.write_bytes(DEFAULT.read_bytes() + part.encode())
    done = subprocess.run(
        [sys.executable, "-m", "fraud", "clocks", "--delta", delta, "--json-file", str(out)],
        env={**os.environ, "FRAUD_SCHEMA_FILE": str(schema), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "most ahead, s" in done.stdout
    assert "90,000" in done.stdout
    found = {one["name"]: one["most_ahead_s"] for one in json.loads(out.read_text())}
    others = dict.fromkeys(["right too", "right as well", "ahead"], 300.0)
    assert found == {"far ahead": 90_000.0, "right": 5.5, **others}
    plain = clocks_of(read_delays(delta, "merchant_id", SINCE, {}), least=20, most_s=60.0)
    assert {one.most_ahead_s for one in plain} == {None}


def test_a_field_that_is_not_there_is_named_with_those_that_are(delta: str) -> None:
    with pytest.raises(BadInput, match="no column 'terminal'; write one of merchant_id, event_time"):
        read_delays(delta, "terminal", SINCE, {})


def test_the_command_lists_the_wrong_ones_and_exits_with_3_where_it_is_strict(
    delta: str, tmp_path: Path
) -> None:
    out = tmp_path / "clocks.json"
    done = CliRunner().invoke(app, ["clocks", "--delta", delta, "--json-file", str(out), "--strict"])
    assert done.exit_code == 3
    assert "2 clocks of 5 with 20 records or more in 7 days are off by more than 60 s" in done.stdout
    assert "far ahead" in done.stdout
    assert len(json.loads(out.read_text())) == 5
