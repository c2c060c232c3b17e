"""The family ``fraud bench``: measurements on this machine."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["app", "decision", "every", "features", "model", "quality", "rules", "score", "stream"]

MOST_RULES = 500
"""That a file of rules has."""
app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def _family() -> None:
    """Measure this machine; every report names its size."""


@app.command()
def features(
    out: Annotated[Path, typer.Option(help="Folder for features.json and features.png.")] = Path("bench"),
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A minute instead of ten.")] = False,
) -> None:
    """Measure feature computation: events per second of one core, compared with plain Python."""
    from fraud.tools.bench.features import FULL, QUICK, measure_features  # noqa: PLC0415
    from fraud.tools.bench.fold_report import tables_of, write_report  # noqa: PLC0415

    console = _console()
    with console.status("starting") as status:
        report = measure_features(QUICK if quick else FULL, status.update)
    for table in tables_of(report):
        console.print(table)
    for file in write_report(report, out):
        console.print(f"wrote {file}", soft_wrap=True)


@app.command()
def model(
    out: Annotated[Path, typer.Option(help="Folder for model.json.")] = Path("bench"),
    *,
    trees: Annotated[int, typer.Option(help="Trees of the model.")] = 589,
    leaves: Annotated[int, typer.Option(help="Most leaves of a tree.")] = 15,
    depth: Annotated[int, typer.Option(help="Most splits on a path; -1: no limit.")] = 5,
) -> None:
    """Measure a model's scores and reasons: our evaluator against LightGBM's own, microseconds a row."""
    from fraud.tools.bench.model import Sizes, measure_model  # noqa: PLC0415
    from fraud.tools.bench.model_report import table_of, write_report  # noqa: PLC0415

    console = _console()
    with console.status("starting") as status:
        figures = measure_model(Sizes(trees=trees, leaves=leaves, depth=depth), status.update)
    console.print(table_of(figures))
    console.print(f"wrote {write_report(figures, out)}", soft_wrap=True)


@app.command()
def rules(
    out: Annotated[Path, typer.Option(help="Folder for rules.json.")] = Path("bench"),
    *,
    transactions: Annotated[
        int, typer.Option(help="Transactions of the backtest; 0: no backtest.")
    ] = 1_000_000,
) -> None:
    """Measure rules: over columns, for one transaction, with a live list, and a backtest of 50."""
    from fraud.tools.bench.rules import Sizes, measure_rules  # noqa: PLC0415
    from fraud.tools.bench.rules_report import lines_of, table_of, write_report  # noqa: PLC0415

    console = _console()
    with console.status("starting") as status:
        figures = measure_rules(Sizes(transactions=transactions), status.update)
    console.print(table_of(figures))
    for line in lines_of(figures):
        console.print(line)
    console.print(f"wrote {write_report(figures, out)}", soft_wrap=True)


@app.command()
def stream(
    out: Annotated[Path, typer.Option(help="Folder for stream.json and stream.png.")] = Path("bench"),
    home: Annotated[Path, typer.Option(help="Folder of the platform that is measured; emptied.")] = Path(
        ".fraud-bench"
    ),
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Three minutes instead of twelve.")] = False,
    rules: Annotated[
        str,
        typer.Option("--rules", help="Numbers of rules, e.g. 0,20,100: what they cost, and nothing else."),
    ] = "",
    labels: Annotated[
        float, typer.Option("--labels", min=0.0, help="Labels a second, sent with each rate.")
    ] = 0.0,
    users: Annotated[
        int | None, typer.Option("--users", help="Measure one part: 10000, 100000 or 1000000 cardholders.")
    ] = None,
) -> None:
    """Measure the stream: throughput from a backlog, latency under load, against Spark's keyed state."""
    from fraud.errors import BadInput  # noqa: PLC0415
    from fraud.tools.bench.machine import describe_machine  # noqa: PLC0415
    from fraud.tools.bench.stream import FULL, QUICK, measure_stream  # noqa: PLC0415
    from fraud.tools.bench.stream_report import tables_of, write_report  # noqa: PLC0415
    from jobs.stream.settings import StreamSettings  # noqa: PLC0415

    console = _console()
    machine = describe_machine()
    if rules:
        from fraud.tools.bench.stream_rules import measure_with_rules, table_of  # noqa: PLC0415

        with console.status("starting") as status:
            console.print(table_of(machine, measure_with_rules(home, _counts(rules), status.update)))
        return
    figures = []
    works = QUICK if quick else tuple(work for work in FULL if users in {None, work.users})
    if not works:
        raise BadInput(f"--users {users}: give one of {', '.join(str(work.users) for work in FULL)}")
    for work in works:
        with console.status("starting") as status:
            figures.append(measure_stream(home, work, status.update, labels_per_s=labels))
        files = write_report(machine, figures, out)  # after each: a later one may fail
    console.print(f"Engine of the stream: {StreamSettings(home=home).engine}")
    for table in tables_of(machine, figures):
        console.print(table)
    for file in files:
        console.print(f"wrote {file}", soft_wrap=True)


@app.command()
def score(
    out: Annotated[Path, typer.Option(help="Folder for score.json and score.png.")] = Path("bench"),
    home: Annotated[Path, typer.Option(help="Folder of the run; the next run empties it.")] = Path(
        ".fraud-bench"
    ),
    rates: Annotated[
        str, typer.Option(help="Requests a second, comma separated.")
    ] = "50,250,500,1000,2000,3000",
    seconds: Annotated[float, typer.Option(help="How long each rate is held.")] = 20.0,
    *,
    users: Annotated[int, typer.Option(help="Cardholders.")] = 5_000,
    servers: Annotated[
        str, typer.Option(help="Servers to measure, comma separated.")
    ] = "scoring,kserve,fastapi",
    realtime: Annotated[
        bool,
        typer.Option("--realtime", help="Give server and load generator real-time priority (chrt, root)."),
    ] = False,
) -> None:
    """Measure the scoring service under open-loop load, compared with KServe's server and a plain FastAPI."""
    from fraud.tools.bench.score import measure_scoring  # noqa: PLC0415
    from fraud.tools.bench.score_report import table_of, write_report  # noqa: PLC0415

    console = _console()
    with console.status("measuring"):
        wanted = tuple(float(rate) for rate in rates.split(","))
        chosen = tuple(servers.split(","))
        figures = measure_scoring(
            home, rates=wanted, seconds=seconds, users=users, servers=chosen, is_realtime=realtime
        )
    console.print(table_of(figures))
    for file in write_report(figures, out):
        console.print(f"wrote {file}", soft_wrap=True)


@app.command()
def decision(
    out: Annotated[
        Path, typer.Option(help="Folder for decision.json, decision.folded and decision.png.")
    ] = Path("bench"),
    home: Annotated[Path, typer.Option(help="Folder of the run; the next run empties it.")] = Path(
        ".fraud-bench"
    ),
    *,
    rate: Annotated[float, typer.Option(help="Requests a second.")] = 500.0,
    seconds: Annotated[float, typer.Option(help="How long the rate is held.")] = 20.0,
    users: Annotated[int, typer.Option(help="Cardholders.")] = 5_000,
) -> None:
    """Measure what a decision of the scoring service costs, by stage, and draw a flame graph."""
    from fraud.tools.bench.stages import measure_decision, table_of, write_report  # noqa: PLC0415

    console = _console()
    with console.status("measuring"):
        figures = measure_decision(home, rate=rate, seconds=seconds, users=users)
    console.print(table_of(figures))
    for file in write_report(figures, out):
        console.print(f"wrote {file}", soft_wrap=True)


@app.command()
def quality(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            help="Tables of your own, also DATABASE-URL#TABLE, measured besides the synthetic worlds.",
            show_default=False,
        ),
    ] = None,
    *,
    schema: Annotated[
        Path | None,
        typer.Option(help="Schema of these tables, as `fraud init` writes it; else the deployed one."),
    ] = None,
    worlds: Annotated[
        str, typer.Option(help="Synthetic worlds to generate, comma separated; empty: none.")
    ] = "handbook,sparkov,amlsim,processor",
    seeds: Annotated[
        int, typer.Option(min=1, help="How often each world is generated, each time with another seed.")
    ] = 3,
    trials: Annotated[
        int, typer.Option(min=0, help="Trials of the parameter search; 0: the default parameters.")
    ] = 8,
    label_gap_days: Annotated[
        float | None, typer.Option(help="How long labels of the tables take, days.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for quality.json and quality.md.")] = Path("bench"),
    quick: Annotated[bool, typer.Option("--quick", help="Small worlds, one of each, no search.")] = False,
) -> None:
    """Measure models with plain defaults: raw columns, published features and ours, on the same rows."""
    from fraud.tools.bench.machine import describe_machine  # noqa: PLC0415
    from fraud.tools.bench.quality import QUICK_SIZE, measure_quality  # noqa: PLC0415
    from fraud.tools.bench.quality_report import notes_of, table_of, write_report  # noqa: PLC0415

    console = _console(150)
    with console.status("starting") as status:
        board = measure_quality(
            [name for name in worlds.split(",") if name],
            files or [],
            schema=schema,
            seeds=1 if quick else seeds,
            size=QUICK_SIZE if quick else 1.0,
            trials=0 if quick else trials,
            gap_days=label_gap_days,
            tell=status.update,
        )
    console.print(table_of(board, describe_machine()))
    for note in notes_of(board):
        console.print(note, soft_wrap=True)
    for file in write_report(board, out):
        console.print(f"wrote {file}", soft_wrap=True)


@app.command(name="all")
def every(
    against: Annotated[str, typer.Option(help="Revision to compare with, as git takes it, e.g. HEAD~1.")],
    out: Annotated[Path, typer.Option(help="Folder for against.json.")] = Path("bench"),
    only: Annotated[
        str, typer.Option(help="Measurements to run, comma separated.")
    ] = "features,model,score,stream",
    rounds: Annotated[int, typer.Option(min=1, help="How often each is run in both revisions.")] = 3,
) -> None:
    """Run the measurements of two revisions in turn on this machine, and print the ratios."""
    from fraud.errors import BadInput  # noqa: PLC0415
    from fraud.settings.names import suggest  # noqa: PLC0415
    from fraud.tools.bench.against import BENCHES, compare, table_of, write_report  # noqa: PLC0415

    chosen = only.split(",")
    if unknown := [name for name in chosen if name not in BENCHES]:
        raise BadInput(f"no measurement {unknown[0]!r}; {suggest(unknown[0], BENCHES)}")
    console = _console()
    with console.status("starting") as status:
        tell = status.update if console.is_terminal else console.print
        comparison = compare(against, chosen, rounds, tell=tell, keep=partial(write_report, folder=out))
    console.print(table_of(comparison))
    console.print(f"wrote {write_report(comparison, out)}", soft_wrap=True)


def _counts(text: str) -> list[int]:
    from fraud.errors import BadInput  # noqa: PLC0415

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) <= MOST_RULES for part in parts):
        raise BadInput(f"--rules {text}: give numbers up to {MOST_RULES}, e.g. 0,20,100")
    return [int(part) for part in parts]


def _console(width: int = 130) -> "Console":
    """Open the terminal; a file, which has no width of its own, gets one."""
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)

    console = Console()
    return console if console.is_terminal else Console(width=width)
