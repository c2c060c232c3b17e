"""Tables are priced by the rates that stream and scoring service use: those of the file and of the topic."""

import json
import logging
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraud.contracts.topics import RATES
from fraud.errors import BadInput
from fraud.money import NO_RATES, Rate, write_rates
from fraud.money.rates import ALWAYS
from fraud.schema.arrow import TIME
from fraud.schema.reading import read_schema
from fraud.tables import open_source
from fraud.tables.rates import deployed_rates, rates_for
from tests.fraud.kafka.broker import Broker

SCHEMA = read_schema(Path(__file__).parents[1] / "money" / "payments.yaml")
START = datetime(2026, 3, 1, tzinfo=UTC)
KEYS = {"user_id": "u1", "merchant_id": "m1"}


@pytest.fixture
def broker():
    found = Broker()
    yield found
    found.stop()


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    """Name a file of rates, and brokers; gives where to write transactions."""

    def use(broker: str, *rates: Rate) -> Path:
        write_rates(tmp_path / "rates.csv", rates)
        monkeypatch.setenv("FRAUD_RATES_FILE", str(tmp_path / "rates.csv"))
        monkeypatch.setenv("FRAUD_STREAM_KAFKA_BOOTSTRAP", broker)
        return tmp_path / "transactions.parquet"

    deployed_rates.cache_clear()
    yield use
    deployed_rates.cache_clear()


def rate(currency: str, value: str, since: datetime = ALWAYS) -> Rate:
    return Rate(currency, "USD", since, Decimal(value))


def table_of(*currencies: str | None) -> pa.Table:
    rows = [
        {"transaction_id": f"t{at}", "event_time": START, **KEYS, "amount": 10.0, "currency": currency}
        for at, currency in enumerate(currencies)
    ]
    table = pa.Table.from_pylist(rows)
    return table.set_column(1, "event_time", table["event_time"].cast(TIME))


def test_a_rate_of_the_topic_counts_for_a_table_as_it_does_for_the_stream(broker, at_home) -> None:
    file = at_home(broker.address, rate("EUR", "1.1"), rate("KWD", "3.25"))
    for one in (
        rate("EUR", "1.25"),
        rate("JPY", "0.007"),
        rate("EUR", "9", datetime(2026, 4, 1, tzinfo=UTC)),
    ):
        broker.send(RATES, json.dumps(one.row).encode(), key=one.key.encode())
    pq.write_table(table_of("EUR", "KWD", "JPY", None, "USD"), file)
    found = open_source("transactions", file, schema=SCHEMA).table()
    assert found["base_minor"].to_pylist() == [1_250, 3_250, 7, 1_000, 1_000]
    assert found["currency_rate"].to_pylist()[:3] == ["1.25", "3.25", "0.007"]


def test_without_brokers_the_file_counts_and_words_say_whose_rates_are_not_known(at_home, caplog) -> None:
    file = at_home("127.0.0.1:9", rate("EUR", "1.1"))
    pq.write_table(table_of("EUR"), file)
    with caplog.at_level(logging.WARNING):
        found = open_source("transactions", file, schema=SCHEMA).table()
    assert found["base_minor"].to_pylist() == [1_100]
    assert "the Kafka brokers at 127.0.0.1:9 do not answer" in caplog.text
    assert "no new rates come from the topic `rates`" in caplog.text
    pq.write_table(table_of("EUR", "JPY"), file)
    with pytest.raises(BadInput, match=r"no rate of JPY to USD is effective at 2026-03-01.*fraud rates"):
        open_source("transactions", file, schema=SCHEMA).table()


def test_who_needs_no_rates_asks_no_broker(at_home) -> None:
    """Of the base alone, or with the converted amounts: a file that cannot be read does not matter."""
    at_home("127.0.0.1:9").with_name("rates.csv").write_text("nonsense")
    assert rates_for(table_of("USD", None), SCHEMA) is NO_RATES
    known = {"amount_minor": [1_000], "base_minor": [1_100]}
    log = table_of("EUR")
    for name, values in known.items():
        log = log.append_column(name, pa.array(values))
    assert rates_for(log, SCHEMA) is NO_RATES
