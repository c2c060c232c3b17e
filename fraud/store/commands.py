"""The commands ``fraud store inspect``, ``stats``, ``check`` and ``expire``."""

import json
import math
import time
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console

from fraud.contracts import bounds_of
from fraud.errors import BadConfig, BadInput
from fraud.features.passes import EntityPass, deployed_passes, entity_names
from fraud.schema.deployed import deployed_schema
from fraud.settings.names import suggest
from fraud.settings.stream import GuardSettings, StoreSettings
from fraud.store import report
from fraud.store.base import FeatureStore
from fraud.store.check import check
from fraud.store.open import open_store
from fraud.store.retention import EXACT_AFTER_DAYS, expire_before_us
from fraud.store.watermark import REBUILD

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Look into the feature store, check it, and forget idle entities.",
)

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        help="lmdb:///folder, redis://... or redis+sentinel://..., of several primaries each, separated by "
        "spaces; default FRAUD_STREAM_STORE_URL, then the streaming job's own (FRAUD_STREAM_HOME, then "
        ".fraud/stream).",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("inspect")
def inspect(
    key: Annotated[str, typer.Option(help="Key of the entity as transactions have it, e.g. a user_id.")],
    entity: Annotated[str, typer.Option(help="user, merchant, ...; the first is the default.")] = "",
    store: StoreOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show the stored state of one user, merchant or other entity."""
    of = _pass_of(entity)
    with _open(store) as opened:
        found = report.inspect(opened, of, key)
    if as_json:
        typer.echo(json.dumps(report.as_json(found), indent=2))
        return
    console = Console(highlight=False)
    for table in report.inspected_tables(found):
        console.print(table)


@app.command("stats")
def stats(store: StoreOption = "", as_json: JsonOption = False) -> None:
    """Show the number of entities, their size, and the age of their newest events."""
    with _open(store) as opened:
        found = report.measure(opened)
    if as_json:
        typer.echo(json.dumps(report.as_json(found), indent=2))
    else:
        Console(highlight=False).print(report.stats_table(found))


@app.command("expire")
def expire(
    older_than_days: Annotated[
        float, typer.Option(min=1.0, help="Days without an event, by event time.")
    ] = EXACT_AFTER_DAYS,
    store: StoreOption = "",
    inexact: Annotated[
        bool, typer.Option("--inexact", help=f"Allow fewer than {EXACT_AFTER_DAYS:.0f} days.")
    ] = False,
) -> None:
    """Delete idle entities; the streaming job may keep running."""
    if older_than_days < EXACT_AFTER_DAYS and not inexact:
        raise BadInput(
            f"an entity that comes back within {EXACT_AFTER_DAYS:.0f} days would get other features than a "
            "recomputation gives it; choose more days, or accept that with --inexact"
        )
    with _open(store) as opened:
        newest_us = report.newest_event_us(opened)
        if not math.isfinite(newest_us):
            typer.echo("the store is empty")
            return
        before_us = expire_before_us(newest_us, time.time() * 1e6, older_than_days)
        counts = {entity: opened.expire(entity, before_us) for entity in opened.entities}
        opened.flush()
    typer.echo("deleted " + " and ".join(f"{count:,} {entity}s" for entity, count in counts.items()))


@app.command("check")
def check_(store: StoreOption = "", as_json: JsonOption = False) -> None:
    """Read every state; exit with 1 if some are corrupt, have another layout or are dated in the future."""
    bounds = bounds_of(deployed_schema(), GuardSettings().most_ahead_s)
    with _open(store) as opened:
        found = check(opened, (time.time() + bounds.greatest_s) * 1e6)
    if as_json:
        typer.echo(json.dumps(report.checked_json(found), indent=2))
    else:
        Console(highlight=False).print(report.checked_table(found))
        for entity, fault, key, detail in found.named:
            typer.echo(f"{entity} {key} (hash): {fault}: {detail}")
    if not found.is_good:
        typer.echo(f"the store must be rebuilt: stop the stream, then {REBUILD}", err=True)
        if found.has_future:
            typer.echo("add --without-future: the log holds what damaged the states, too", err=True)
        raise typer.Exit(1)


def _pass_of(entity: str) -> EntityPass:
    """Find an entity by its name; the primary by default."""
    passes = deployed_passes()
    for one in passes:
        if one.name == (entity or passes[0].name):
            return one
    raise BadInput(f"--entity {entity}: there is no such entity; {suggest(entity, entity_names(passes))}")


def _open(url: str) -> FeatureStore:
    """Open a store that is there already; LMDB would make an empty one of any name."""
    url = url or StoreSettings().store
    parts = urlsplit(url)
    if parts.scheme == "lmdb" and not (Path(parts.path) / "data.mdb").exists():
        raise BadConfig(
            f"there is no feature store in {parts.path}; name one with --store, or start the stream"
        )
    return open_store(url)
