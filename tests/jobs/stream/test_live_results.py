"""Results and profiles through a real broker and a real query, with the schema of docs/examples."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from fraud.contracts import PROFILES, RESULTS, TRANSACTIONS
from tests.flow.conftest import Job, wait_until
from tests.jobs.stream.test_live_input import Sent, send

pytestmark = pytest.mark.flow

SCHEMA = Path(__file__).parents[3] / "docs" / "examples" / "card-testing.yaml"
START = datetime.now(UTC) - timedelta(hours=1)


def bought(number: int, amount: float = 10.0) -> Sent:
    record = {
        "transaction_id": f"t{number}",
        "event_time": (START + timedelta(minutes=number)).isoformat(),
        "card": "c1",
        "merchant_id": "m1",
        "amount": amount,
    }
    return TRANSACTIONS, b"c1", json.dumps(record).encode()


def told(number: int, result: str) -> Sent:
    record = {"transaction_id": f"t{number}", "card": "c1", "result": result}
    return RESULTS, b"c1", json.dumps({**record, "result_time": START.isoformat()}).encode()


def known(limit: float) -> Sent:
    record = {"entity": "card", "card": "c1", "profile_time": START.isoformat()}
    return PROFILES, b"card:c1", json.dumps({**record, "profile": {"limit": limit}}).encode()


def rows_of(job: Job, table: str, *names: str) -> list[dict[str, Any]]:
    uri = f"{job.settings.delta_path}/{table}"
    if not DeltaTable.is_deltatable(uri):
        return []
    found: list[dict[str, Any]] = DeltaTable(uri).to_pyarrow_table(columns=list(names)).to_pylist()
    return found


def test_declines_count_in_the_next_decision_and_so_do_our_own(
    kafka: str, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    text = SCHEMA.read_text().replace("declined_by_us", "reviewed_by_us")  # what the fallback decides
    limit = "  - {statistic: profile_value, entity: card, profile: limit}\n"
    text = text.replace("fallback:\n", f"{limit}profiles:\n  card: {{limit: {{type: number}}}}\nfallback:\n")
    schema = tmp_path / "schema.yaml"
    schema.write_text(text)
    features = (
        "count_1h_by_card_where_declined",
        "count_24h_by_card_where_reviewed_by_us",
        "amount_sum_24h_by_card_spending",
        "limit_of_card",
    )

    def vector_of(number: int) -> list[float]:
        rows = rows_of(job, "features", "transaction_id", *features)
        return next(
            ([row[name] for name in features] for row in rows if row["transaction_id"] == f"t{number}"), []
        )

    def sources() -> list[str | None]:
        return sorted(str(row["source"]) for row in rows_of(job, "results", "source"))

    send(kafka, [known(500.0), told(2, "declined"), told(1, "gone"), bought(1, amount=900.0)])
    job = make_job(FRAUD_SCHEMA_FILE=str(schema))
    job.start()
    wait_until(lambda: sources() == ["None", "fraud"], job.check)  # the early one, and our own of t1
    send(kafka, [bought(2)])
    wait_until(lambda: bool(vector_of(2)), job.check)
    assert vector_of(2) == [0.0, 1.0, 900.0, 500.0]
    send(kafka, [known(700.0), told(1, "reversed"), told(1, "reversed")])
    wait_until(lambda: len(sources()) == 4, job.check)
    send(kafka, [bought(3)])
    wait_until(lambda: bool(vector_of(3)), job.check)
    assert vector_of(3) == [1.0, 0.0, 0.0, 700.0]  # t2 was declined, t1 is reversed: neither was spent
    (letter,) = rows_of(job, "dead_letters", "topic", "reason", "detail")
    assert (letter["topic"], letter["reason"]) == (RESULTS, "invalid_field")
    assert "must be one of those that the schema takes: authorised, declined" in letter["detail"]
    job.stop()
