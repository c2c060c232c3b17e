"""The command ``fraud init``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraud.settings.options import ColumnOption, ReadOption

__all__ = ["data", "init"]

if TYPE_CHECKING:
    from rich.table import Table

    from jobs.init.guess import Guess, Question
    from jobs.init.run import Checked


def init(
    files: Annotated[
        list[str],
        typer.Argument(
            help="The transactions: CSV, TSV, JSON lines, Parquet (also .gz, .zip), folder, Delta table, or "
            "DATABASE-URL#TABLE. Further tables are joined to it."
        ),
    ],
    *,
    join: Annotated[
        list[str] | None,
        typer.Option(
            help="TABLE=COLUMN, or TABLE=OURS:THEIRS: by what a further table is joined; repeatable."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Schema file to write; default: schema.yaml of the platform's home.")
    ] = None,
    column: ColumnOption = None,
    read: ReadOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a schema file that is there.")
    ] = False,
    ask: Annotated[
        bool | None, typer.Option("--ask/--no-ask", help="Ask what is unclear; default: on a terminal.")
    ] = None,
) -> None:
    """Find out what a table's columns are, and write a schema for it."""
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)

    from fraud.errors import BadInput  # noqa: PLC0415
    from fraud.schema.deployed import FILE, VARIABLE, has_run  # noqa: PLC0415
    from fraud.settings.home import platform_home  # noqa: PLC0415
    from fraud.tables import parse_columns, parse_joins, parse_reading  # noqa: PLC0415
    from jobs.init.currencies import currency_words  # noqa: PLC0415
    from jobs.init.joins import find_joins  # noqa: PLC0415
    from jobs.init.report import write_report  # noqa: PLC0415
    from jobs.init.run import check_whole, guess_all, refuse  # noqa: PLC0415
    from jobs.init.sample import read_sample  # noqa: PLC0415

    console = Console()
    target = out or platform_home() / FILE
    if target.exists() and not overwrite:
        raise BadInput(f"{target} exists; replace it with --overwrite, or write another file with --out")
    if out is None and has_run(platform_home()):
        raise BadInput(
            f"a platform has run in {platform_home()}: write the schema with --out FILE; "
            "`fraud schema use FILE` then says what must follow"
        )
    given, said = parse_columns(column) or {}, list(read or [])
    is_asking = sys.stdin.isatty() if ask is None else ask
    file, *others = files
    joins, joined = find_joins(file, others, parse_joins(join))
    while True:
        with console.status(f"reading {file}"):
            found = read_sample(file, parse_reading(said), joins)
            guess = guess_all(found, given)
        if not guess.questions:
            break
        console.print(_table(guess))
        if not is_asking:
            raise refuse(guess.questions, file)
        _answer(guess.questions[0], given, said)
    with console.status(f"checking all of {file}"):
        checked = check_whole(guess, console.log)
    console.print(_table(guess))
    for note in (*joined, *found.notes, *currency_words(checked.table, checked.schema)):
        console.print(note, highlight=False)
    console.print(_summary(checked), highlight=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(checked.text, encoding="utf-8")
    counts = f"{len(checked.schema.features)} features of {len(checked.schema.entities)} entities"
    console.print(f"{target}: {counts}")
    report = target.with_suffix(".html")
    with console.status(f"writing {report}"):
        write_report(checked.table, checked.schema, report, file, guess.left_out)
    console.print(f"{report}: times, gaps, repeats, labels, columns, leaks, drift")
    where = f"{VARIABLE}={target} " if out else ""
    console.print(
        "next: fraud up broker mlflow     (the model registry, if it does not run yet)", highlight=False
    )
    console.print(f"      {where}fraud train --transactions {file}", highlight=False)


def data(
    transactions: Annotated[
        str, typer.Option(help="Table of transactions: CSV, JSON lines, Parquet or Delta.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("data.html"),
    column: ColumnOption = None,
    read: ReadOption = None,
) -> None:
    """Report on a table before any model: times, gaps, repeats, labels, columns, leaks, drift, entities."""
    from rich.console import Console  # noqa: PLC0415

    from fraud.schema.deployed import deployed_schema  # noqa: PLC0415
    from fraud.tables import check_mapping, open_source, parse_columns, parse_reading  # noqa: PLC0415
    from jobs.init.report import write_report  # noqa: PLC0415
    from jobs.init.run import WITHIN  # noqa: PLC0415

    console = Console()
    columns = parse_columns(column) or {}
    with console.status(f"reading {transactions}"):
        reading = parse_reading(read)
        source = open_source(
            "transactions", transactions, columns=columns, reading=reading, also=WITHIN, tell=console.log
        )
        check_mapping(columns, [source])
        table = source.table(console.log)
    with console.status(f"writing {out}"):
        said = write_report(table, deployed_schema(), out, transactions)
    for words in said:
        console.print(f"- {words}", highlight=False)
    console.print(f"report: {out}")


def _answer(question: "Question", given: dict[str, str], said: list[str]) -> None:
    """Ask one question, and take the answer as the flags that it stands for."""
    from fraud.tables import parse_columns  # noqa: PLC0415

    typer.echo(f"{question.our}: {question.words}")
    for at, (flags, meaning) in enumerate(question.choices, 1):
        typer.echo(f"  {at}  {meaning}    {flags}")
    text = typer.prompt("number, or a column or expression of your own").strip()
    is_number = text.isdigit() and 1 <= int(text) <= len(question.choices)
    pairs = (
        _pairs(question.choices[int(text) - 1][0]) if is_number else [("--column", f"{question.our}={text}")]
    )
    for option, pair in pairs:
        if option == "--column":
            given |= parse_columns([pair]) or {}
        else:
            said.append(pair)


def _pairs(flags: str) -> list[tuple[str, str]]:
    import shlex  # noqa: PLC0415

    words = shlex.split(flags)
    return list(zip(words[::2], words[1::2], strict=True))


def _table(guess: "Guess") -> "Table":
    from rich.table import Table  # noqa: PLC0415

    table = Table("field", "made from", "why", title=f"{guess.look.path}: {guess.look.rows:,} rows")
    for one in guess.found.values():
        table.add_row(one.our, one.text, one.why)
    for question in guess.questions:
        table.add_row(question.our, "?", question.words, style="yellow")
    for name, why in guess.left_out.items():
        table.add_row("", name, f"left out: {why}", style="dim")
    return table


def _summary(checked: "Checked") -> str:
    first, last = checked.period
    rows = checked.table.num_rows
    unlabelled = rows - checked.frauds - checked.honest
    labels = f"{checked.frauds:,} frauds, {checked.honest:,} honest, {unlabelled:,} unlabelled"
    return f"{rows:,} transactions from {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC: {labels}"
