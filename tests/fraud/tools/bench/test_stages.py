"""What the benchmark of a decision makes of the looks, and that the looks see where the time goes."""

import json
import os
import pkgutil
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fraud.errors import FraudError
from fraud.tools.bench.load import Loaded
from fraud.tools.bench.machine import describe_machine
from fraud.tools.bench.stages import (
    OTHERS,
    REST,
    STAGES,
    Bar,
    bars_of,
    figures_of,
    stage_of,
    table_of,
    write_report,
)

ROOT = Path(__file__).parents[4]
LOADED = Loaded(1_000, {"200": 1_000}, 500.0, 1.5, 5.0, 8.0, 0.8, 0, 0.1)
LOOP = ["asyncio.base_events:BaseEventLoop._run_once", "asyncio.events:Handle._run"]
SCORE = [*LOOP, "services.scoring.scorer:Scorer.score"]
TOLD: dict[str, Any] = {
    "main_s": 0.5,
    "others_s": 0.1,
    "stacks": [
        [[*SCORE, "services.scoring.scorer:Scorer._fold", "numpy:full"], 60],
        [[*SCORE, "fraud.store.lmdb.answers:LmdbAnswers.commit"], 30],
        [[*LOOP, "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.data_received"], 10],
    ],
}
PROGRAM = """
import signal, sys, threading, time
sys.stdout.write("ready\\n"); sys.stdout.flush()
sys.stdin.readline()
def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass
burn(0.4)
other = threading.Thread(target=burn, args=(0.4,)); other.start(); other.join()
sys.stdout.write("done\\n"); sys.stdout.flush()
signal.pause()
"""


@pytest.mark.parametrize("beginning", [one for beginnings in STAGES.values() for one in beginnings])
def test_every_stage_names_calls_that_are_there(beginning: str) -> None:
    module, _, call = beginning.partition(":")
    found: Any = import_module(module.rstrip("."))
    assert hasattr(found, "__path__") == module.endswith(".")
    for name in filter(None, call.split(".")):
        found = getattr(found, name)


def test_each_module_of_the_store_belongs_to_a_stage_of_it() -> None:
    import fraud.store  # noqa: PLC0415

    for module in pkgutil.walk_packages(fraud.store.__path__, "fraud.store."):
        assert stage_of([*SCORE, f"{module.name}:any"]) == "commit"


def test_a_look_counts_for_the_innermost_call_of_a_stage() -> None:
    judge = [*SCORE, "services.scoring.decide:Decider.decide", "services.scoring.decide:Decider._judge"]
    assert stage_of([*judge, "services.scoring.decide:Decider._ask_champion", "fraud.model:x"]) == "model"
    assert stage_of([*judge[:-1], "services.scoring.decide:Decider._explain", "fraud.model:x"]) == "reasons"
    assert stage_of([*SCORE, "services.scoring.fold:PassFold.fold"]) == "fold"
    assert stage_of([*SCORE, "fraud.store.lmdb.answers:LmdbAnswers.look"]) == "read states and answer"
    assert stage_of(SCORE) == "around these"


def test_time_is_shared_out_by_the_looks() -> None:
    figures = figures_of(describe_machine(), 500.0, LOADED, TOLD)
    found = {stage.name: stage.cpu_us for stage in figures.stages}
    assert found == pytest.approx({"fold": 300.0, "commit": 150.0, OTHERS: 100.0, REST: 50.0})
    assert [stage.name for stage in figures.stages] == ["fold", "commit", OTHERS, REST]


def test_a_run_without_looks_says_what_to_do() -> None:
    with pytest.raises(FraudError, match="--seconds"):
        figures_of(describe_machine(), 500.0, LOADED, {**TOLD, "stacks": []})


def test_calls_lie_below_what_calls_them_and_side_by_side() -> None:
    stacks = [(stack, looks) for stack, looks in TOLD["stacks"]]
    bars = list(bars_of(stacks))
    assert [bar for bar in bars if bar.depth == 0] == [
        Bar(SCORE[-1], 0, 0.0, 0.9, "around these"),
        Bar(TOLD["stacks"][2][0][-1], 0, 0.9, 0.1, REST),
    ]
    below = {bar.stage: (bar.left, bar.width) for bar in bars if bar.depth == 1}
    assert below["commit"] == pytest.approx((0.0, 0.3))
    assert below["fold"] == pytest.approx((0.3, 0.6))


def test_the_report_has_the_table_the_stacks_and_a_picture(tmp_path: Path) -> None:
    figures = figures_of(describe_machine(), 500.0, LOADED, TOLD)
    console = Console(record=True, width=130)
    console.print(table_of(figures))
    text = console.export_text()
    assert all(word in text for word in ("300.0", "50%", "600.0", "421,429", "9,615"))
    whole, folded, picture = write_report(figures, tmp_path / "new")
    assert json.loads(whole.read_text())["stages"][0] == {"name": "fold", "cpu_us": 300.0}
    assert folded.read_text().splitlines()[1] == ";".join(TOLD["stacks"][1][0]) + " 30"
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(sys.platform != "linux", reason="a timer of one thread")
def test_looks_see_the_main_thread_alone_and_clocks_tell_the_others(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    file = tmp_path / "stacks.json"
    with subprocess.Popen(
        [sys.executable, "-m", "fraud.tools.bench.sampler", str(file), "program"],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin
        assert program.stdout
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGUSR1)
        program.stdin.write("\n")
        program.stdin.flush()
        assert program.stdout.readline() == "done\n"
        program.terminate()
        assert program.wait(60) == 0
    told = json.loads(file.read_text())
    assert 0.4 <= told["main_s"] < 0.8
    assert told["others_s"] >= 0.4
    looks = sum(looks for _, looks in told["stacks"])
    burning = sum(looks for stack, looks in told["stacks"] if stack[-1] == "__main__:burn")
    assert burning >= 20
    assert burning >= 0.9 * looks
