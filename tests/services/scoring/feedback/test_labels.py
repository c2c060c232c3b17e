"""Labels without keys: found in the store or the tables, kept until then, and never lost."""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from fraud.contracts import DEAD_LETTERS, LABELS, DeadLetter
from fraud.errors import BadConfig
from fraud.kafka.producer import Delivery, Record
from services.scoring.feedback.pending import LONGEST_S, PendingLabels
from tests.services.scoring import samples
from tests.services.scoring.api.test_api import Api, Taking
from tests.wire import Label

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LABEL = {"transaction_id": samples.TRANSACTION["transaction_id"], "is_fraud": True}
DAY_S = 86_400.0
Sent = list[Record]


class Away:
    """Brokers that take nothing."""

    def deliver(self, records: list[Record]) -> Delivery:
        return Delivery([False] * len(records))


@contextmanager
def keeping(folder: Path, kafka: Any, **given: Any) -> Iterator[Api]:
    api = Api(folder, kafka, labels_pending=True, pending_file=folder / "pending.sqlite", **given)
    yield api
    api.service.labels.close()
    api.service.store.close()


def post(api: Api, **fields: Any) -> Any:
    return api.call("POST", "/v1/labels", json={**LABEL, **fields})


def write(folder: Path, *rows: tuple[str, str]) -> str:
    """Write transactions (id, user) into a Delta table; returns where the tables are."""
    table = pa.Table.from_pylist(
        [
            {"transaction_id": id_, "user_id": user, "merchant_id": "m-1", "event_time": AT}
            for id_, user in rows
        ]
    )
    write_deltalake(f"{folder}/delta/transactions", table, mode="append")
    return f"{folder}/delta"


def labels_of(sent: Sent) -> list[Label]:
    return [Label.model_validate_json(value) for topic, _, value, _ in sent if topic == LABELS]


def test_a_label_of_a_transaction_that_only_the_tables_know_needs_no_keys(tmp_path: Path) -> None:
    sent: Sent = []
    api = Api(tmp_path, Taking(sent), delta=write(tmp_path, ("old", "u-9"), ("other", "u-8")))
    assert post(api, transaction_id="old").json()["status"] == "accepted"
    (label,) = labels_of(sent)
    assert (label.user_id, label.merchant_id, label.event_time) == ("u-9", "m-1", AT)
    refused = post(api, transaction_id="nowhere")
    assert (refused.status_code, "send its user_id" in refused.json()["detail"]) == (404, True)


def test_a_chargeback_of_what_the_stream_decided_months_ago_goes_on_with_its_amount(tmp_path: Path) -> None:
    """The service has never seen it: its keys come from the log, and need not be sent."""
    sent: Sent = []
    api = Api(tmp_path, Taking(sent), delta=write(tmp_path, ("old", "u-9")))
    told = {"reason_code": "10.4", "fraud_type": "account_takeover", "disputed_amount": 40.25}
    answer = post(api, transaction_id="old", source="chargeback", **told)
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
    (label,) = labels_of(sent)
    assert (label.user_id, label.merchant_id, label.event_time) == ("u-9", "m-1", AT)
    assert {name: getattr(label, name) for name in told} == told
    refused = post(api, transaction_id="old", disputed_amount=40.255)
    assert refused.status_code == 422
    assert "disputed_amount: an amount has 2 digits, got 3" in refused.text


def test_an_id_of_two_transactions_of_the_tables_needs_keys(tmp_path: Path) -> None:
    sent: Sent = []
    api = Api(tmp_path, Taking(sent), delta=write(tmp_path, ("one", "u-1"), ("one", "u-2")))
    refused = post(api, transaction_id="one")
    assert (refused.status_code, "send its user_id" in refused.json()["detail"], sent) == (409, True, [])


def test_tables_that_cannot_be_searched_in_time_refuse_the_label_with_words(tmp_path: Path) -> None:
    delta = write(tmp_path, ("old", "u-9"))
    api = Api(tmp_path, Taking([]), delta=delta, delta_timeout_s=1e-9)
    refused = post(api, transaction_id="old")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")


def test_tables_that_are_damaged_refuse_the_label_with_words(tmp_path: Path) -> None:
    delta = write(tmp_path, ("old", "u-9"))
    for file in Path(delta, "transactions").glob("*.parquet"):
        file.unlink()
    refused = post(Api(tmp_path, Taking([]), delta=delta), transaction_id="old")
    assert (refused.status_code, "cannot be read" in refused.json()["detail"]) == (503, True)


def test_a_kept_label_goes_on_when_its_transaction_is_scored(tmp_path: Path) -> None:
    sent: Sent = []
    with keeping(tmp_path, Taking(sent)) as api:
        assert post(api).json()["status"] == "pending"
        later = time.time() + 10.0
        assert api.service.labels.resolve(later) == 0
        api.score()
        assert [api.service.labels.resolve(later + 10.0) for _ in range(2)] == [1, 0]
        assert len(labels_of(sent)) == 1


def test_a_kept_label_goes_on_when_its_transaction_comes_into_the_tables(tmp_path: Path) -> None:
    sent: Sent = []
    delta = write(tmp_path, ("other", "u-1"))
    with keeping(tmp_path, Taking(sent), delta=delta) as api:
        assert post(api).json()["status"] == "pending"
        write(tmp_path, (str(LABEL["transaction_id"]), "u-5"))
        assert api.service.labels.resolve(time.time() + 10.0) == 1
        assert [label.user_id for label in labels_of(sent)] == ["u-5"]


def test_kept_labels_of_a_transaction_go_in_order_and_before_a_newer_one(tmp_path: Path) -> None:
    sent: Sent = []
    with keeping(tmp_path, Taking(sent)) as api:
        for is_fraud in (True, False):
            post(api, is_fraud=is_fraud)
        api.score()
        assert post(api, is_fraud=True).json()["status"] == "accepted"
        assert api.service.labels.resolve(time.time() + 10.0) == 0
        assert [label.is_fraud for label in labels_of(sent)] == [True, False, True]


def test_a_kept_label_outlives_a_restart_and_a_kafka_that_is_away(tmp_path: Path) -> None:
    sent: Sent = []
    with keeping(tmp_path, Away()) as api:
        post(api)
        api.score()
        assert post(api).status_code == 503
    with keeping(tmp_path, Taking(sent)) as api:
        assert api.service.labels.resolve(time.time() + 10.0) == 1
    assert len(labels_of(sent)) == 1


def test_more_kept_labels_than_may_be_are_refused_with_words(tmp_path: Path) -> None:
    with keeping(tmp_path, Taking([]), max_pending=2) as api:
        answers = [post(api, transaction_id=f"t-{n}") for n in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 503]
        assert "send user_id" in answers[2].json()["detail"]


def test_a_label_whose_transaction_never_comes_becomes_one_dead_letter(tmp_path: Path) -> None:
    sent: Sent = []
    with keeping(tmp_path, Taking(sent), pending_days=30.0) as api:
        post(api)
        labels = api.service.labels
        labels.resolve(time.time() + 29.9 * DAY_S)
        assert sent == []
        for _ in range(2):
            labels.resolve(time.time() + 31.0 * DAY_S)
        ((topic, _, value, _),) = sent
        letter = DeadLetter.model_validate_json(value)
        assert (topic, letter.topic, letter.reason) == (DEAD_LETTERS, LABELS, "unknown_transaction")
        assert "in 30 days" in letter.detail
        assert orjson.loads(letter.raw)["transaction_id"] == LABEL["transaction_id"]


def test_an_expired_label_stays_until_kafka_has_its_dead_letter(tmp_path: Path) -> None:
    with keeping(tmp_path, Away()) as api:
        post(api)
        with pytest.raises(Exception, match="dead letter"):
            api.service.labels.resolve(time.time() + 31.0 * DAY_S)
    assert len(PendingLabels(tmp_path / "pending.sqlite", 9, 0.0, "user_id")) == 1


def test_only_what_is_due_is_looked_at_and_ever_more_rarely(tmp_path: Path) -> None:
    kept = PendingLabels(tmp_path / "kept.sqlite", 9, 0.0, "user_id")
    kept.keep("t-1", b"{}", 0.0)
    looks, at_s = [], 0.0
    while at_s < 30.0 * DAY_S:
        if kept.due(at_s, 9):
            looks.append(at_s)
            kept.put_off(["t-1"], at_s)
        at_s += 2.0 if at_s < 100.0 else 600.0
    assert looks[:3] == [2.0, 4.0, 6.0]
    assert len(looks) < 30.0 * DAY_S / LONGEST_S + 30
    assert max(b - a for a, b in pairwise(looks)) <= LONGEST_S + 600.0


@pytest.mark.parametrize("name", ["pending.jsonl", "pending.sqlite"])
def test_labels_that_an_older_version_kept_are_taken_over(tmp_path: Path, name: str) -> None:
    old = orjson.dumps({**LABEL, "label_time": "2026-03-02T00:00:00Z", "source": "api:bank:chargeback"})
    (tmp_path / name).write_bytes(b'\n{"transaction_id": "t-9", "is_fra\n' + old + b"\n")
    sent: Sent = []
    with keeping(tmp_path, Taking(sent)) as api:
        api.score()
        assert api.service.labels.resolve(time.time() + 10.0) == 1
    assert labels_of(sent)[0].source == "api:bank:chargeback"
    assert (tmp_path / "pending.torn").read_text() == '{"transaction_id": "t-9", "is_fra\n'
    assert {file.name for file in tmp_path.glob("pending*")} == {"pending.sqlite", "pending.torn"}


def test_a_take_over_that_a_crash_cut_short_is_done_again_and_doubles_nothing(tmp_path: Path) -> None:
    line = orjson.dumps({**LABEL, "label_time": "2026-03-02T00:00:00Z", "source": None})
    for name in ("kept.jsonl", "kept.sqlite.old"):
        (tmp_path / name).write_bytes(line)
        kept = PendingLabels(tmp_path / "kept.sqlite", 9, 0.0, "user_id")
        assert len(kept) == 1
        kept.close()


def test_a_file_that_cannot_be_opened_stops_the_start_with_words(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="FRAUD_SCORING_PENDING_FILE"):
        PendingLabels(tmp_path / "no folder" / "kept.sqlite", 9, 0.0, "user_id")


def test_a_label_of_another_version_becomes_a_dead_letter(tmp_path: Path) -> None:
    raw = orjson.dumps({**LABEL, "is_fraud": "yes"})
    (tmp_path / "pending.jsonl").write_bytes(raw)
    sent: Sent = []
    with keeping(tmp_path, Taking(sent)) as api:
        api.score()
        api.service.labels.resolve(time.time() + 10.0)
    assert [(topic, orjson.loads(value)["reason"]) for topic, _, value, _ in sent] == [
        (DEAD_LETTERS, "invalid_label")
    ]
    assert base64.b64decode(orjson.loads(sent[0][2])["raw"]) == raw
