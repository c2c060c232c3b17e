"""The report of ``fraud bench model``: a table and JSON."""

import json
from pathlib import Path
from typing import Final

from rich.table import Table

from fraud.tools.bench.model import BATCHES, BOOSTER, EVALUATOR, EXPLAINED, PAIR, SINGLE, ModelFigures

__all__ = ["table_of", "write_report"]

WAYS: Final = {
    EVALUATOR: "our evaluator",
    BOOSTER: "LightGBM's booster",
    PAIR: "with two threads, clock",
    SINGLE: "LightGBM's call for single rows",
}


def table_of(figures: ModelFigures) -> Table:
    """Lay the figures out for a reader."""
    sizes = figures.sizes
    words = (
        f"Microseconds a row, best of {sizes.repeats}, one thread; {sizes.trees} trees, {sizes.leaves} leaves"
    )
    checked = (
        f"scores equal bit for bit, contributions to {figures.apart:.0e}; loaded in {figures.load_ms:.0f} ms"
    )
    table = Table(title=f"{words}\n{checked}\n{figures.machine.words}", title_justify="left")
    table.add_column("work")
    for name in ("rows", *WAYS.values(), "times the booster"):
        table.add_column(name, justify="right")
    for work, batches in (("score", BATCHES), ("contributions", EXPLAINED)):
        for rows in batches:
            found = {way: figures.find(work, way, rows) for way in WAYS}
            ours, theirs = found[EVALUATOR], found[BOOSTER]
            times = f"{theirs.least_us / max(ours.least_us, 1e-9):.1f}" if ours and theirs else ""
            cells = [f"{one.least_us:,.1f}" if one else "" for one in found.values()]
            table.add_row(work, f"{rows:,}", *cells, times)
    return table


def write_report(figures: ModelFigures, folder: Path) -> Path:
    """Write ``model.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "model.json"
    file.write_text(json.dumps(figures.as_dict(), indent=1) + "\n")
    return file
