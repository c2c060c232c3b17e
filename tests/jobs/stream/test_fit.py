"""A stream that runs is replaced only by one whose schema fits store, tables and model."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest

from fraud.errors import BadConfig, BadModel, BadState
from fraud.runtime.standby import ready_file
from fraud.schema.reading import DEFAULT, default_schema, parse_schema
from fraud.schema.schema import Schema
from jobs.stream.fit import check_successor
from jobs.stream.settings import StreamSettings
from tests.fraud.model.test_client import away, serve

DEVICE = DEFAULT.read_bytes().replace(
    b"features:\n",
    b"  device: {key: device_id}\nfeatures:\n  - {statistic: count, entity: device, window: 1h}\n",
    1,
)
MERCHANT = DEFAULT.read_bytes().replace(b"    events: 256\n", b"    events: 128\n", 1)
"""Keeps more of a merchant's events."""


def answering(schema: Schema) -> httpx.MockTransport:
    """A model server whose model reads the features of a schema."""
    return httpx.MockTransport(partial(serve, features_version=schema.features_version))


def test_the_schema_of_the_running_stream_fits(log_copy: StreamSettings) -> None:
    schema = default_schema()
    check_successor(log_copy, schema, answering(schema))
    check_successor(log_copy, schema, httpx.MockTransport(away))  # without a model, the fallback decides


@pytest.mark.parametrize(
    ("raw", "error", "words"),
    [
        (DEVICE, BadState, "counted nothing for device, .*rebuild-store.* or go back .*`fraud roll`"),
        (MERCHANT, BadState, "states of merchants .* another layout"),
        (DEFAULT.read_bytes() + b"\nmoney: {base: USD}\n", BadConfig, "counted without currencies"),
    ],
)
def test_another_schema_is_refused(
    log_copy: StreamSettings, raw: bytes, error: type[Exception], words: str
) -> None:
    schema = parse_schema(raw, "other.yaml")
    with pytest.raises(error, match=words):
        check_successor(log_copy, schema, answering(schema))


def test_a_schema_of_other_features_than_the_model_reads_is_refused(log_copy: StreamSettings) -> None:
    other = parse_schema(DEFAULT.read_bytes().replace(b"  - weekday\n", b"", 1), "other.yaml")
    with pytest.raises(
        BadModel, match=r"does not fit .*: .* serves features .*, the vectors are of .*`fraud roll"
    ):
        check_successor(log_copy, other, answering(default_schema()))


def test_the_program_ends_before_it_says_that_it_is_ready(log_copy: StreamSettings, tmp_path: Path) -> None:
    file, turn = tmp_path / "other.yaml", tmp_path / "stream.turn"
    file.write_bytes(DEVICE)
    done = subprocess.run(
        [sys.executable, "-m", "jobs.stream.main"],
        env={
            **os.environ,
            "FRAUD_SCHEMA_FILE": str(file),
            "FRAUD_STREAM_HOME": str(log_copy.home),
            "FRAUD_STREAM_START_AFTER": str(turn),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300.0,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: the feature store has counted nothing for device")
    assert not ready_file(turn).exists()
