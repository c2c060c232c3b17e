"""The report of ``fraud bench rules``: a table and JSON."""

import json
from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from fraud.tools.bench.rules import ENTRIES, RULES, RuleFigures

__all__ = ["lines_of", "table_of", "write_report"]


def table_of(figures: RuleFigures) -> Table:
    """Lay the costs out for a reader."""
    words = "Microseconds a transaction, best of the repeats, one thread"
    table = Table(title=f"{words}\n{figures.machine.words}", title_justify="left")
    table.add_column("transactions at once", justify="right")
    for count in RULES:
        table.add_column(f"{count} rules", justify="right")
    by_rows: dict[int, dict[int, float]] = {one.rows: {} for one in figures.costs}
    for one in figures.costs:
        by_rows[one.rows][one.rules] = one.us
    for rows, found in by_rows.items():
        table.add_row(f"{rows:,}", *(f"{found[count]:,.2f}" for count in RULES))
    return table


def lines_of(figures: RuleFigures) -> Iterator[str]:
    """Say the other figures."""
    yield f"a value looked up in a live list of {ENTRIES:,} entries: {figures.live_list_us:.1f} us"
    if figures.backtest_transactions:
        yield (
            f"backtest of {figures.backtest_rules} rules on {figures.backtest_transactions:,} transactions: "
            f"{figures.backtest_s:.1f} s, {figures.backtest_processor_s:.1f} s of processor time"
        )


def write_report(figures: RuleFigures, folder: Path) -> Path:
    """Write ``rules.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "rules.json"
    file.write_text(json.dumps(figures.as_dict(), indent=1) + "\n")
    return file
