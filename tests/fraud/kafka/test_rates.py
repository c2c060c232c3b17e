"""Rates of the topic: read from its beginning, followed, taken back; a wrong one is refused."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from fraud.contracts.topics import RATES
from fraud.kafka.rates import RateFeed
from fraud.money import Rate, write_rates
from fraud.money.rates import ALWAYS
from fraud.runtime.waiting import wait_until
from tests.fraud.kafka.broker import Broker

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def broker():
    found = Broker()
    yield found
    found.stop()


def rate(currency: str, value: str, since: datetime = ALWAYS) -> Rate:
    return Rate(currency, "USD", since, Decimal(value))


def send(broker: Broker, *rates: Rate) -> None:
    for one in rates:
        broker.send(RATES, json.dumps(one.row).encode(), key=one.key.encode())


def effective(feed: RateFeed, currency: str) -> str | None:
    found = feed.rates.at(currency, NOW)
    return None if found is None else str(found.rate)


def test_the_topic_adds_to_the_file_and_goes_before_it(broker: Broker, tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    write_rates(file, [rate("EUR", "1.1"), rate("KWD", "3.25")])
    send(broker, rate("EUR", "1.2"), rate("JPY", "0.0066"), rate("EUR", "1.3", NOW), rate("EUR", "1.25"))
    feed = RateFeed("USD", file, broker.address)
    assert effective(feed, "EUR") == "1.1"
    assert feed.look()
    assert [effective(feed, code) for code in ("EUR", "KWD", "JPY", "CHF")] == ["1.3", "3.25", "0.0066", None]
    send(broker, rate("CHF", "1.12"))
    assert wait_until(lambda: feed.look() and effective(feed, "CHF") == "1.12", 10.0)
    broker.send(RATES, b'{"currency": "CHF", "base": "EUR", "rate": "2"}', b"no JSON", key=b"CHF@")
    assert wait_until(lambda: feed.look() or "partition" in feed.refused, 10.0)
    assert effective(feed, "CHF") == "1.12"
    broker.send(RATES, None, key=b"CHF@")  # type: ignore[arg-type]  a tombstone
    assert wait_until(lambda: feed.look() and effective(feed, "CHF") is None, 10.0)
    feed.close()


def test_without_the_topic_or_its_brokers_the_file_counts(broker: Broker, tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    write_rates(file, [rate("EUR", "1.1")])
    for address in (broker.address, "127.0.0.1:9"):
        feed = RateFeed("USD", file, address)
        assert not feed.look()
        assert effective(feed, "EUR") == "1.1"
        write_rates(file, [rate("EUR", "1.15")])
        assert feed.look()
        assert effective(feed, "EUR") == "1.15"
        write_rates(file, [rate("EUR", "1.1")])
