"""The report of ``fraud bench score``: a table, JSON, and latency over load."""

import json
from pathlib import Path

from rich.table import Table

from jobs.bench.score import SERVERS, ScoreFigures

WORDS = {
    "scoring": "this service: raw transaction, features, model, reasons, decision, state, log",
    "kserve": "KServe's model server: vector, model",
    "fastapi": "FastAPI and booster: vector, model",
}


def table_of(figures: ScoreFigures) -> Table:
    """Lay the figures out for a reader."""
    title = f"open loop, {figures.cores} cores shared with the load generator, {figures.machine}"
    table = Table(title=title, title_justify="left")
    for column in (
        "server",
        "sent/s",
        "answered/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "refused",
        "lost",
        "CPU ms",
    ):
        table.add_column(column, justify="left" if column == "server" else "right")
    for point in figures.points:
        one = point.loaded
        refused = sum(one.statuses.get(status, 0) for status in ("429", "503"))
        numbers = (one.p50_ms, one.p99_ms, one.p999_ms)
        table.add_row(
            point.server,
            f"{point.rate:,.0f}",
            f"{one.achieved_per_s:,.0f}",
            *(f"{number:,.2f}" for number in numbers),
            f"{refused:,}",
            f"{one.sent - refused - one.statuses.get('200', 0):,}",
            f"{point.server_cpu_ms:.2f}",
        )
    return table


def write_report(figures: ScoreFigures, out: Path) -> list[Path]:
    """Write ``score.json`` and ``score.png``."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    out.mkdir(parents=True, exist_ok=True)
    account = out / "score.json"
    account.write_text(json.dumps(figures.as_dict(), indent=1) + "\n")
    figure, (latency, rate) = plt.subplots(1, 2, figsize=(11, 4))
    for server in SERVERS:
        points = [point for point in figures.points if point.server == server]
        sent = [point.rate for point in points]
        latency.plot(sent, [point.loaded.p99_ms for point in points], marker="o", label=WORDS[server])
        rate.plot(sent, [point.loaded.achieved_per_s for point in points], marker="o")
    latency.set(xlabel="requests sent a second", ylabel="p99 of the answered, ms", yscale="log")
    rate.set(xlabel="requests sent a second", ylabel="answered a second")
    latency.legend(fontsize=7)
    figure.tight_layout()
    plot = out / "score.png"
    figure.savefig(plot, dpi=120)
    plt.close(figure)
    return [account, plot]
