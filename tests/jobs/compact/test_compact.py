"""Compaction beside a stream: same rows, same transaction versions, and no reader loses its files."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from fraud.errors import Unavailable
from fraud.log import archive
from jobs.compact.compact import compact
from jobs.compact.run import TABLES
from jobs.compact.settings import CompactSettings
from tests import deployed

WRITER = "stream-1"


def append(uri: Path, number: int) -> None:
    write_deltalake(
        uri,
        pa.table({"epoch": [number] * 10, "value": list(range(10))}),
        mode="append",
        commit_properties=CommitProperties(app_transactions=[Transaction(WRITER, number)]),
    )


@pytest.fixture
def delta(tmp_path):
    for number in range(12):
        append(tmp_path / "decisions", number)
    return tmp_path


def rows_of(table: DeltaTable) -> list[dict[str, int]]:
    return sorted(table.to_pyarrow_table().to_pylist(), key=lambda row: (row["epoch"], row["value"]))


def run(delta: Path, **settings: int):
    return compact(str(delta), "decisions", CompactSettings(**settings), {})


def test_many_files_become_one_with_the_same_rows(delta):
    before = rows_of(DeltaTable(delta / "decisions"))
    done = run(delta)
    table = DeltaTable(delta / "decisions")
    assert (done.added, done.replaced, done.removed) == (1, 12, 0)
    assert len(table.file_uris()) == 1
    assert rows_of(table) == before


def test_a_snapshot_opened_before_can_still_be_read(delta):
    reader = DeltaTable(delta / "decisions")
    run(delta)
    assert len(rows_of(reader)) == 120


def test_the_streams_transaction_version_outlives_it(delta):
    run(delta)
    assert DeltaTable(delta / "decisions").transaction_version(WRITER) == 11
    append(delta / "decisions", 12)
    run(delta)
    assert DeltaTable(delta / "decisions").transaction_version(WRITER) == 12


def test_replaced_files_go_once_they_are_old_enough(delta):
    folder = delta / "decisions"
    run(delta)
    old = 48 * 3_600_000
    for commit in (folder / "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        for action in actions:
            if "remove" in action:
                action["remove"]["deletionTimestamp"] -= old
        commit.write_text("\n".join(json.dumps(action) for action in actions))
    for checkpoint in (folder / "_delta_log").glob("*checkpoint*"):
        checkpoint.unlink()
    (folder / "_delta_log" / "_last_checkpoint").unlink(missing_ok=True)
    stray = folder / "part-being-written.parquet"
    stray.write_bytes(b"not committed yet")
    assert run(delta, retention_hours=72).removed == 0
    assert [run(delta, retention_hours=24).removed for _ in range(2)] == [12, 0]
    assert stray.exists()
    assert len(rows_of(DeltaTable(folder))) == 120


def test_it_runs_again_without_work(delta):
    run(delta)
    assert run(delta).replaced == 0


def test_a_table_that_is_not_there_is_passed_over(tmp_path):
    assert compact(str(tmp_path), "decisions", CompactSettings(), {}) is None


def test_a_store_that_does_not_answer_is_unavailable(delta):
    folder = delta / "decisions"
    for file in folder.glob("*.parquet"):
        file.unlink()
    with pytest.raises(Unavailable, match="cannot be compacted"):
        run(delta)


def test_every_table_of_the_archive_is_compacted():
    assert set(deployed.TABLES) <= set(TABLES)


def test_the_log_names_replaced_files_for_longer_than_they_are_kept(delta):
    longest = CompactSettings.model_fields["retention_hours"].metadata
    assert any(getattr(one, "le", None) == 720 for one in longest)
    run(delta)
    assert DeltaTable(delta / "decisions").metadata().configuration == archive.TOMBSTONES
    before = DeltaTable(delta / "decisions").version()
    run(delta)
    assert DeltaTable(delta / "decisions").version() == before
