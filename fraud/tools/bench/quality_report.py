"""The report of ``fraud bench quality``: a table for a reader, JSON, and lines for the documentation."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.table import Table

from fraud.tools.bench.machine import Machine
from fraud.tools.bench.quality import MODELS, Row, Scoreboard
from fraud.tools.bench.quality_world import WORLDS

_NONE: Final = "none of average precision that is known to us"
PUBLISHED: Final = {
    "ieee-cis": "none of average precision: its contest published ROC-AUC alone",
    "s-ffsd": "0.331 MCNN, 0.340 STAN, 0.360 STAGN, 0.659 GTAN, 0.694 RGTAN: average precision, by the "
    "authors of the data",
    **dict.fromkeys(("banksim", "fraudecom", "paysim", "sparkov", "tabformer"), _NONE),
}
"""What others published for the data sets that have a ready schema, by the name of its file."""


def table_of(board: Scoreboard, machine: Machine) -> Table:
    """Lay the figures out: a line a table and split, a column a model."""
    table = Table(
        title=f"average precision (95 % interval, or range) on {machine.words}", title_justify="left"
    )
    for column in ("table", "split", "test rows", "frauds", *MODELS):
        table.add_column(column, justify="left" if column in ("table", "split") else "right")
    for cells in cells_of(board):
        table.add_row(*cells)
    return table


def notes_of(board: Scoreboard) -> list[str]:
    """Say what others published for each form, and which leaks the table or its random split has."""
    notes = []
    for name, leaks in board.leaks.items():
        world = WORLDS.get(name)
        if world is not None:
            notes.append(f"{name}: {world.form}. Published: {world.published}.")
        if board.forms.get(name) in PUBLISHED:
            notes.append(f"{Path(name).name}: published: {PUBLISHED[board.forms[name]]}.")
        notes += [f"{name}: leak: {leak}." for leak in leaks]
    return notes


def cells_of(board: Scoreboard) -> list[list[str]]:
    """Write the lines."""
    lines: dict[tuple[str, str], dict[str, Row]] = {}
    for row in board.rows:
        lines.setdefault((row.table, row.split), {})[row.model] = row
    return [
        [
            Path(table).name,
            split,
            f"{next(iter(of.values())).rows:,}",
            f"{next(iter(of.values())).frauds:,}",
            *(_figure(of.get(model)) for model in MODELS),
        ]
        for (table, split), of in lines.items()
    ]


def markdown_of(board: Scoreboard) -> str:
    """Write the table and the notes in Markdown."""
    head = ["table", "split", "test rows", "frauds", *MODELS]
    lines = [head, ["---"] * len(head), *cells_of(board)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return table + "\n\n" + "\n".join(f"- {note}" for note in notes_of(board)) + "\n"


def write_report(board: Scoreboard, out: Path) -> list[Path]:
    """Write ``quality.json`` and ``quality.md``."""
    out.mkdir(parents=True, exist_ok=True)
    account, page = out / "quality.json", out / "quality.md"
    account.write_text(json.dumps(asdict(board), indent=1) + "\n")
    page.write_text(markdown_of(board))
    return [account, page]


def _figure(row: Row | None) -> str:
    return "" if row is None else f"{row.pr_auc:.3f} ({row.low:.3f} to {row.high:.3f})"
