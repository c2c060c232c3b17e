"""The commands ``fraud profiles check`` and ``load``."""

from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
import typer

from fraud.contracts import PROFILES, Profile
from fraud.errors import Unavailable
from fraud.kafka.producer import Producer, ProducerSettings
from fraud.schema.arrow import OWN
from fraud.schema.deployed import deployed_schema
from fraud.settings.stream import KafkaSettings
from jobs.profiles.table import read_profiles, table_of

__all__ = ["app", "check", "load"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
File = Annotated[
    Path,
    typer.Argument(help="Table: the entity's key, the fields of its profile, and profile_time where known."),
]
Entity = Annotated[
    str, typer.Option(help="Entity of the profiles; default: the table has columns entity and profile.")
]
DELIVERY_S = 60.0


@app.callback()
def _family() -> None:
    """Check a table of entities' profiles, send it to the topic."""


@app.command()
def check(file: File, *, entity: Entity = "") -> None:
    """Check a table of profiles; an error names the row."""
    found = read_profiles(file, entity, deployed_schema())
    typer.echo(f"{file}: {_counted(found)}")


@app.command()
def load(
    file: File,
    *,
    entity: Entity = "",
    source: Annotated[str, typer.Option(help="Kept with each profile, e.g. core-banking.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Write a table for training (profiles.parquet) in place of sending.")
    ] = None,
) -> None:
    """Send a table of profiles to the topic that the stream reads; a table with an error is not sent."""
    schema, kafka = deployed_schema(), KafkaSettings()
    found = read_profiles(file, entity, schema, source=source)
    if out is not None:
        pq.write_table(table_of(found, schema).replace_schema_metadata(OWN), out)
        typer.echo(f"wrote {_counted(found)} to {out}")
        return
    producer = Producer(
        ProducerSettings(
            bootstrap=kafka.kafka_bootstrap, options=kafka.kafka_options, delivery_timeout_s=DELIVERY_S
        )
    )
    try:
        producer.deliver_all(
            (PROFILES, one.record_key, one.model_dump_json(exclude_none=True).encode()) for one in found
        )
    except Unavailable as error:
        raise Unavailable(
            f"{error}; send the table again: a profile that is sent twice changes nothing"
        ) from error
    typer.echo(f"{_counted(found)} are on the topic {PROFILES} at {kafka.kafka_bootstrap}")


def _counted(found: list[Profile]) -> str:
    by_entity: dict[str, int] = {}
    for one in found:
        by_entity[one.entity] = by_entity.get(one.entity, 0) + 1
    return ", ".join(f"{n:,} profiles of {name}s" for name, n in by_entity.items()) or "no profiles"
