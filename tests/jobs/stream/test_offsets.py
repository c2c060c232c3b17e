"""The offset log in Spark's form, written without Spark."""

import json
from pathlib import Path

import pytest

from fraud.log.checkpoint import Checkpoint, offsets_of
from jobs.stream.offsets import (
    KEPT,
    Range,
    ends_of,
    finish,
    plan,
    ranges_of,
    read_starting,
    records_of,
    unfinished_of,
)

BEGIN = {("transactions", 0): 40, ("transactions", 1): 0, ("labels", 0): 7}
FIRST = {("transactions", 0): 45, ("transactions", 1): 0, ("labels", 0): 9}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """One with a first micro-batch that is planned."""
    plan(tmp_path, 0, FIRST, BEGIN)
    return tmp_path


def test_a_micro_batch_is_unfinished_from_its_plan_to_its_commit(checkpoint: Path) -> None:
    assert unfinished_of(checkpoint) == 0
    finish(checkpoint, 0)
    assert unfinished_of(checkpoint) is None
    plan(checkpoint, 1, {**FIRST, ("labels", 0): 10}, FIRST)
    assert unfinished_of(checkpoint) == 1
    assert ranges_of(checkpoint, 1) == [Range("labels", 0, 9, 10)]
    assert Checkpoint.of(checkpoint.parent / "none").committed == -1


def test_the_first_micro_batch_begins_where_the_stream_began(checkpoint: Path) -> None:
    assert ranges_of(checkpoint, 0) == [Range("labels", 0, 7, 9), Range("transactions", 0, 40, 45)]
    assert records_of(checkpoint, 0) == 7
    assert ends_of(checkpoint, -1) == BEGIN
    assert ends_of(checkpoint, 0) == FIRST


def test_the_form_is_that_of_spark(checkpoint: Path) -> None:
    finish(checkpoint, 0)
    version, settings, ends = (checkpoint / "offsets" / "0").read_text().splitlines()
    assert (version, json.loads(settings)["batchWatermarkMs"]) == ("v1", 0)
    assert ends == offsets_of(checkpoint, 0)
    assert json.loads(ends) == {"transactions": {"0": 45, "1": 0}, "labels": {"0": 9}}
    assert (checkpoint / "commits" / "0").read_text() == 'v1\n{"nextBatchWatermarkMs":0}'
    assert (checkpoint / "sources" / "0" / "0").read_bytes().startswith(b"\0v1\n{")
    assert json.loads((checkpoint / "metadata").read_text())["id"]


def test_what_is_old_goes_and_a_checksum_that_spark_left_too(checkpoint: Path) -> None:
    left = checkpoint / "offsets" / ".1.crc"
    left.write_bytes(b"of what Spark began to write")
    finish(checkpoint, 0)
    for batch in range(1, KEPT + 1):
        plan(checkpoint, batch, FIRST, FIRST)
        finish(checkpoint, batch)
    assert not left.exists()
    for folder in ("offsets", "commits"):
        kept = sorted(int(file.name) for file in (checkpoint / folder).iterdir())
        assert kept == list(range(1, KEPT + 1))


def test_where_a_new_checkpoint_begins_is_read_as_spark_reads_it() -> None:
    assert read_starting("earliest") == {}
    assert read_starting('{"labels":{"0":-2,"1":5}}') == {("labels", 0): -2, ("labels", 1): 5}
