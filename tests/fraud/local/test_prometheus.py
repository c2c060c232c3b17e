"""What `fraud up` writes for a Prometheus of this machine is what Prometheus takes, rules and all."""

import json
import subprocess
from pathlib import Path

from fraud.local.parts import PARTS, Place
from fraud.local.prometheus import write_config
from fraud.local.settings import LocalSettings


def test_prometheus_takes_the_file_and_finds_every_part_that_is_there(tmp_path: Path) -> None:
    ports = {name: 20_000 + at for at, name in enumerate(name for part in PARTS for name in part.ports)}
    file = write_config(Place(LocalSettings(home=tmp_path), ports))
    done = subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout
    targets = json.loads((tmp_path / "prometheus-targets.json").read_text())
    assert {one["labels"]["app"]: one["targets"] for one in targets} == {
        "predictor": [f"127.0.0.1:{ports['predictor']}"],
        "stream": [f"127.0.0.1:{ports['stream_metrics']}"],
        "scoring": [f"127.0.0.1:{ports['scoring']}"],
        "console": [f"127.0.0.1:{ports['console']}"],
    }


def test_a_part_that_was_not_started_is_no_target(tmp_path: Path) -> None:
    write_config(Place(LocalSettings(home=tmp_path), {"mlflow": 5000, "predictor": 8080}))
    targets = json.loads((tmp_path / "prometheus-targets.json").read_text())
    assert [one["labels"]["app"] for one in targets] == ["predictor"]
