"""The commands ``fraud generate`` and ``fraud simulate``."""

from functools import partial
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fraud.contracts import bounds_of, without_future
from fraud.errors import BadConfig, BadInput
from fraud.kafka.producer import ProducerSettings
from fraud.money import write_rates
from fraud.schema.deployed import RATES_FILE, deployed_schema
from fraud.settings import base as settings
from fraud.settings.options import ColumnOption, LabelGapOption, ReadOption
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.files import read, read_table, read_told, write
from fraud.synthetic.generate import generate as generate_data
from fraud.synthetic.pace import Accelerated, Constant, Pace, Unpaced
from fraud.synthetic.payments import rates_of
from fraud.synthetic.settings import Drift, GeneratorSettings
from fraud.tables import parse_columns, parse_reading
from services.simulator import stream

__all__ = ["choose_pace", "generate", "parse_time", "simulate"]

parse_time = partial(settings.parse_time, error=BadConfig)
_DEFAULT = GeneratorSettings()


def generate(
    out: Annotated[Path, typer.Option(help="Folder to write the Parquet files to.")],
    *,
    transactions: Annotated[int, typer.Option(help="How many transactions.")] = _DEFAULT.transactions,
    users: Annotated[int, typer.Option(help="How many cardholders.")] = _DEFAULT.users,
    merchants: Annotated[int, typer.Option(help="How many merchants.")] = _DEFAULT.merchants,
    fraud_rate: Annotated[float, typer.Option(help="Share of fraud, 0 to 0.5.")] = _DEFAULT.fraud_rate,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data.")] = _DEFAULT.seed,
    days: Annotated[int, typer.Option(help="Length of the period, days.")] = _DEFAULT.days,
    start: Annotated[str, typer.Option(help="Beginning of the period, UTC.")] = _DEFAULT.start.isoformat(),
    kinds: Annotated[
        bool, typer.Option("--kinds", help="Verifications, withdrawals, refunds and reversals, too.")
    ] = _DEFAULT.kinds,
    drift: Annotated[Drift, typer.Option(help="How the world changes.")] = _DEFAULT.drift,
    drift_day: Annotated[int, typer.Option(help="First day that may differ.")] = _DEFAULT.drift_day,
    drift_days: Annotated[
        int, typer.Option(help="Duration of a gradual change, or period of a seasonal one, days.")
    ] = _DEFAULT.drift_days,
    drift_strength: Annotated[
        float, typer.Option(help="Factor on the change, up to 2.")
    ] = _DEFAULT.drift_strength,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep a complete data set that exists already.")
    ] = False,
) -> None:
    """Write a synthetic data set as Parquet: transactions, labels, users, merchants, fraud patterns."""
    console = Console()
    if keep and _is_whole(out):
        console.print(f"{out} holds a data set: nothing to do")
        return
    settings = GeneratorSettings(
        transactions=transactions,
        users=users,
        merchants=merchants,
        fraud_rate=fraud_rate,
        seed=seed,
        days=days,
        start=parse_time(start),
        kinds=kinds,
        drift=drift,
        drift_day=drift_day,
        drift_days=drift_days,
        drift_strength=drift_strength,
    )
    with console.status(f"Generating {transactions:,} transactions ..."):
        schema = deployed_schema()
        data_set = generate_data(settings, schema)
    with console.status(f"Writing to {out} ..."):
        write(data_set, out)
        money = schema.money
        if money is not None:
            write_rates(out / RATES_FILE, rates_of(settings, money.base))
            console.print(f"reference rates: FRAUD_RATES_FILE={out / RATES_FILE}")
    console.print(_summary(data_set, out))


def simulate(  # noqa: PLR0917  (typer passes by name)
    data: Annotated[Path | None, typer.Option(help="Folder that `fraud generate` wrote.")] = None,
    replay: Annotated[
        str | None,
        typer.Option(help="Own history instead: a table with is_fraud, read by the schema's source part."),
    ] = None,
    labels: Annotated[
        str, typer.Option(help="Table of the labels for --replay, if they are in a separate table.")
    ] = "",
    column: ColumnOption = None,
    read: ReadOption = None,
    label_gap_days: LabelGapOption = None,
    bootstrap: Annotated[str, typer.Option(help="Kafka brokers, host:port,...")] = "localhost:9092",
    rate: Annotated[float | None, typer.Option(help="Transactions a second.")] = None,
    speedup: Annotated[
        float | None, typer.Option(help="Times faster than the data's clock; 1 is its own speed.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="Send rows from this time on, UTC; labels by their own time.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Send rows before this time, UTC.")] = None,
    no_labels: Annotated[
        bool, typer.Option("--no-labels", help="Send transactions, without their labels.")
    ] = False,
) -> None:
    """Send a data set or your own history to Kafka: at a rate, on a faster clock, or as fast as possible."""
    from services.simulator.replay import read_history, time_column  # noqa: PLC0415

    console = Console()
    pace = choose_pace(rate, speedup)
    window = (parse_time(from_) if from_ else None, parse_time(until) if until else None)
    if (data is None) == (replay is None):
        raise BadConfig(
            "give either --data FOLDER, which `fraud generate` wrote, or --replay FILE, a table of your own"
        )
    further: dict[str, pa.Table] = {}
    if replay is not None:
        transactions, label_rows = read_history(
            replay,
            labels,
            columns=parse_columns(column),
            reading=parse_reading(read),
            label_gap_days=label_gap_days,
            tell=console.print,
        )
    elif data is not None:
        transactions, label_rows = read_table(data, "transactions"), read_table(data, "labels")
        further = stream.select_told(partial(read_told, data), *window, deployed_schema())
    by = time_column(transactions, "event_time"), time_column(label_rows, "label_time")
    transactions = stream.select(transactions, by[0], *window)
    told = None if no_labels else stream.select(label_rows, by[1], *window)
    total = sum(table.num_rows for table in (transactions, told, *further.values()) if table is not None)
    bounds = bounds_of(deployed_schema())
    ahead = sum(without_future(table, bounds)[1] for table in (transactions, told) if table is not None)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TimeElapsedColumn(),
    )
    if ahead:
        console.print(
            f"warning: {ahead:,} records are dated ahead of this machine's clock. A platform refuses them "
            f"unless FRAUD_STREAM_MOST_AHEAD_S gives it a greater bound; {_AHEAD[replay is not None]}",
            style="yellow",
        )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("connecting", total=total)

        def show(now: stream.Progress) -> None:
            moment = f"{now.simulated_time:%Y-%m-%d %H:%M}"
            done = now.transactions + now.labels + now.results + now.profiles
            bar.update(task, completed=done, description=moment)

        producer = ProducerSettings(bootstrap=bootstrap)
        counts = stream.play(transactions, told, producer, pace, on_progress=show, by=by, further=further)
    per_s = counts.transactions / max(counts.elapsed_s, 1e-9)
    console.print(
        f"Sent {counts.transactions:,} transactions and {counts.labels:,} labels"
        f"{f' and {counts.results:,} results' if counts.results else ''}"
        f"{f' and {counts.profiles:,} profiles' if counts.profiles else ''} to {bootstrap} "
        f"in {counts.elapsed_s:.1f} s ({per_s:,.0f} transactions/s)."
    )


_AHEAD = {
    False: "`fraud generate --start` begins a world earlier.",
    True: "`fraud replay dead-letters` sends them again when their time has come. Labels without a "
    "label_time are dated --label-gap-days after their transactions: give fewer days, or --no-labels.",
}
"""What to do about records that are dated ahead, by whether they are own history."""


def _is_whole(folder: Path) -> bool:
    try:
        read(folder)
    except BadInput:
        return False
    return True


def choose_pace(rate: float | None, speedup: float | None) -> Pace:
    """Turn the two ways to say how fast into one.

    Raises
    ------
    BadConfig
        When both are given, or one is not positive.
    """
    if rate is not None and speedup is not None:
        raise BadConfig("give either a rate or a speedup, not both")
    if rate is not None:
        return Constant(rate)
    return Unpaced() if speedup is None else Accelerated(speedup)


def _summary(data_set: DataSet, out: Path) -> Table:
    """Lay out what was written: the sizes, and the frauds by pattern."""
    total, frauds = data_set.transactions.num_rows, data_set.patterns.num_rows
    times = pc.min_max(data_set.transactions["event_time"]).as_py()
    table = Table(title=f"Data set in {out}", title_justify="left", show_header=False)
    table.add_row("transactions", f"{total:,}")
    table.add_row("users, merchants", f"{data_set.users.num_rows:,}, {data_set.merchants.num_rows:,}")
    table.add_row("period (UTC)", f"{times['min']:%Y-%m-%d} to {times['max']:%Y-%m-%d}")
    table.add_row("frauds", f"{frauds:,} ({frauds / total:.2%})")
    counts = data_set.patterns["pattern"].value_counts().to_pylist()
    for row in sorted(counts, key=lambda row: -row["counts"]):
        table.add_row(f"  {row['values']}", f"{row['counts']:,}")
    return table
