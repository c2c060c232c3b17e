"""The main job with every real part, small, and with the model server killed in the middle of it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from deltalake import DeltaTable

from fraud.decide.experiment import read_experiment
from fraud.local.process import is_alive, load
from tests.commands import ON_THE_DEMO, ROOT, marked, run
from tests.flow.watching import Panels, Prometheus, prometheus

pytestmark = [pytest.mark.flow, pytest.mark.timeout(1800)]

PORTS = dict.fromkeys(
    ("CONSOLE", "KAFKA", "KAFKA_CONTROLLER", "MLFLOW", "PREDICTOR", "SCORING", "STREAM_METRICS"), "0"
)
ENVIRONMENT = {**os.environ, **{f"FRAUD_LOCAL_{name}_PORT": port for name, port in PORTS.items()}}
MIN_ROWS = 10
"""Of a day and arm: a small demo has some thirty."""
FRAUD = [sys.executable, "-c", "from fraud.cli import app; app()"]


def fraud(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*FRAUD, *words, "--home", str(home)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120)


def parts(home: Path) -> list[dict[str, Any]]:
    asked = fraud(home, "status", "--json")
    assert asked.stdout, asked.stderr
    found: list[dict[str, Any]] = json.loads(asked.stdout)
    return found


def part(home: Path, name: str) -> dict[str, Any]:
    return next(one for one in parts(home) if one["name"] == name)


def wait_until(is_true: Callable[[], bool], demo: subprocess.Popen[str]) -> None:
    """Poll a condition for as long as the demo runs."""
    while not is_true():
        assert demo.poll() is None, "the demo ended before the condition held"
        time.sleep(0.2)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "a home"
    yield folder
    fraud(folder, "down")


def decided(url: str) -> float:
    found = re.search(r"^fraud_stream_transactions_total (\S+)", httpx.get(url).text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Prometheus]:
    with prometheus(tmp_path / "prometheus") as server:
        yield server


def test_killing_the_model_server_loses_and_repeats_nothing(
    home: Path, tmp_path: Path, watching: Prometheus
) -> None:
    log = tmp_path / "demo.log"
    with log.open("w") as output:
        command = [*FRAUD, "demo", "--small", "--experiment", "--rate", "150", "--home", str(home)]
        demo = subprocess.Popen(command, env=ENVIRONMENT, stdout=output, stderr=subprocess.STDOUT, text=True)
        try:
            state = home / "run" / "stream.json"
            wait_until(state.exists, demo)
            wait_until(lambda: part(home, "stream")["state"] == "ready", demo)
            running = parts(home)  # once: each look takes seconds of the few that the demo streams
            watching.follow(running)
            found = {one["name"]: one for one in running}
            # Late enough that scores lie in the newest weeks, whenever the server is back.
            wait_until(lambda: decided(found["stream"]["url"]) > 700, demo)
            os.kill(found["predictor"]["pid"], signal.SIGKILL)
            assert demo.wait(timeout=600) == 0, log.read_text()
        finally:
            if demo.poll() is None:
                demo.kill()
                demo.wait()
    words = log.read_text()
    assert "predictor" in words, "the crash was not reported"
    ledger = json.loads((home / "ledger.json").read_text())
    assert ledger["generated"] == 8_000
    assert ledger["history"] + ledger["streamed"] == ledger["generated"]
    assert ledger["decisions"] == ledger["streamed"] == ledger["delta_decisions"]
    assert ledger["dead_letters"] == ledger["malformed"] == ledger["delta_dead_letters"] > 0
    assert ledger["delta_transactions"] == ledger["delta_features"] == ledger["generated"]
    assert ledger["delta_repeated"] == 0
    assert part(home, "predictor")["state"] == "ready"
    assert (home / "report.html").stat().st_size > 10_000
    check_experiment(home)
    check_console(part(home, "console")["url"])
    check_dashboards(home, watching)
    check_examples(home, tmp_path / "examples")


@pytest.mark.parametrize("when", ["starting", "training"])
def test_ctrl_c_stops_all_that_the_demo_has_started(home: Path, tmp_path: Path, when: str) -> None:
    log = tmp_path / "demo.log"
    with log.open("w") as output:
        command = [*FRAUD, "demo", "--small", "--home", str(home)]
        demo = subprocess.Popen(command, env=ENVIRONMENT, stdout=output, stderr=subprocess.STDOUT, text=True)
        try:
            records = [home / "run" / f"{name}.json" for name in ("broker", "mlflow")]
            wait_until(lambda: all(record.exists() for record in records), demo)
            if when == "training":
                wait_until(lambda: "generate, and start broker and registry" in log.read_text(), demo)
            started = [load(record) for record in records]
            demo.send_signal(signal.SIGINT)
            assert demo.wait(timeout=240) != 0
        finally:
            if demo.poll() is None:
                demo.kill()
                demo.wait()
    assert "interrupted; stopping the platform" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert {one["state"] for one in parts(home)} == {"stopped"}
    assert not [one for one in started if one is None or is_alive(one)]


def check_experiment(home: Path) -> None:
    """Both models decided, each for the users of its arm, and each shadowed the other."""
    experiment = read_experiment(home / "experiment.yaml")
    decisions = DeltaTable(str(home / "stream" / "delta" / "decisions")).to_pyarrow_table().to_pylist()
    streamed = [row for row in decisions if row["arm"] is not None]
    assert {row["arm"] for row in streamed} == {"control", "treatment"}
    assert all(row["arm"] == experiment.arm_of(row["user_id"]).name for row in streamed)
    versions = {
        arm: {row["model_version"] for row in streamed if row["arm"] == arm and not row["is_fallback"]}
        for arm in ("control", "treatment")
    }
    assert "1" in versions["control"]
    assert "2" in versions["treatment"]
    by_model = [row for row in streamed if not row["is_fallback"]]
    assert by_model
    assert sum(row["shadow_score"] is not None for row in by_model) > 0.9 * len(by_model)
    state = json.loads((home / "experiment" / "state.json").read_text())
    assert [arm["name"] for arm in state["arms"]] == ["control", "treatment"]


def check_console(url: str) -> None:
    """The console shows the alerts, and their cases from the archive."""
    with httpx.Client(base_url=url, timeout=30.0, follow_redirects=True) as http:
        ids = re.findall(r'data-id="([^"]+)"', http.get("/", params={"show": "all"}).text)
        assert ids
        case = http.get(f"/cases/{ids[0]}")
        assert (case.status_code, 'class="timeline"' in case.text) == (200, True)
        assert "champion" in http.get("/model").text
        assert "demo-challenger" in http.get("/experiment").text


def check_dashboards(home: Path, watching: Prometheus) -> None:
    """Jobs, run beside the stream, reach Prometheus through it; then no panel of Grafana is empty."""
    delta = str(home / "stream" / "delta")
    watching.follow(parts(home))
    panels = Panels(watching, part(home, "scoring")["url"])
    panels.look()  # without a transaction of today, which would be the newest of all to the jobs
    run_job(home, "parity", "--delta", delta)
    days = ("--until", str(last_scored_day(home) + timedelta(days=1)))
    run_job(home, "drift", "--delta", delta, "--mlflow-uri", part(home, "mlflow")["url"], *days)
    run_job(home, "performance", "--delta", delta)
    panels.check()
    assert set(watching.query("fraud_parity_difference")) == {0.0}
    for job in ("drift", "performance"):
        assert "data:image/png" in (home / job / "report.html").read_text()


def check_examples(home: Path, folder: Path) -> None:
    """What the documentation says to run after the demo, runs."""
    folder.mkdir()
    (folder / ".fraud").symlink_to(home)
    for page in sorted((ROOT / "docs").glob("*.md")):
        if commands := marked(page, ON_THE_DEMO):
            run(commands, folder, ENVIRONMENT)


def last_scored_day(home: Path) -> date:
    """Find the last day on which the champion scored enough: while it was unavailable, nobody did."""
    decisions = DeltaTable(str(home / "stream" / "delta" / "decisions")).to_pyarrow_table().to_pylist()
    scored = Counter(
        row["event_time"].date() for row in decisions if row["arm"] == "control" and not row["is_fallback"]
    )
    return max(day for day, rows in scored.items() if rows >= MIN_ROWS)


def run_job(home: Path, job: str, *words: str) -> None:
    environment = {
        **ENVIRONMENT,
        "FRAUD_DRIFT_OUT": str(home / "drift"),
        "FRAUD_DRIFT_LIMITS__MIN_ROWS": str(MIN_ROWS),
        "FRAUD_PERFORMANCE_OUT": str(home / "performance"),
    }
    done = subprocess.run(
        [*FRAUD, job, *words], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
