"""The family ``fraud lists``; where Kafka is, FRAUD_STREAM_KAFKA_* says."""

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraud.decide.lists import ListKind

if TYPE_CHECKING:
    from fraud.decide.list_changes import ListResult

__all__ = ["add", "app", "create", "export", "import_", "log", "remove", "show"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
Name = Annotated[str, typer.Argument(help="Name of the list, as rules use it.")]
Why = Annotated[str, typer.Option(help="Kept with the change.")]
By = Annotated[str, typer.Option(help="Who changes it; default: the user of this machine.")]
Until = Annotated[str, typer.Option(help="When it ends, e.g. 2026-12-31T00:00:00+00:00; default: never.")]


@app.callback()
def _family() -> None:
    """Change the lists that rules read; every path sees a change within 2 s."""


@app.command()
def create(
    name: Name,
    kind: Annotated[ListKind, typer.Option(help="What its values are.")] = ListKind.TEXT,
    *,
    hashed: Annotated[bool, typer.Option("--hashed", help="Keep values as hashes: personal data.")] = False,
    why: Why = "",
    by: By = "",
) -> None:
    """Create a list."""
    from fraud.decide.list_changes import ChangeAuthor, create  # noqa: PLC0415
    from fraud.settings.stream import KafkaSettings  # noqa: PLC0415

    create(KafkaSettings(), name, kind, ChangeAuthor(by or getpass.getuser(), why), is_hashed=hashed)
    typer.echo(f"created {name}; rules name it by `lists: {{{name}: live}}`")


@app.command()
def add(name: Name, values: list[str], *, why: Why = "", until: Until = "", by: By = "") -> None:
    """Add entries; one that is there already has a new reason and end."""
    from fraud.decide.list_changes import ChangeAuthor, change  # noqa: PLC0415
    from fraud.runtime.times import read_time  # noqa: PLC0415
    from fraud.settings.stream import KafkaSettings  # noqa: PLC0415

    end = read_time(until) if until else None
    who = ChangeAuthor(by or getpass.getuser(), why)
    done = change(KafkaSettings(), name, "add", [(value, end, why) for value in values], who)
    typer.echo(_words(name, done))


@app.command()
def remove(name: Name, values: list[str], *, why: Why = "", by: By = "") -> None:
    """Remove entries."""
    from fraud.decide.list_changes import ChangeAuthor, change  # noqa: PLC0415
    from fraud.settings.stream import KafkaSettings  # noqa: PLC0415

    who = ChangeAuthor(by or getpass.getuser(), why)
    done = change(KafkaSettings(), name, "remove", [(value, None, why) for value in values], who)
    typer.echo(f"{name}: {done.changed:,} removed")


@app.command("import")
def import_(
    name: Name,
    file: Annotated[Path, typer.Argument(help="One value a line, or CSV: value, until, why.")],
    *,
    why: Why = "",
    by: By = "",
) -> None:
    """Add the entries of a file: all of them, or none where one is wrong."""
    from fraud.decide.list_changes import ChangeAuthor, change, read_file  # noqa: PLC0415
    from fraud.settings.stream import KafkaSettings  # noqa: PLC0415

    who = ChangeAuthor(by or getpass.getuser(), why)
    typer.echo(_words(name, change(KafkaSettings(), name, "add", read_file(file), who)))


@app.command()
def export(name: Name, file: Path) -> None:
    """Write a list as CSV; `import` takes it."""
    from fraud.decide.list_changes import definition_of, opened, write_file  # noqa: PLC0415
    from fraud.settings.stream import KafkaSettings  # noqa: PLC0415

    with opened(KafkaSettings()) as store:
        definition_of(store, name)
        typer.echo(f"{write_file(file, store.entries(name)):,} entries")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of one list; default: show the names of all.")] = "",
) -> None:
    """Show the lists, or the entries of one with who, when, why and until."""
    from itertools import islice  # noqa: PLC0415

    from fraud.decide.list_changes import definition_of, opened  # noqa: PLC0415
    from fraud.settings.stream import KafkaSettings  # noqa: PLC0415

    with opened(KafkaSettings()) as store:
        if not name:
            for one, definition in sorted(store.definitions().items()):
                entries = sum(1 for _ in store.entries(one))
                typer.echo(
                    f"{one}: {definition.kind}{', hashed' * bool(definition.salt)}, {entries:,} entries"
                )
            return
        definition_of(store, name)
        for entry in islice(store.entries(name), 1_000):
            until = (
                f"until {datetime.fromtimestamp(entry['until'], UTC):%Y-%m-%d %H:%M}"
                if entry["until"]
                else ""
            )
            added = datetime.fromisoformat(entry["at"]).astimezone(UTC)
            parts = (f"{added:%Y-%m-%d %H:%M:%S}", entry["by"], entry["value"], until, entry["why"])
            typer.echo("  ".join(filter(None, parts)))


@app.command()
def log(
    name: Name,
    value: Annotated[
        str, typer.Option(help="Show the changes of one entry, e.g. device-1; default: of all.")
    ] = "",
) -> None:
    """Show who changed a list, when and why: every change that the topic still has."""
    from fraud.decide.list_changes import changes_of  # noqa: PLC0415
    from fraud.settings.stream import KafkaSettings  # noqa: PLC0415

    for at, event in changes_of(KafkaSettings(), name, value):
        until = f"until {event.until:%Y-%m-%d %H:%M}" if event.until else ""
        parts = (f"{at:%Y-%m-%d %H:%M:%S}", event.by, event.action, event.value, until, event.why)
        typer.echo("  ".join(filter(None, parts)))


def _words(name: str, done: "ListResult") -> str:
    """Say what was added, what that replaced, and what was given more than once."""
    words = f"{name}: {done.changed - done.already:,} added"
    if done.already:
        words += f"; {done.already:,} there already, with the new reason and end"
    return words + (f"; {done.repeated:,} given more than once" if done.repeated else "")
