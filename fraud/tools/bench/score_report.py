"""The report of ``fraud bench score``: a table, JSON, and latency over load."""

import json
from pathlib import Path

from rich.table import Table

from fraud.tools.bench.score import SERVERS, ScoreFigures

WORDS = {
    "scoring": "this service: raw transaction, features, model, reasons, decision, state, log",
    "kserve": "KServe's model server: vector, model",
    "fastapi": "FastAPI and booster: vector, model",
}


def table_of(figures: ScoreFigures) -> Table:
    """Lay the figures out for a reader."""
    title = f"open loop; server and load generator{_priority(figures)} on {figures.machine.words}"
    table = Table(title=title, title_justify="left")
    for column in (
        "server",
        "sent/s",
        "answered/s",
        "least ms",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "refused",
        "lost",
        "CPU ms",
        "load",
    ):
        table.add_column(column, justify="left" if column == "server" else "right")
    for point in figures.points:
        one = point.loaded
        refused = sum(one.statuses.get(status, 0) for status in ("429", "503"))
        numbers = (one.least_ms, one.p50_ms, one.p99_ms, one.p999_ms)
        table.add_row(
            point.server,
            f"{point.rate:,.0f}",
            f"{one.achieved_per_s:,.0f}",
            *(f"{number:,.2f}" for number in numbers),
            f"{refused:,}",
            f"{one.sent - refused - one.statuses.get('200', 0):,}",
            f"{point.server_cpu_ms:.2f}",
            f"{point.load:.1f}",
        )
    return table


def write_report(figures: ScoreFigures, out: Path) -> list[Path]:
    """Write ``score.json`` and ``score.png``."""
    out.mkdir(parents=True, exist_ok=True)
    account = out / "score.json"
    account.write_text(json.dumps(figures.as_dict(), indent=1) + "\n")
    return [account, _draw(figures, out / "score.png")]


def _draw(figures: ScoreFigures, file: Path) -> Path:
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, (latency, rate) = plt.subplots(1, 2, figsize=(11, 4.2))
    for server in SERVERS:
        points = [point for point in figures.points if point.server == server]
        sent = [point.rate for point in points]
        line = latency.plot(sent, [one.loaded.p99_ms for one in points], marker="o", label=WORDS[server])[0]
        medians = [one.loaded.p50_ms for one in points]
        latency.plot(sent, medians, linestyle=":", marker=".", color=line.get_color())
        rate.plot(sent, [one.loaded.achieved_per_s for one in points], marker="o", color=line.get_color())
    most = max((point.rate for point in figures.points), default=1.0)
    rate.plot([0.0, most], [0.0, most], color="grey", linewidth=0.7)
    rate.annotate("all answered", (most, most), ha="right", va="top", color="grey", fontsize=8)
    latency.set(xlabel="requests sent a second", ylabel="ms; line p99, dotted p50", yscale="log")
    rate.set(xlabel="requests sent a second", ylabel="answered with 200 a second")
    latency.grid(alpha=0.3, which="both")
    rate.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="lower center", ncols=3, frameon=False)
    load = max((point.load for point in figures.points), default=0.0)
    words = (
        f"open loop, {figures.machine.cores} cores{_priority(figures)}; load of the machine up to {load:.0f}"
    )
    figure.suptitle(words, fontsize=10)
    figure.tight_layout(rect=(0.0, 0.05, 1.0, 1.0))
    figure.savefig(file, dpi=100)
    plt.close(figure)
    return file


def _priority(figures: ScoreFigures) -> str:
    return " at real-time priority" if figures.is_realtime else ""
