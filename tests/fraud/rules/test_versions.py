"""Versions of rules that decided, against those that people have published."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

from fraud.rules.history import Range
from fraud.rules.publishing import Publishing
from fraud.rules.versions import unpublished
from fraud.schema.arrow import TIME

NOW = datetime(2026, 4, 1, tzinfo=UTC)


def decide(delta: Path, *versions: str | None) -> None:
    """Write decisions by versions of rules."""
    table = {"policy_version": pa.array(versions, pa.string()), "received_at": [NOW] * len(versions)}
    schema = pa.schema([("policy_version", pa.string()), ("received_at", TIME)])
    write_deltalake(str(delta / "decisions"), pa.table(table, schema=schema), mode="append")


def test_a_version_that_decided_without_being_published_is_found(tmp_path: Path) -> None:
    file, delta = tmp_path / "rules.yaml", tmp_path / "delta"
    ana, ben = Publishing(file, "ana"), Publishing(file, "ben")
    proposal = ana.propose(json.dumps({"version": "1", "rules": []}).encode(), "rules")
    decide(delta, proposal.version, f"{proposal.version}@57", "by_hand+1a2b3c4d", None)
    found = unpublished(ana.audit.entries(), str(delta))
    assert found == {proposal.version: 2, "by_hand+1a2b3c4d": 1}, "a proposal is not in force"
    ben.approve(proposal.number)
    assert unpublished(ana.audit.entries(), str(delta)) == {"by_hand+1a2b3c4d": 1}
    later = Range(NOW + timedelta(seconds=1))
    assert unpublished([], str(delta), when=later) == {}
