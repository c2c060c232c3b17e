"""The commands ``fraud rates check``, ``show`` and ``publish``."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from fraud.contracts.topics import RATES
from fraud.errors import BadConfig, Unavailable
from fraud.kafka.producer import Producer, ProducerSettings
from fraud.kafka.rates import rates_now
from fraud.money import Money, Rates, read_rates
from fraud.schema.deployed import deployed_schema, rates_file
from fraud.settings.stream import KafkaSettings

__all__ = ["app", "check", "publish", "show"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
File = Annotated[Path, typer.Argument(help="Rates as CSV: currency,base,rate,since.")]
Brokers = Annotated[
    str | None, typer.Option("--bootstrap", help="Kafka brokers, host:port,...; default: of the settings.")
]
DELIVERY_S: Final = 30.0


@app.callback()
def _family() -> None:
    """Check reference rates of currencies, show those that hold, send them to the topic."""


@app.command()
def check(file: File) -> None:
    """Check a rates file; an error names the line."""
    rates = read_rates(file, _money().base)
    typer.echo(f"{file}: {len(rates):,} rates of {len({one.currency for one in rates})} currencies")


@app.command()
def show(bootstrap: Brokers = None) -> None:
    """Show the rates that are effective now, of the deployment's file and its topic."""
    kafka = _kafka(bootstrap)
    rates = rates_now(_money().base, rates_file(), kafka.kafka_bootstrap, kafka.kafka_options)
    Console().print(_table(rates))


@app.command()
def publish(file: File, bootstrap: Brokers = None) -> None:
    """Send a rates file to the topic that stream and scoring service read."""
    rates, kafka = read_rates(file, _money().base), _kafka(bootstrap)
    producer = Producer(
        ProducerSettings(
            bootstrap=kafka.kafka_bootstrap, options=kafka.kafka_options, delivery_timeout_s=DELIVERY_S
        )
    )
    try:
        producer.deliver_all((RATES, one.key, json.dumps(one.row).encode()) for one in rates)
    except Unavailable as error:
        raise Unavailable(
            f"Kafka at {kafka.kafka_bootstrap} (`--bootstrap` names another): {error}; send the file again: "
            "rates that arrived are replaced"
        ) from error
    typer.echo(f"{len(rates):,} rates are on the topic {RATES} at {kafka.kafka_bootstrap}")


def _kafka(bootstrap: str | None) -> KafkaSettings:
    kafka = KafkaSettings()
    return kafka.model_copy(update={"kafka_bootstrap": bootstrap or kafka.kafka_bootstrap})


def _money() -> Money:
    money = deployed_schema().money
    if money is None:
        raise BadConfig("the schema has no money, so no rates; write `money: {base: USD}` into its file")
    return money


def _table(rates: Rates) -> Table:
    table, now = Table("currency", "base", "rate", "since"), datetime.now(UTC)
    for currency in sorted({one.currency for one in rates}):
        found = rates.at(currency, now)
        if found is not None:
            table.add_row(*found.row.values())
    return table
