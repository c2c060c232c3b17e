"""The stream's measurements as tables, a JSON file and a plot."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from fraud.tools.bench.cost import PUBLISHED, Cost
from fraud.tools.bench.machine import Machine
from fraud.tools.bench.stream import MICRO_BATCH, StreamFigures

__all__ = ["tables_of", "write_report"]

_OURS: Final = "#1f6feb"
_OTHERS: Final = "#8c959f"
_TAIL: Final = "#bf8700"


def tables_of(machine: Machine, figures: Sequence[StreamFigures]) -> list[Table]:
    """Lay the figures out for a terminal."""
    rates = Table(title=f"The stream from a backlog\n{machine.words}", title_justify="left")
    for head in ("users", "backlog", "decided/s", "in Delta/s"):
        rates.add_column(head, justify="right")
    latency = Table(title="Append of a transaction to append of its decision", title_justify="left")
    for head in ("users", "transactions/s", "labels/s", "p50 ms", "p99 ms", "p99.9 ms"):
        latency.add_column(head, justify="right")
    keyed = Table(title=f"The user fold alone, micro-batches of {MICRO_BATCH:,}", title_justify="left")
    keyed.add_column("users", justify="right")
    keyed.add_column("engine")
    for head in ("transactions/s", "ours is so many times faster"):
        keyed.add_column(head, justify="right")
    for one in figures:
        numbers = (one.users, one.backlog, one.transactions_per_s, one.archived_per_s)
        rates.add_row(*(f"{number:,.0f}" for number in numbers))
        for at in one.latencies:
            values = (one.users, at.rate, at.labels_per_s, at.p50_ms, at.p99_ms, at.p999_ms)
            latency.add_row(*(f"{value:,.0f}" for value in values))
        for engine in one.keyed:
            rate = engine.transactions_per_s
            times = one.keyed[0].transactions_per_s / rate
            keyed.add_row(f"{one.users:,}", engine.engine, f"{rate:,.0f}", f"{times:,.1f}")
    return [rates, latency, keyed, _costs(figures), _stages(figures)]


def _costs(figures: Sequence[StreamFigures]) -> Table:
    table = Table(title="Processor time of 1,000,000 decisions, s", title_justify="left")
    table.add_column("users", justify="right")
    table.add_column("part")
    table.add_column("cpu s", justify="right")
    for one in figures:
        for cost in (*one.costs, Cost("all", sum(cost.cpu_s for cost in one.costs))):
            table.add_row(f"{one.users:,}", cost.part, f"{cost.cpu_s:,.1f}")
    for other in PUBLISHED:
        table.add_row("", other.system, f"{other.cpu_s:,.0f}")
    return table


def _stages(figures: Sequence[StreamFigures]) -> Table:
    words = "Time of the tasks by the clock; a stage within another one is in both"
    table = Table(title=words, title_justify="left")
    table.add_column("users", justify="right")
    table.add_column("stage")
    table.add_column("us a transaction", justify="right")
    for one in figures:
        for at in one.stages:
            table.add_row(f"{one.users:,}", at.stage, f"{at.clock_us:,.1f}")
    return table


def write_report(machine: Machine, figures: Sequence[StreamFigures], folder: Path) -> list[Path]:
    """Write ``stream.json`` and ``stream.png``; returns both."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "stream.json", folder / "stream.png"]
    whole = {"machine": asdict(machine), "figures": [asdict(one) for one in figures]}
    files[0].write_text(json.dumps(whole, indent=1) + "\n")
    figure = Figure(figsize=(12, 4), layout="constrained")
    growth, latency, engines = figure.subplots(1, 3)
    _draw_growth(growth, figures)
    _draw_latency(latency, figures)
    _draw_engines(engines, figures)
    figure.suptitle(machine.words, fontsize=9)
    figure.savefig(files[1], dpi=110)
    return files


def _draw_growth(axes: Axes, figures: Sequence[StreamFigures]) -> None:
    users = [one.users for one in figures]
    axes.plot(users, [one.transactions_per_s for one in figures], "o-", color=_OURS, label="decided")
    axes.plot(users, [one.archived_per_s for one in figures], "o--", color=_OTHERS, label="in Delta")
    axes.set(xscale="log", xlabel="users", ylabel="transactions/s", ylim=(0, None), title="From a backlog")
    axes.legend()


def _draw_latency(axes: Axes, figures: Sequence[StreamFigures]) -> None:
    points = sorted((at for one in figures for at in one.latencies), key=lambda at: at.rate)
    rates = [at.rate for at in points]
    axes.plot(rates, [at.p50_ms for at in points], "o-", color=_OURS, label="p50")
    axes.plot(rates, [at.p99_ms for at in points], "o-", color=_TAIL, label="p99")
    axes.set(xlabel="transactions/s", ylabel="ms", ylim=(0, None), title="Transaction to decision")
    axes.legend()


def _draw_engines(axes: Axes, figures: Sequence[StreamFigures]) -> None:
    measured = [one for one in figures if one.keyed]
    height = 0.8 / max(len(measured), 1)
    for number, one in enumerate(measured):
        places = [row + number * height for row in range(len(one.keyed))]
        rates = [engine.transactions_per_s for engine in one.keyed]
        axes.barh(places, rates, height, color=[_OURS, _OTHERS][number % 2], label=f"{one.users:,} users")
    if measured:
        names = [one.engine.replace(" (", "\n(").replace(", ", "\n", 1) for one in measured[0].keyed]
        axes.set_yticks([row + (len(measured) - 1) * height / 2 for row in range(len(names))], names)
        axes.legend()
    axes.set(xlabel="transactions/s", title="The user fold by engine")
    axes.invert_yaxis()
