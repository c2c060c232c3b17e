"""Measurements of this revision and of another one in turn, on the same machine: ``fraud bench all``.

Each measurement is a process of its own, in its revision's tree; the other revision gets a git worktree that
is removed at the end. Rounds alternate, so that others' work on the machine hits both alike, and a ratio is
that of two neighbours. Both revisions run with the packages of this environment.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from rich.table import Table

import fraud
from fraud.errors import BadInput
from fraud.tools.bench.machine import Machine, describe_machine

__all__ = [
    "BENCHES",
    "ComparedFigure",
    "Comparison",
    "compare",
    "figures_of",
    "run_bench",
    "table_of",
    "write_report",
]

BENCHES: Final[dict[str, tuple[str, ...]]] = {
    "features": ("--quick",),
    "model": (),
    "score": ("--seconds", "5", "--rates", "500,1000,3000", "--servers", "scoring"),
    "stream": ("--quick",),
}
"""Name of the measurement, and what it is told."""
MORE_IS_BETTER: Final = "_per_s"
LESS_IS_BETTER: Final = ("_us", "_ms")
"""How the names of figures end."""
WHOSE: Final = ("rate", "rows", "users", "entities")
"""Numbers that say what a figure is of, as all texts do."""

Figures = dict[str, float]
Bench = Callable[[str, Path], Figures | None]
"""Runs a measurement in a tree; None where the tree has no such measurement."""


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """One figure of two revisions."""

    name: str
    ours: float
    """Median of the rounds."""
    theirs: float
    ratio: float
    """How many times better ours is: the median of the rounds' ratios; below 1, it is worse."""
    lowest_ratio: float
    highest_ratio: float
    """The smallest and the greatest ratio of a round."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All figures of two revisions."""

    machine: Machine
    revision: str
    rounds: int
    figures: list[ComparedFigure]
    left_out: list[str]
    """Measurements that the other revision does not have."""


def compare(
    revision: str,
    benches: Sequence[str],
    rounds: int,
    bench: Bench | None = None,
    *,
    tell: Callable[[str], None] = lambda _: None,
    keep: Callable[[Comparison], object] = lambda _: None,
) -> Comparison:
    """Run measurements of the other revision and of this one in turn.

    Parameters
    ----------
    revision
        As git takes it.
    benches
        Names in ``BENCHES``.
    rounds
        How often.
    bench
        Runs one; default: as a process.
    tell
        Takes words of progress.
    keep
        Takes what has been found so far, after each round: a later one may fail, or be ended.

    Raises
    ------
    BadInput
        When git does not know the revision, or the code is in no clone.
    """
    run = bench or run_bench
    comparison = Comparison(describe_machine(), revision, rounds, [], [])
    ours_at = Path(fraud.__file__).parents[1]
    with worktree(ours_at, revision) as theirs_at:
        for name in benches:
            before, pairs = comparison.figures, []
            for at in range(rounds):
                tell(f"{name}: round {at + 1} of {rounds}")
                order = (theirs_at, ours_at) if at % 2 == 0 else (ours_at, theirs_at)
                both = {tree: run(name, tree) for tree in order}
                theirs, ours = both[theirs_at], both[ours_at]
                if theirs is None or ours is None:
                    comparison = replace(comparison, left_out=[*comparison.left_out, name])
                    break
                pairs.append((ours, theirs))
                comparison = replace(comparison, figures=[*before, *_compared(name, pairs)])
                keep(comparison)
    return comparison


def run_bench(name: str, tree: Path) -> Figures | None:
    """Run one measurement of a tree in a process, and read what it wrote."""
    with TemporaryDirectory(prefix="bench-") as folder:
        home = ("--home", f"{folder}/home") if name in {"score", "stream"} else ()
        command = [sys.executable, "-m", "fraud", "bench", name, "--out", folder, *home, *BENCHES[name]]
        known = subprocess.run(
            [*command[:5], "--help"], cwd=tree, env=_surroundings(tree), capture_output=True, check=False
        )
        if known.returncode:
            return None
        done = subprocess.run(
            command, cwd=tree, env=_surroundings(tree), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BadInput(
                f"`fraud bench {name}` of {tree} failed:\n{done.stdout[-500:]}{done.stderr[-1500:]}"
            )
        return figures_of(json.loads((Path(folder) / f"{name}.json").read_text()))


def _surroundings(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree)}


def figures_of(report: Any, of: str = "") -> Figures:
    """Name every figure of a report; what is measured is told by the name's end."""
    if isinstance(report, list):
        return {name: value for one in report for name, value in figures_of(one, of).items()}
    if not isinstance(report, dict):
        return {}
    own = [str(value) for key, value in report.items() if isinstance(value, str) or key in WHOSE]
    whose = ", ".join([*filter(None, [of]), *own])
    found: Figures = {}
    for key, value in report.items():
        if isinstance(value, (dict, list)) and key not in {"machine", "sizes"}:
            found |= figures_of(value, whose)
        elif isinstance(value, (int, float)) and key.endswith((MORE_IS_BETTER, *LESS_IS_BETTER)):
            found[f"{whose}: {key}" if whose else key] = float(value)
    return found


@contextmanager
def worktree(repository: Path, revision: str) -> Iterator[Path]:
    """Lay another revision out in a folder of its own, and remove it at the end."""
    with TemporaryDirectory(prefix="revision-") as folder:
        tree = Path(folder) / "tree"
        _git(repository, "worktree", "add", "--quiet", "--detach", str(tree), revision)
        try:
            yield tree
        finally:
            _git(repository, "worktree", "remove", "--force", str(tree))


def _git(repository: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BadInput(f"a comparison needs a git clone and a revision that it has: {done.stderr.strip()}")


def _compared(bench: str, pairs: Sequence[tuple[Figures, Figures]]) -> Iterator[ComparedFigure]:
    names = [name for name in pairs[0][0] if all(name in figures for pair in pairs for figures in pair)]
    for name in names:
        both = np.array([(ours[name], theirs[name]) for ours, theirs in pairs])
        if (both <= 0.0).any():
            continue
        times = both[:, 0] / both[:, 1] if name.endswith(MORE_IS_BETTER) else both[:, 1] / both[:, 0]
        middle = np.median(both, axis=0)
        yield ComparedFigure(
            f"{bench}: {name}",
            float(middle[0]),
            float(middle[1]),
            round(float(np.median(times)), 3),
            round(float(times.min()), 3),
            round(float(times.max()), 3),
        )


def table_of(comparison: Comparison) -> Table:
    """Lay a comparison out for a reader."""
    words = f"This revision against {comparison.revision}, {comparison.rounds} rounds in turn"
    table = Table(title=f"{words}\n{comparison.machine.words}", title_justify="left")
    table.add_column("figure", overflow="fold")
    for head in ("this", comparison.revision, "times better", "least to most"):
        table.add_column(head, justify="right")
    for one in comparison.figures:
        span = f"{one.lowest_ratio:.2f} to {one.highest_ratio:.2f}"
        table.add_row(one.name, f"{one.ours:,.1f}", f"{one.theirs:,.1f}", f"{one.ratio:.2f}", span)
    if comparison.left_out:
        table.caption = f"{comparison.revision} does not have: {', '.join(comparison.left_out)}"
    return table


def write_report(comparison: Comparison, folder: Path) -> Path:
    """Write ``against.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "against.json"
    file.write_text(json.dumps(asdict(comparison), indent=1) + "\n")
    return file
