"""The scoreboard: average precision of plain defaults on tables of several forms, ``fraud bench quality``.

Each table is measured in a process of its own, under the schema that goes with it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from fraud.errors import BadInput
from fraud.schema.deployed import VARIABLE
from fraud.settings.names import suggest
from fraud.tools.bench.quality_world import OURS, PUBLISHED, RAW, WORLDS, Figure, Task

MODELS: Final = (RAW, PUBLISHED, OURS)
SCHEMAS: Final = Path(__file__).parent / "worlds"
QUICK_SIZE: Final = 0.3


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the scoreboard: a model on one split of a table, over its seeds."""

    table: str
    split: str
    model: str
    seeds: int
    rows: int
    """Of the tests, all seeds together."""
    frauds: int
    pr_auc: float
    """Mean over the seeds."""
    low: float
    high: float
    """Of one seed, by resampling the test's users; of several, the least and the greatest."""


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """All lines, the leaks by table, and the forms of the user's own tables."""

    rows: list[Row]
    leaks: dict[str, list[str]]
    forms: dict[str, str] = field(default_factory=dict)
    """Of a table of the user's own: the name of the schema's file, which tells a public data set."""


def measure_quality(
    names: Sequence[str],
    files: Sequence[str | Path] = (),
    *,
    schema: Path | None = None,
    seeds: int = 1,
    size: float = 1.0,
    trials: int = 0,
    gap_days: float | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Scoreboard:
    """Measure worlds by name, and tables of the user's own under their schema.

    Raises
    ------
    BadInput
        When a world is not known, or a table cannot be measured; says why.
    """
    unknown = [name for name in names if name not in WORLDS]
    if unknown:
        raise BadInput(f"no world {unknown[0]!r}; {suggest(unknown[0], WORLDS)}")
    tasks = [
        (Task(name, seed, size, trials), SCHEMAS / WORLDS[name].schema if WORLDS[name].schema else None)
        for name in names
        for seed in range(seeds)
    ]
    tasks += [(Task(str(file), trials=trials, gap_days=gap_days), schema) for file in files]
    figures: list[Figure] = []
    leaks: dict[str, list[str]] = {}
    for task, own in tasks:
        tell(f"measuring {task.name}" + (f", seed {task.seed}" if seeds > 1 else ""))
        found, named = run(task, own)
        figures += found
        leaks[task.name] = named
    forms = {str(file): schema.stem for file in files} if schema else {}
    return Scoreboard(rows_of(figures), leaks, forms)


def run(task: Task, schema: Path | None) -> tuple[list[Figure], list[str]]:
    """Measure in a process of its own; None: under the packaged schema, or a table's, the deployment's."""
    environment = dict(os.environ)
    if schema is not None:
        environment[VARIABLE] = str(schema)
    elif task.name in WORLDS:
        environment[VARIABLE] = str(SCHEMAS.parents[2] / "schema" / "default.yaml")
    command = [sys.executable, "-m", "fraud.tools.bench.quality_world", json.dumps(asdict(task))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BadInput(f"{task.name} could not be measured: {last.removeprefix('fraud.errors.BadInput: ')}")
    found = json.loads(done.stdout.splitlines()[-1])
    return [Figure(**one) for one in found["figures"]], list(found["leaks"])


def rows_of(figures: Sequence[Figure]) -> list[Row]:
    """Put the seeds of a line together."""
    lines: dict[tuple[str, str, str], list[Figure]] = {}
    for one in figures:
        lines.setdefault((one.table, one.split, one.model), []).append(one)
    return [_row(*line, of) for line, of in lines.items()]


def _row(table: str, split: str, model: str, of: list[Figure]) -> Row:
    values = [one.pr_auc for one in of]
    low, high = (of[0].low, of[0].high) if len(of) == 1 else (min(values), max(values))
    rows, frauds = sum(one.rows for one in of), sum(one.frauds for one in of)
    return Row(table, split, model, len(of), rows, frauds, float(np.mean(values)), low, high)
