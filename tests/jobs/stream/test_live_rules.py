"""Rules in a real query: they decide and are counted; a change counts, a wrong file does not, nor a kill."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from fraud.contracts import DECISIONS, TRANSACTIONS
from tests.flow.conftest import Job, wait_until
from tests.jobs.stream.tasks.test_passes import transaction
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


def test_the_stream_counts_by_name_what_held_and_what_failed_and_decides_all_the_same(
    kafka: str, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    divides = {"when": "10 / int(amount) > 3"}  # by zero where an amount is below 1
    rules = [
        {"name": "large", "when": "amount > 10.0", "then": "review", "reason": "r"},
        {"name": "fails", "then": "decline", "reason": "r", **divides},
        {"name": "fails_beside", "then": "decline", "reason": "r", "state": "shadow", **divides},
        {"name": "never_fails", "when": "10.0 / amount > 1000.0", "then": "review", "reason": "r"},
    ]
    segments = [{"name": "segment_fails", "review": 0.5, "decline": 0.9, **divides}]
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"version": "one", "rules": rules, "segments": segments}))
    job = make_job(FRAUD_STREAM_RULES_FILE=str(file))
    job.start()
    wait_until(job.is_ready, job.check)
    names = ("fails", "fails_beside", "never_fails", "segment_fails")
    errors = "fraud_stream_rule_errors_total"
    assert [by_rule(job, errors, name) for name in names] == [0.0] * 4, "an alert sees the first failure"
    amounts = {1: 0.5, 2: 20.0, 3: 0.25, 4: 2.0}
    sent = [transaction(number) | {"amount": amount} for number, amount in amounts.items()]
    send(kafka, [(TRANSACTIONS, b"u0", json.dumps(one).encode()) for one in sent])
    wait_until(lambda: decided(job) == {"t1", "t2", "t3", "t4"}, job.check)
    wait_until(lambda: metric(job, "fraud_stream_transactions_total") == 4, job.check)
    assert [by_rule(job, errors, name) for name in names] == [2.0, 2.0, 0.0, 2.0]
    assert by_rule(job, "fraud_stream_rule_hits_total", "large") == 1
    assert by_rule(job, "fraud_stream_rule_hits_total", "fails") == 1
    assert by_rule(job, "fraud_stream_rule_shadow_hits_total", "fails_beside") == 1
    found = {one["transaction_id"]: one["rules"] for one in map(json.loads, read(kafka, DECISIONS))}
    assert found == {"t1": [], "t2": ["large"], "t3": [], "t4": ["fails"]}
    job.stop()


def by_rule(job: Job, name: str, rule: str) -> float:
    """Read the value that a counter of rules has for one of them."""
    text = httpx.get(f"http://127.0.0.1:{job.port}/metrics", timeout=5).text
    start = f'{name}{{rule="{rule}"}} '
    return next(float(line.removeprefix(start)) for line in text.splitlines() if line.startswith(start))
