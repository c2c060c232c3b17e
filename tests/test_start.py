"""A program imports no more than it uses: each of these packages costs a start a second and some 40 MB."""

import subprocess
import sys

import pytest

TABLES = {"pandas"}
LEARNING = {"lightgbm", "matplotlib", "optuna", "scipy.stats", "shap", "sklearn", "xgboost"}
REGISTRY = {"mlflow"}
UNUSED = {
    "fraud.cli": TABLES | LEARNING | REGISTRY | {"numba", "pyarrow", "pyspark"},
    "fraud.local.commands": TABLES | LEARNING | REGISTRY | {"numba", "pyspark"},
    "jobs.stream.main": TABLES | LEARNING | REGISTRY,
    "jobs.stream.tasks.entity_pass": TABLES | LEARNING | REGISTRY | {"pyarrow.dataset"},
    "services.console.main": TABLES | LEARNING | REGISTRY,
    "services.scoring.main": LEARNING | {"kserve"},
    "services.predictor.main": LEARNING,
}
"""Module of a program, or what the stream's workers run: packages that it must not import at its start."""


@pytest.mark.parametrize("module", UNUSED)
def test_a_program_starts_without_what_it_does_not_use(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({UNUSED[module]!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
