"""The fold's measurements as a table, a JSON file and a plot."""

import json
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure
from rich.table import Table

from fraud.tools.bench.features import FoldReport, Rate

__all__ = ["tables_of", "write_report"]

_COLOURS: Final = {"user": "#1f6feb", "merchant": "#bf8700"}


def tables_of(report: FoldReport) -> list[Table]:
    """Lay the measurements out for a terminal."""
    rates = Table(title=f"Events per second on one core\n{report.machine.words}", title_justify="left")
    for head in ("entity", "work", "engine"):
        rates.add_column(head)
    for head in ("features", "entities", "events", "events/s", "times plain"):
        rates.add_column(head, justify="right")
    for rate in report.rates:
        plain = next(r for r in report.rates if r.engine == "plain" and r.entity == rate.entity)
        times = f"{rate.events_per_s / plain.events_per_s:,.0f}" if rate.work == plain.work else ""
        rates.add_row(rate.entity, rate.work, rate.engine, *_numbers(rate), times)
    growth = Table(title="Growth: micro-batches of 20,000, states loaded and stored", title_justify="left")
    for head in ("users with a state", "of these in a micro-batch", "events/s"):
        growth.add_column(head, justify="right")
    for rate in report.growth:
        growth.add_row(f"{rate.entities:,}", f"{rate.touched:,}", f"{rate.events_per_s:,.0f}")
    return [rates, growth]


def write_report(report: FoldReport, folder: Path) -> list[Path]:
    """Write ``features.json`` and ``features.png``; returns both."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "features.json", folder / "features.png"]
    files[0].write_text(json.dumps(report.as_dict(), indent=2) + "\n")
    figure = Figure(figsize=(11, 5), layout="constrained")
    bars, lines = figure.subplots(1, 2, width_ratios=(3, 2))
    labels = [f"{rate.entity}s: {rate.work} ({rate.engine})" for rate in report.rates]
    values = [rate.events_per_s for rate in report.rates]
    bars.barh(labels, values, color=[_COLOURS[rate.entity] for rate in report.rates])
    bars.axvline(report.target_per_s, color="black", linestyle="--", linewidth=1, label="target")
    bars.set(xscale="log", xlabel="events/s on one core", title="The fold against plain Python")
    bars.invert_yaxis()
    bars.legend()
    users = [rate.entities for rate in report.growth]
    lines.plot(users, [rate.events_per_s for rate in report.growth], marker="o", color=_COLOURS["user"])
    lines.axhline(report.target_per_s, color="black", linestyle="--", linewidth=1)
    lines.set(xscale="log", xlabel="users with a state", ylabel="events/s on one core", ylim=(0, None))
    lines.set_title("Growth: states loaded and stored")
    figure.suptitle(report.machine.words, fontsize=9)
    figure.savefig(files[1], dpi=110)
    return files


def _numbers(rate: Rate) -> tuple[str, ...]:
    return f"{rate.features}", f"{rate.entities:,}", f"{rate.events:,}", f"{rate.events_per_s:,.0f}"
