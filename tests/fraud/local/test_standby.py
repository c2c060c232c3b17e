"""A part is replaced by a process that is loaded already; one that does not load changes nothing."""

import time
from collections.abc import Iterator
from dataclasses import replace as changed
from pathlib import Path

import pytest

from fraud.errors import BadConfig, Unavailable
from fraud.local import platform, process
from fraud.local.parts import PartTable
from fraud.local.platform import State
from fraud.local.settings import LocalSettings
from fraud.local.standby import replace, standing_by
from fraud.runtime.standby import wait_for_turn
from tests.fraud.local.test_platform import SERVER, _part

LOADS_S = 3.0
SLOW = f"""
import os, pathlib, time
time.sleep({LOADS_S})
turn = os.environ.get("TURN")
if turn:
    pathlib.Path(turn).with_suffix(".ready").touch()
    while not pathlib.Path(turn).exists():
        time.sleep(0.02)
{SERVER}
"""
"""A part that loads for some seconds, and can do that beside its predecessor."""
STARTED = "the first one has started"
BROKEN = f"""
import os
print("{STARTED}" if not os.environ.get("TURN") else "", flush=True)
assert not os.environ.get("TURN"), "broken"
{SERVER}
"""


def table_of(code: str) -> PartTable:
    slow = changed(_part("predictor", code), standby="TURN")
    return PartTable((_part("broker"), slow), lambda _place: True)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[LocalSettings]:
    made = LocalSettings(home=tmp_path / "home", kafka_port=0, predictor_port=0, ready_timeout_s=60.0)
    yield made
    platform.down(made, table=table_of(SLOW))


def test_a_part_is_away_for_less_time_than_it_loads(settings: LocalSettings) -> None:
    table = table_of(SLOW)
    before = {part.name: part for part in platform.up(settings, table.names, table=table)}
    stopped: list[float] = []
    replace(
        settings,
        ["predictor"],
        lambda words: stopped.append(time.monotonic()) if words.startswith("stopping") else None,
        table=table,
    )
    away_s = time.monotonic() - stopped[0]
    print(f"away for {away_s:.2f} s of {LOADS_S} s")  # noqa: T201
    after = {part.name: part for part in platform.status(settings, table)}
    assert away_s < LOADS_S
    assert [part.state for part in after.values()] == [State.READY] * 2
    assert after["predictor"].port == before["predictor"].port
    assert after["predictor"].pid != before["predictor"].pid
    logs = settings.home_path / "logs"
    assert sorted(file.name for file in logs.glob("predictor*")) == [
        "predictor.log",
        "predictor.previous.log",
    ]
    found = process.load(settings.home_path / "run" / "predictor.json")
    assert found is not None
    assert found.log == logs / "predictor.log"
    assert after["broker"].pid == before["broker"].pid


def test_a_successor_that_does_not_load_leaves_the_part_as_it_is(settings: LocalSettings) -> None:
    table = table_of(BROKEN)
    before = platform.up(settings, table.names, table=table)
    with pytest.raises(Unavailable, match=r"the old one runs on.*broken|broken.*") as told:
        replace(settings, ["predictor"], table=table)
    assert "broken" in str(told.value)
    for _ in range(2):  # each of which would take the running process's log
        with pytest.raises(Unavailable, match="the old one runs on"):
            replace(settings, ["predictor"], table=table)
    logs = {file.name: file.read_text() for file in (settings.home_path / "logs").glob("predictor*")}
    assert STARTED in logs["predictor.log"]
    assert "broken" in logs["predictor.next.log"]
    assert [part.pid for part in platform.status(settings, table)] == [part.pid for part in before]
    assert not list((settings.home_path / "run").glob("*.next.json"))


def test_a_successor_of_a_command_that_was_killed_is_ended_by_down(settings: LocalSettings) -> None:
    table = table_of(SLOW)
    platform.up(settings, table.names, table=table)
    waiting = standing_by(settings, ["predictor"], table=table)
    waiting.__enter__()
    assert list((settings.home_path / "run").glob("*.next.json"))
    platform.down(settings, table=table)
    assert not list((settings.home_path / "run").glob("*.json"))


def test_what_cannot_wait_or_does_not_run_is_refused(settings: LocalSettings) -> None:
    table = table_of(SLOW)
    with pytest.raises(BadConfig, match="broker cannot be replaced while it runs; these can: predictor"):
        replace(settings, ["broker"], table=table)
    with pytest.raises(Unavailable, match="predictor does not run"):
        replace(settings, ["predictor"], table=table)


def test_a_process_whose_turn_never_comes_ends(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="timed out after 0 s waiting to take over"):
        wait_for_turn(tmp_path / "turn", patience_s=0.0)
