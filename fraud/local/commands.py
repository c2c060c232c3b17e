"""The commands ``fraud up``, ``fraud down`` and ``fraud status``."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fraud.local import platform
from fraud.local.parts import TABLE
from fraud.local.platform import PartStatus, State
from fraud.local.roll import roll as roll_schema
from fraud.local.settings import LocalSettings
from fraud.local.standby import replace
from fraud.settings.base import given

_COLOURS: Final = {
    State.READY: "green",
    State.NOT_READY: "yellow",
    State.CRASHED: "red",
    State.STOPPED: "dim",
}

HomeOption = Annotated[
    Path | None,
    typer.Option(help="Folder of the whole state; default FRAUD_LOCAL_HOME, then .fraud in this folder."),
]


def up(
    parts: Annotated[
        list[str] | None, typer.Argument(help=f"Which of {', '.join(platform.PART_NAMES)}; default all.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Start the embedded platform and leave it running; start only what is missing."""
    console = Console(highlight=False)
    with console.status("looking") as spinner:

        def tell(text: str) -> None:
            console.print(escape(text), soft_wrap=True)
            spinner.update(escape(text))

        found = platform.up(LocalSettings(**given(home=home)), parts or platform.PART_NAMES, tell)
    _show(console, found)
    _fail_if_crashed(found)


def down(home: HomeOption = None) -> None:
    """Stop what `up` started, and nothing else; data and logs stay."""
    console = Console(highlight=False)
    with console.status("looking"):
        platform.down(
            LocalSettings(**given(home=home)), lambda text: console.print(escape(text), soft_wrap=True)
        )
    console.print("everything is stopped")


def status(
    context: typer.Context,
    home: HomeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object for each part.")] = False,
) -> None:
    """Show the parts of the embedded platform; exit code 1 when one has crashed."""
    found = platform.status(LocalSettings(**given(home=home)), context.obj or TABLE)
    if as_json:
        typer.echo(json.dumps([part.model_dump(mode="json") for part in found], indent=2))
    else:
        _show(Console(highlight=False), found)
    _fail_if_crashed(found)


def roll(
    file: Annotated[Path, typer.Argument(help="The new schema's file (YAML).")],
    model: Annotated[
        str, typer.Option(help="Version of a model with the new features, if the change needs one.")
    ] = "",
    home: HomeOption = None,
) -> None:
    """Change the schema of the running platform; it keeps deciding."""
    console = Console(highlight=False)
    found = roll_schema(
        LocalSettings(**given(home=home)),
        file,
        model,
        lambda text: console.print(escape(text), soft_wrap=True),
    )
    if found is None:
        console.print(
            f"nothing differs between {file} and the schema in force: nothing was done", soft_wrap=True
        )
        return
    console.print(
        f"the schema of {file} is in force. States were filled in {found.filled_s:.0f} s beside the stream; "
        f"the stream paused for {found.stream_paused_s:.0f} s, the scoring service for "
        f"{found.scoring_paused_s:.1f} s.",
        soft_wrap=True,
    )


def restart(
    parts: Annotated[list[str], typer.Argument(help="Part to replace: stream, scoring.")],
    home: HomeOption = None,
) -> None:
    """Replace running parts by new processes that are loaded already: each pauses for seconds."""
    console = Console(highlight=False)
    settings = LocalSettings(**given(home=home))
    replace(settings, parts, lambda text: console.print(escape(text), soft_wrap=True))


def _show(console: Console, found: list[PartStatus]) -> None:
    table = Table("part", "state", "pid", "port", "url", "since (UTC)", box=SIMPLE_HEAD, show_edge=False)
    today = datetime.now(UTC).date()
    for part in found:
        since = (
            f"{part.since:{'%H:%M:%S' if part.since.date() == today else '%Y-%m-%d'}}" if part.since else ""
        )
        colour = _COLOURS[part.state]
        state = f"[{colour}]{part.state}[/{colour}]"
        table.add_row(part.name, state, str(part.pid or ""), str(part.port or ""), part.url or "", since)
    console.print(table)
    for part in found:
        if part.detail:
            console.print(f"[red]{part.name}[/red] {escape(part.detail)}", soft_wrap=True)


def _fail_if_crashed(found: list[PartStatus]) -> None:
    if any(part.state is State.CRASHED for part in found):
        raise typer.Exit(1)
