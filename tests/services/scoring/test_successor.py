"""A scoring service that runs is replaced only by one whose schema fits store and model."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fraud.runtime.standby import ready_file
from fraud.schema.reading import DEFAULT
from fraud.store import open_store
from tests.deployed import ENTITIES
from tests.jobs.stream.test_fit import DEVICE
from tests.services.predictor.conftest import Registry, make_model, wait_until

WITHOUT_WEEKDAY = DEFAULT.read_bytes().replace(b"  - weekday\n", b"", 1)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a successor over a store and a model of the packaged schema."""
    url = f"lmdb://{tmp_path / 'store'}"
    with open_store(url, ENTITIES) as store:
        store.mark_complete()
    registry = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}")
    registry.register(make_model(1))
    return {
        **os.environ,
        "FRAUD_SCHEMA_FILE": str(tmp_path / "other.yaml"),
        "FRAUD_SCORING_STORE_URL": url,
        "FRAUD_SCORING_MLFLOW_URI": registry.uri,
        "FRAUD_SCORING_START_AFTER": str(tmp_path / "scoring.turn"),
    }


def start(environment: dict[str, str], schema: bytes) -> "subprocess.Popen[str]":
    Path(environment["FRAUD_SCHEMA_FILE"]).write_bytes(schema)
    return subprocess.Popen(
        [sys.executable, "-m", "services.scoring.main"], env=environment, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (DEVICE, "error: the feature store has counted nothing for device"),
        (WITHOUT_WEEKDAY, "error: models:/fraud@champion gives no model that fits the schema"),
    ],
)
def test_one_of_another_schema_ends_before_it_is_ready(
    environment: dict[str, str], schema: bytes, words: str
) -> None:
    with start(environment, schema) as process:
        _, said = process.communicate(timeout=300.0)
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith(words)
    assert not ready_file(Path(environment["FRAUD_SCORING_START_AFTER"])).exists()


@pytest.mark.parametrize(
    ("schema", "unchecked"), [(DEFAULT.read_bytes(), "false"), (DEVICE, "true"), (WITHOUT_WEEKDAY, "true")]
)
def test_one_that_fits_waits_and_so_does_one_whose_store_and_model_come_later(
    environment: dict[str, str], schema: bytes, unchecked: str
) -> None:
    environment["FRAUD_SCORING_START_UNCHECKED"] = unchecked
    with start(environment, schema) as process:
        try:
            is_ready = ready_file(Path(environment["FRAUD_SCORING_START_AFTER"])).exists
            wait_until(lambda: is_ready() or process.poll() is not None, "ready, or ended", 300.0)
            assert process.poll() is None
            assert is_ready()
        finally:
            process.kill()
