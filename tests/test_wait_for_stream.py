"""`.ci/wait-for-stream`, last of `skaffold run`: a stream that does not run makes it fail, in words."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / ".ci" / "wait-for-stream"
# Answers as kubectl does; each question after the driver takes the next line of `drivers`, the last for good.
KUBECTL = """#!/usr/bin/env bash
here=$(dirname "$0")
case " $* " in
    *" --selector "*)
        head -n1 "$here/drivers"
        [ "$(wc -l <"$here/drivers")" = 1 ] || sed -i 1d "$here/drivers" ;;
    *" logs "*) echo "ModuleNotFoundError: No module named 'orjson'" ;;
    *errorMessage*) echo "driver container failed with ExitCode: 1" ;;
    *) echo "$*" ;;
esac
"""


def wait(
    folder: Path, drivers: list[str], patience_s: int, steady_s: int
) -> subprocess.CompletedProcess[str]:
    program = folder / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    (folder / "drivers").write_text("".join(f"{one}\n" for one in drivers))
    given = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "SKAFFOLD_KUBE_CONTEXT": "kind-fraud"}
    command = [SCRIPT, str(patience_s), str(steady_s)]
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False)


def test_a_driver_that_stays_ready_is_enough(tmp_path: Path) -> None:
    done = wait(tmp_path, ["", "a False", "a True"], 30, 1)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the stream is ready\n", "")


@pytest.mark.parametrize(
    "drivers",
    [[""], ["a False"], [f"{n} {state}" for n in range(20) for state in ("False", "True")]],
    ids=["no driver", "never ready", "each one ends"],
)
def test_a_stream_that_does_not_run_fails_the_installation_and_says_why(
    tmp_path: Path, drivers: list[str]
) -> None:
    done = wait(tmp_path, drivers, 3, 2)
    assert done.returncode == 1
    assert "error: the stream is not ready after 3 s" in done.stderr
    assert "kubectl -n fraud describe sparkapplication/streaming" in done.stderr
    assert "driver container failed with ExitCode: 1" in done.stderr
    assert "No module named 'orjson'" in done.stderr
    assert "--context kind-fraud --namespace fraud" in done.stderr


def test_skaffold_waits_for_the_stream_last() -> None:
    configs = {
        one["metadata"]["name"]: one for one in yaml.safe_load_all((ROOT / "skaffold.yaml").read_text())
    }
    (hook,) = configs["platform"]["deploy"]["helm"]["hooks"]["after"]
    assert ROOT / hook["host"]["dir"] / hook["host"]["command"][0] == SCRIPT
    assert os.access(SCRIPT, os.X_OK)
