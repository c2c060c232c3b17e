"""A dead letter is sent again at most once, whatever is interrupted and however often it is asked for."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from fraud.contracts import LABELS, SCORED, TRANSACTIONS
from fraud.errors import BadInput, Fenced, Unavailable
from fraud.local import platform
from fraud.local.settings import LocalSettings
from fraud.money import read_rates
from fraud.schema.reading import DEFAULT, parse_schema
from fraud.schema.schema import Schema
from jobs.replay.dead_letters import Choice, resend
from jobs.replay.ledger import SENDING, SENT, Ledger, Origin
from tests.deployed import SPOOLED, TABLES
from tests.fraud.kafka.broker import read_all

START = datetime(2026, 3, 1, tzinfo=UTC)
AWAY = {"bootstrap.servers": "127.0.0.1:9", "message.timeout.ms": "1000"}


def raw(i: int, amount: float = 5.0) -> bytes:
    record = {"schema_version": 1, "transaction_id": f"t{i}", "event_time": START.isoformat()}
    return json.dumps({**record, "user_id": f"u{i}", "merchant_id": "m", "amount": amount}).encode()


def letter(
    offset: int, value: bytes, reason: str = "invalid_field", topic: str = TRANSACTIONS
) -> dict[str, Any]:
    return {
        "topic": topic,
        "reason": reason,
        "detail": "",
        "key": f"u{offset}",
        "raw": value,
        "processed_at": START,
        "received_at": START + timedelta(minutes=offset),
        "generation": 1,
        "epoch": offset // 2,
        "source_partition": offset % 2,
        "source_offset": offset,
    }


@pytest.fixture
def delta(tmp_path: Path) -> str:
    """Three that the contract takes today, one that it still refuses, a duplicate, and a label."""
    label = {"transaction_id": "t1", "user_id": "u1", "merchant_id": "m", "is_fraud": True}
    label |= {"event_time": START.isoformat(), "label_time": START.isoformat()}
    letters = [
        *(letter(i, raw(i)) for i in range(3)),
        letter(3, raw(3, amount=-5.0)),
        letter(4, raw(4), "duplicate"),
        letter(5, json.dumps(label).encode(), "missing_field", LABELS),
    ]
    columns = [field for field in SPOOLED if field.name in TABLES["dead_letters"][1]]
    again = {**letters[0], "generation": 2}  # read again under a new checkpoint
    table = pa.Table.from_pylist([*letters, again], pa.schema(columns))
    write_deltalake(f"{tmp_path}/delta/dead_letters", table)
    return f"{tmp_path}/delta"


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[dict[str, str]]:
    ports = dict.fromkeys(
        (
            "kafka_port",
            "kafka_controller_port",
            "mlflow_port",
            "predictor_port",
            "stream_metrics_port",
            "scoring_port",
        ),
        0,
    )
    settings = LocalSettings(home=tmp_path / "home", kafka_heap_mb=384, **ports)
    platform.up(settings, ["broker"])
    url = next(part.url for part in platform.status(settings) if part.name == "broker")
    yield {"bootstrap.servers": str(url)}
    platform.down(settings)


def consume(kafka: dict[str, str]) -> list[tuple[str, bytes, bytes, bytes]]:
    """Everything on both topics: topic, key, value, origin."""
    found = [
        (message.topic(), message.key(), message.value(), dict(message.headers())["resent-from"])
        for message in read_all(kafka["bootstrap.servers"], TRANSACTIONS, LABELS)
    ]
    return sorted(found)


@pytest.mark.flow
def test_each_letter_arrives_once_however_often_it_is_sent(delta: str, kafka: dict[str, str]) -> None:
    dry = resend(delta, kafka, Choice(), is_dry_run=True)
    first = resend(delta, kafka, Choice(reasons=frozenset({"missing_field"})))
    second = resend(delta, kafka, Choice())
    third = resend(delta, kafka, Choice())
    assert dry.sent.total() == first.sent.total() + second.sent.total() == 4
    assert (third.sent.total(), third.already_sent.total(), third.still_bad.total()) == (0, 4, 1)
    expected = [
        (TRANSACTIONS, f"u{i}".encode(), raw(i), f"transactions/{i % 2}/{i}".encode()) for i in range(3)
    ]
    found = consume(kafka)
    assert [one for one in found if one[0] == TRANSACTIONS] == expected
    assert [one[3] for one in found if one[0] == LABELS] == [b"labels/1/5"]


def test_a_dry_run_sends_and_writes_nothing(delta: str) -> None:
    found = resend(delta, AWAY, Choice(), is_dry_run=True)
    assert found.sent == {"invalid_field": 3, "missing_field": 1}
    assert found.still_bad == {"invalid_field": 1}
    assert not Path(delta, "dead_letters_resent").exists()


def test_duplicates_are_sent_only_when_asked_for(delta: str) -> None:
    asked = Choice(reasons=frozenset({"duplicate"}))
    assert resend(delta, AWAY, asked, is_dry_run=True).sent == {"duplicate": 1}


def test_a_time_range_chooses_by_when_a_letter_was_received(delta: str) -> None:
    window = Choice(since=START + timedelta(minutes=1), until=START + timedelta(minutes=3))
    assert resend(delta, AWAY, window, is_dry_run=True).sent.total() == 2


def test_a_letter_that_may_have_been_sent_is_left_alone_unless_asked_for(delta: str) -> None:
    Ledger(delta).write([Origin(TRANSACTIONS, 0, 0), Origin(TRANSACTIONS, 1, 1)], SENDING)
    Ledger(delta).write([Origin(TRANSACTIONS, 1, 1)], SENT)
    found = resend(delta, AWAY, Choice(), is_dry_run=True)
    assert (found.sent.total(), found.unconfirmed.total(), found.already_sent.total()) == (2, 1, 1)
    found = resend(delta, AWAY, Choice(unconfirmed=True), is_dry_run=True)
    assert (found.sent.total(), found.already_sent.total()) == (3, 1)


def test_of_two_runs_at_the_same_time_one_is_refused_before_it_sends(delta: str) -> None:
    one, other = Ledger(delta), Ledger(delta)
    one.write([Origin(TRANSACTIONS, 0, 0)], SENDING)
    with pytest.raises(Fenced, match="another"):
        other.write([Origin(TRANSACTIONS, 0, 0)], SENDING)


def test_without_a_broker_nothing_is_written_down(delta: str) -> None:
    with pytest.raises(Unavailable, match="no Kafka broker"):
        resend(delta, AWAY, Choice())
    assert Ledger(delta).unconfirmed == set()


def test_tables_without_dead_letters_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="dead_letters"):
        resend(str(tmp_path), AWAY, Choice(), is_dry_run=True)


def test_a_scored_record_is_judged_by_its_own_contract(tmp_path: Path) -> None:
    columns = [field for field in SPOOLED if field.name in TABLES["dead_letters"][1]]
    table = pa.Table.from_pylist([letter(0, raw(0), "missing_field", SCORED)], pa.schema(columns))
    write_deltalake(f"{tmp_path}/delta/dead_letters", table)
    account = resend(f"{tmp_path}/delta", AWAY, Choice(), is_dry_run=True)
    assert (account.sent.total(), account.still_bad) == (0, {"missing_field": 1})


MONEY = parse_schema(DEFAULT.read_bytes() + b"\nmoney: {base: USD}\n", "money.yaml")
DECIDES = parse_schema(DEFAULT.read_bytes() + b"\nmoney: {base: USD, unknown: decide}\n", "decides.yaml")


@pytest.mark.parametrize(
    ("schema", "lines", "sent"),
    [
        (MONEY, "", []),
        (MONEY, "CHF,USD,1.1,\n", [0]),
        (MONEY, "CHF,USD,1.1,2100-01-01T00:00:00Z\n", []),
        (MONEY, "CHF,USD,1.1,\nVND,USD,0.00004,\n", [0, 1]),
        (DECIDES, "", [0, 1]),
    ],
)
def test_what_had_no_rate_is_sent_when_it_has_one_and_kept_else(
    tmp_path: Path, schema: Schema, lines: str, sent: list[int]
) -> None:
    currencies = ("CHF", "VND")
    records = [json.loads(raw(i)) | {"currency": currency} for i, currency in enumerate(currencies)]
    letters = [letter(i, json.dumps(one).encode(), "unknown_currency") for i, one in enumerate(records)]
    columns = [field for field in SPOOLED if field.name in TABLES["dead_letters"][1]]
    write_deltalake(f"{tmp_path}/delta/dead_letters", pa.Table.from_pylist(letters, pa.schema(columns)))
    file = tmp_path / "rates.csv"
    file.write_text(f"currency,base,rate,since\n{lines}")
    rates = read_rates(file, "USD")
    found = resend(f"{tmp_path}/delta", AWAY, Choice(), is_dry_run=True, schema=schema, rates=rates)
    kept = [currency for i, currency in enumerate(currencies) if i not in sent]
    assert (found.sent.total(), found.still_bad.total()) == (len(sent), len(kept))
    assert (f"no rate of {kept[0]} to USD" in found.why["unknown_currency"]) if kept else not found.why
    forced = Choice(even_bad=True)
    found = resend(f"{tmp_path}/delta", AWAY, forced, is_dry_run=True, schema=schema, rates=rates)
    assert found.sent == {"unknown_currency": 2}


def test_the_command_takes_the_rates_of_the_file_and_says_what_it_keeps(tmp_path: Path) -> None:
    records = [json.loads(raw(i)) | {"currency": currency} for i, currency in enumerate(("CHF", "VND"))]
    letters = [letter(i, json.dumps(one).encode(), "unknown_currency") for i, one in enumerate(records)]
    columns = [field for field in SPOOLED if field.name in TABLES["dead_letters"][1]]
    write_deltalake(f"{tmp_path}/delta/dead_letters", pa.Table.from_pylist(letters, pa.schema(columns)))
    (tmp_path / "rates.csv").write_text("currency,base,rate,since\nCHF,USD,1.1,\n")
    (tmp_path / "money.yaml").write_bytes(MONEY.source[0])
    done = subprocess.run(
        [
            *(sys.executable, "-m", "fraud", "replay", "dead-letters", "--dry-run"),
            *("--delta", f"{tmp_path}/delta", "--bootstrap", AWAY["bootstrap.servers"]),
        ],
        env={
            **os.environ,
            "FRAUD_SCHEMA_FILE": str(tmp_path / "money.yaml"),
            "FRAUD_RATES_FILE": str(tmp_path / "rates.csv"),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"unknown_currency\W+1\W+0\W+1\W", done.stdout)
    assert "still refused, unknown_currency: the first one, because" in done.stdout
    assert "no rate of VND to USD" in done.stdout
