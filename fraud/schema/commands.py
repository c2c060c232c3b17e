"""The commands ``fraud schema check``, ``show``, ``diff`` and ``json``."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fraud.schema.diff import compare, named_by, next_steps
from fraud.schema.kinds import COUNTED_KINDS
from fraud.schema.notes import notes_on
from fraud.schema.reading import DEFAULT, read_schema
from fraud.schema.reading.document import json_schema
from fraud.schema.schema import Schema

__all__ = ["app", "check", "diff", "json_", "show"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
File = Annotated[Path, typer.Argument(help="A schema's file (YAML).")]
OwnFile = Annotated[Path | None, typer.Argument(help="A schema's file; default: the packaged one.")]


@app.callback()
def _family() -> None:
    """Check, show and compare schemas: a deployment's fields, entities and features."""


@app.command()
def check(file: File) -> None:
    """Check a schema; an error names line and column, and what to write instead."""
    schema = read_schema(file)
    typer.echo(
        f"{file}: {len(schema.fields)} fields, {len(schema.entities)} entities, "
        f"{len(schema.features)} features, version {schema.version}"
    )
    for note in notes_on(schema):
        typer.echo(note)


@app.command()
def show(
    file: OwnFile = None,
    *,
    as_file: Annotated[
        bool, typer.Option("--file", help="The file itself, to begin an own one with.")
    ] = False,
) -> None:
    """Show a schema's fields, entities and features."""
    if as_file:
        typer.echo((file or DEFAULT).read_text(), nl=False)
        return
    schema = read_schema(file)
    console = Console()
    console.print(f"{schema.name}: version {schema.version}, features {schema.features_version}")
    console.print(_fields(schema))
    console.print(_entities(schema))
    if schema.filters:
        console.print(_filters(schema))
    if schema.profiles:
        console.print(_profiles(schema))
    if schema.money:
        money = schema.money
        console.print(
            f"money: in {money.base}, at most {money.most:,}; a currency without a rate: {money.unknown}"
        )


@app.command()
def diff(old: File, new: File) -> None:
    """Say what a change of the schema means for a deployment that runs."""
    changes = compare(read_schema(old), read_schema(new))
    if not changes:
        typer.echo("no difference: nothing to do")
        return
    table = Table("change", "what must follow")
    table.columns[0].overflow = "fold"  # names of features stay whole
    for change in changes:
        table.add_row(change.what, change.words)
    Console().print(table)
    typer.echo("What to run next:")
    for words in next_steps(changes, str(new)):
        typer.echo(f"- {words}")


@app.command("json")
def json_(
    out: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None,
) -> None:
    """Write the JSON Schema of the file, with which editors complete and check it."""
    text = json.dumps(json_schema(), indent=2) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text)


def _fields(schema: Schema) -> Table:
    table = Table(
        "field", "type", "required", "personal", "description", title="fields", title_justify="left"
    )
    for field in schema.fields:
        marks = ["yes" if mark else "" for mark in (field.required, field.personal)]
        table.add_row(", ".join(field.names), field.type, *marks, field.description)
    return table


def _entities(schema: Schema) -> Table:
    table = Table("entity", "key", "features", "latest events kept", title="entities", title_justify="left")
    for entity, keys in zip(schema.entities, schema.keys, strict=True):
        name = f"{entity.name} (primary)" if entity.deduplicates else entity.name
        features = str(len(schema.features_of(entity)))
        name += "" if entity.kinds == COUNTED_KINDS else f" (of {', '.join(entity.kinds)})"
        table.add_row(name, named_by(entity, keys), features, f"{entity.events:,}")
    return table


def _filters(schema: Schema) -> Table:
    table = Table("filter", "holds where", title="filters", title_justify="left")
    for one in (one for one in schema.filters if one.is_declared):
        table.add_row(one.name, one.text)
    return table


def _profiles(schema: Schema) -> Table:
    columns = ("entity", "profile's field", "type", "personal", "description")
    table = Table(*columns, title="profiles", title_justify="left")
    for entity, fields in schema.profiles:
        for field in fields:
            personal = "yes" if field.personal else ""
            table.add_row(entity, ", ".join(field.names), field.type, personal, field.description)
    return table
