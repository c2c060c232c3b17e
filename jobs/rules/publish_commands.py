"""The families ``fraud publish`` and ``fraud audit``; FRAUD_RULES_* says which file, and who acts."""

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fraud.rules.audit import Entry
    from fraud.rules.publishing import Publishing

__all__ = ["audit", "publish"]

publish = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
audit = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
Number = Annotated[int, typer.Argument(help="Number of the proposal.")]
Note = Annotated[str, typer.Option(help="Kept in the audit.")]


@publish.callback()
def _publish() -> None:
    """Publish rules by two people: propose, approve, reject, undo."""


@audit.callback()
def _audit() -> None:
    """Check who published which rules."""


@publish.command()
def propose(
    file: Path,
    note: Note = "",
    days: Annotated[int, typer.Option(min=0, help="Days of history for the backtest; 0: no backtest.")] = 30,
) -> None:
    """Propose a rules file; shows its changes and a backtest of them."""
    from fraud.errors import BadInput  # noqa: PLC0415
    from jobs.rules.show import tried_lines  # noqa: PLC0415

    publishing = _open()
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from error
    tried = tried_lines(content, file.name, days) if days else ""
    entry = publishing.propose(content, file.name, note, tried)
    typer.echo(publishing.diff(entry))
    typer.echo(tried)
    typer.echo(f"proposal {entry.number}: version {entry.version}; another person approves it")


@publish.command()
def proposals() -> None:
    """Show the proposals that another person must approve, and what each changes."""
    from fraud.rules.publishing import open_proposals  # noqa: PLC0415

    publishing = _open()
    for entry in open_proposals(publishing.audit.entries()):
        typer.echo(_line(entry))
        typer.echo(publishing.diff(entry))
        typer.echo(entry.tried)


@publish.command()
def approve(
    number: Number,
    note: Note = "",
    from_: Annotated[
        str, typer.Option("--from", help="Time from which the rules are in force; default: at once.")
    ] = "",
) -> None:
    """Approve a proposal of another person: its rules are in force at once, or from a time on."""
    from jobs.rules.show import read_moment  # noqa: PLC0415

    entry = _open().approve(number, note, read_moment("--from", from_))
    typer.echo(_line(entry))
    if entry.starts:
        typer.echo(
            "the console writes the rules into the file at that time; without a console, run "
            "`fraud publish restore` then"
        )


@publish.command()
def reject(number: Number, note: Note = "") -> None:
    """Close a proposal."""
    typer.echo(_line(_open().reject(number, note)))


@publish.command()
def undo(note: Note = "") -> None:
    """Go back to the rules that were in force before the last approval."""
    typer.echo(_line(_open().undo(note)))


@publish.command()
def restore() -> None:
    """Write the published rules into the file again, if it holds others."""
    typer.echo(f"the file holds version {_open().restore()} again")


@audit.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The rules that the programs follow.")],
    records: Annotated[Path | None, typer.Option(help="Audit file; default: FILE.audit.jsonl.")] = None,
    *,
    decisions: Annotated[
        bool, typer.Option("--decisions", help="Look also for decisions by rules that were never published.")
    ] = False,
    since: Annotated[
        str, typer.Option("--from", help="Look at decisions from this time on; default: the first record.")
    ] = "",
    copies: Annotated[
        bool, typer.Option("--copies", help="Compare the file with the topic and the table `audit` too.")
    ] = False,
) -> None:
    """Check that no record was changed, and that the rules are those that were published."""
    from fraud.errors import BadState  # noqa: PLC0415
    from fraud.rules.audit import Audit  # noqa: PLC0415
    from fraud.rules.publishing import audit_of, in_force, verify  # noqa: PLC0415

    kept = Audit(records or audit_of(file))
    entries = verify(kept, file)
    published = in_force(entries)
    if not published:
        raise BadState(
            f"{file} was never published: {kept.file} has no approved proposal; "
            "propose the rules by `fraud publish propose` and have them approved"
        )
    typer.echo(f"{len(entries)} records, all unchanged; published: {published[-1].version}")
    if copies:
        _check_copies(entries)
    if decisions:
        _check_decisions(entries, since)
    typer.echo(f"last hash: {entries[-1].hash}")


@audit.command(name="copy")
def copy_(
    file: Annotated[Path, typer.Argument(help="The rules that the programs follow.")],
    records: Annotated[Path | None, typer.Option(help="Default: FILE.audit.jsonl.")] = None,
) -> None:
    """Write the records that the topic and the table `audit` lack."""
    from fraud.rules.audit import Audit  # noqa: PLC0415
    from fraud.rules.audit_copies import bring  # noqa: PLC0415
    from fraud.rules.publishing import audit_of  # noqa: PLC0415
    from jobs.rules.settings import copies_of_audit  # noqa: PLC0415

    with Audit(records or audit_of(file)).writing() as writer:
        given = bring(copies_of_audit(), writer.entries)
    typer.echo(f"{given} records copied")


@audit.command()
def show(
    file: Annotated[Path, typer.Argument(help="The rules that the programs follow.")],
    records: Annotated[Path | None, typer.Option(help="Audit file; default: FILE.audit.jsonl.")] = None,
) -> None:
    """Show who proposed, approved, rejected or undid what, and when."""
    from fraud.rules.audit import Audit  # noqa: PLC0415
    from fraud.rules.publishing import audit_of  # noqa: PLC0415

    for entry in Audit(records or audit_of(file)).entries():
        typer.echo(_line(entry))


def _check_copies(entries: "list[Entry]") -> None:
    from fraud.errors import BadState  # noqa: PLC0415
    from fraud.rules.audit_copies import differences  # noqa: PLC0415
    from jobs.rules.settings import copies_of_audit  # noqa: PLC0415

    found = [one for copy in copies_of_audit() for one in differences(copy.name, copy.records(), entries)]
    if found:
        raise BadState("\n".join(one.words for one in found))
    typer.echo("the topic and the table `audit` have the same records")


def _check_decisions(entries: "list[Entry]", since: str) -> None:
    from fraud.errors import BadState  # noqa: PLC0415
    from fraud.rules.history import Range  # noqa: PLC0415
    from fraud.rules.versions import unpublished  # noqa: PLC0415
    from fraud.settings.stream import LakeSettings  # noqa: PLC0415
    from jobs.rules.show import read_moment  # noqa: PLC0415

    stream = LakeSettings()
    first = read_moment("--from", since) or (entries[0].at if entries else None)
    found = unpublished(entries, stream.delta_path, stream.delta_options, when=Range(first))
    if found:
        words = ", ".join(f"{version} ({count:,})" for version, count in found.most_common(5))
        raise BadState(f"rules have decided that were never published: {words}")
    typer.echo("all decisions are by published rules")


def _open() -> "Publishing":
    from jobs.rules.settings import PublishSettings  # noqa: PLC0415

    return PublishSettings().open()


def _line(entry: "Entry") -> str:
    of = "" if entry.proposal == entry.number else f" {entry.proposal}"
    note = f": {entry.note}" if entry.note else ""
    starts = f", in force from {entry.starts.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if entry.starts else ""
    return (
        f"{entry.number}  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.by} {entry.action}{of}  {entry.version}"
        f"{starts}{note}"
    )
