"""Rules in a real query: they decide, a change counts, a wrong file does not, also after a kill."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fraud.contracts import DECISIONS
from tests.flow.conftest import Job, wait_until
from tests.jobs.stream.test_live_disk import metric
from tests.jobs.stream.test_live_input import decided, good, read, send
from tests.jobs.stream.test_rules import write

pytestmark = pytest.mark.flow


def test_rules_decide_in_the_stream_follow_their_file_and_survive_a_kill(
    kafka: str, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    file = tmp_path / "rules.yaml"
    write(file, "one", "decline")
    job = make_job(FRAUD_STREAM_RULES_FILE=str(file))
    job.start()
    send(kafka, [good(1)])
    wait_until(lambda: decided(job) == {"t1"}, job.check)
    file.write_text("rules: [")
    send(kafka, [good(2)])
    wait_until(lambda: decided(job) == {"t1", "t2"}, job.check)
    assert metric(job, "fraud_stream_rules_refused") == 1
    write(file, "two", "challenge")
    job.kill()
    job.start()
    send(kafka, [good(3)])
    wait_until(lambda: decided(job) == {"t1", "t2", "t3"}, job.check)
    assert metric(job, "fraud_stream_rules_refused") == 0
    found = {one["transaction_id"]: one for one in map(json.loads, read(kafka, DECISIONS))}
    assert {name: (one["outcome"], one["policy_version"][:4]) for name, one in found.items()} == {
        "t1": ("decline", "one+"),
        "t2": ("decline", "one+"),
        "t3": ("challenge", "two+"),
    }
    assert {tuple(one["rules"]) for one in found.values()} == {("large",)}
    job.stop()
