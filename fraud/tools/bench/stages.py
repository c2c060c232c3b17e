"""``fraud bench decision``: what the scoring service spends on a decision, by stage, and a flame graph.

The service runs under ``fraud.tools.bench.sampler`` at one rate. A look counts for the innermost call that
belongs to a stage. The time that is shared out is the processor time of the server's main thread; that of
its other threads stands in a line of its own.
"""

import json
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure
from rich.table import Table

from fraud.errors import BadConfig, FraudError
from fraud.tools.bench.cost import PUBLISHED
from fraud.tools.bench.load import Loaded, Plan
from fraud.tools.bench.machine import Machine, describe_machine
from fraud.tools.bench.score import prepared, running, send

__all__ = [
    "STAGES",
    "Bar",
    "bars_of",
    "figures_of",
    "measure_decision",
    "stage_of",
    "table_of",
    "write_report",
]

REST: Final = "HTTP, queue and event loop"
OTHERS: Final = "other threads: outbox, Kafka client, watches"
STAGES: Final[dict[str, tuple[str, ...]]] = {
    "metrics": ("prometheus_client.", "services.scoring.metrics:"),
    "read the request": ("services.scoring.service:Service.read_transaction",),
    "read states and answer": (
        "fraud.store.lmdb.answers:LmdbAnswers.look",
        "fraud.store.redis.answers:RedisAnswers.look",
    ),
    "commit": ("fraud.store.",),
    "fold": ("services.scoring.scorer:Scorer._fold", "services.scoring.fold:"),
    "model": ("services.scoring.decide:Decider._ask_champion", "services.scoring.decide:Decider._judge"),
    "rules": ("services.scoring.decide:Decider._holding", "fraud.decide.overruling:"),
    "reasons": ("services.scoring.decide:Decider._explain",),
    "answer and record": ("services.scoring.records:AnswerWriter",),
    "around these": (
        "services.scoring.scorer:",
        "services.scoring.service:",
        "services.scoring.decide:",
    ),
}
"""Stage, and how the names of its calls begin; the first one that fits."""
WIDEST_NAME: Final = 0.012
"""Share of the picture from which on a call has its name written in."""


Stack = tuple[Sequence[str], int]
"""Calls, outermost first, and in how many looks they were seen."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage took."""

    name: str
    cpu_us: float
    """Processor time of a decision, microseconds; also the seconds of a million decisions."""


@dataclass(frozen=True, slots=True)
class DecisionFigures:
    """What one run measured."""

    machine: Machine
    rate: float
    """Requests a second that were sent."""
    loaded: Loaded
    looks: int
    stages: list[Stage]
    """Dearest first."""
    stacks: list[Stack]


@dataclass(frozen=True, slots=True)
class Bar:
    """A call in the picture."""

    name: str
    depth: int
    left: float
    """Shares of all looks."""
    width: float
    stage: str


def measure_decision(home: Path, *, rate: float, seconds: float, users: int) -> DecisionFigures:
    """Measure the scoring service at one rate; ``home`` is emptied before.

    Raises
    ------
    BadConfig
        Where there is no timer for one thread.
    """
    if sys.platform != "linux":
        raise BadConfig("a decision is measured by a timer of one thread, which Linux alone has")
    machine = describe_machine()
    with prepared(home, int(rate * (seconds + 1.0)) + 2_000, users) as ready:
        file = home / "stacks.json"
        python = [sys.executable, "-m", "fraud.tools.bench.sampler", str(file)]
        with running(python, "scoring", ready) as (process, port):
            bodies = str(ready.transactions)
            warm = send(Plan("127.0.0.1", port, "/v1/score", bodies, 0, rate, 1.0))
            process.send_signal(signal.SIGUSR1)
            loaded = send(Plan("127.0.0.1", port, "/v1/score", bodies, warm.sent, rate, seconds))
        told = json.loads(file.read_text())
    return figures_of(machine, rate, loaded, told)


def figures_of(machine: Machine, rate: float, loaded: Loaded, told: dict[str, Any]) -> DecisionFigures:
    """Share the time out by what the sampler has told.

    Raises
    ------
    FraudError
        When it has seen nothing.
    """
    stacks: list[Stack] = [(stack, looks) for stack, looks in told["stacks"]]
    if not stacks:
        raise FraudError("the server was never seen at work; hold the rate for longer (--seconds)")
    by_stage = Counter[str]()
    for stack, looks in stacks:
        by_stage[stage_of(stack)] += looks
    looks = by_stage.total()
    answered = max(1, loaded.statuses.get("200", 0))
    stages = [Stage(name, told["main_s"] / looks * n / answered * 1e6) for name, n in by_stage.items()]
    stages.append(Stage(OTHERS, told["others_s"] / answered * 1e6))
    return DecisionFigures(
        machine, rate, loaded, looks, sorted(stages, key=lambda stage: -stage.cpu_us), stacks
    )


def stage_of(stack: Sequence[str]) -> str:
    """Name the stage of a stack, whose calls are given outermost first.

    Examples
    --------
    >>> stage_of(["asyncio.events:Handle._run", "services.scoring.scorer:Scorer._fold", "numpy:array"])
    'fold'
    >>> stage_of(["asyncio.events:Handle._run"])
    'HTTP, queue and event loop'
    """
    for call in reversed(stack):
        for stage, beginnings in STAGES.items():
            if call.startswith(beginnings):
                return stage
    return REST


def table_of(figures: DecisionFigures) -> Table:
    """Lay the figures out for a terminal."""
    one = figures.loaded
    answered = one.statuses.get("200", 0)
    words = (
        f"A decision at {figures.rate:,.0f} requests/s: {answered:,} answered, p50 {one.p50_ms:.1f} ms, "
        f"p99 {one.p99_ms:.1f} ms, {figures.looks:,} looks\n{figures.machine.words}"
    )
    table = Table(title=words, title_justify="left")
    table.add_column("stage")
    table.add_column("us a decision; s of a million", justify="right")
    table.add_column("share", justify="right")
    whole = sum(stage.cpu_us for stage in figures.stages)
    for stage in figures.stages:
        table.add_row(stage.name, f"{stage.cpu_us:,.1f}", f"{stage.cpu_us / whole:.0%}")
    table.add_row("all", f"{whole:,.1f}", "", end_section=True)
    for other in PUBLISHED:
        table.add_row(other.system, f"{other.cpu_s:,.0f}", "")
    return table


def write_report(figures: DecisionFigures, out: Path) -> list[Path]:
    """Write ``decision.json``, ``decision.folded`` (for other flame graph programs) and ``decision.png``."""
    out.mkdir(parents=True, exist_ok=True)
    files = [out / f"decision.{end}" for end in ("json", "folded", "png")]
    whole = {name: value for name, value in asdict(figures).items() if name != "stacks"}
    files[0].write_text(json.dumps(whole, indent=1) + "\n")
    files[1].write_text("".join(f"{';'.join(stack)} {looks}\n" for stack, looks in figures.stacks))
    _draw(figures, files[2])
    return files


def bars_of(stacks: Sequence[Stack]) -> Iterator[Bar]:
    """Lay the calls out: what calls below what it calls, as wide as its looks; what all share is left out."""
    whole = sum(looks for _, looks in stacks)
    shared = 0
    while all(len(stack) > shared + 1 and stack[shared] == stacks[0][0][shared] for stack, _ in stacks):
        shared += 1
    return _bars([(stack[shared:], looks) for stack, looks in stacks], 0, 0.0, whole)


def _bars(stacks: Sequence[Stack], depth: int, left: float, whole: int) -> Iterator[Bar]:
    by_call: dict[str, list[Stack]] = {}
    for stack, looks in stacks:
        if len(stack) > depth:
            by_call.setdefault(stack[depth], []).append((stack, looks))
    for call, found in sorted(by_call.items()):
        width = sum(looks for _, looks in found) / whole
        yield Bar(call, depth, left, width, stage_of(found[0][0][: depth + 1]))
        yield from _bars(found, depth + 1, left, whole)
        left += width


def _draw(figures: DecisionFigures, file: Path) -> None:
    bars = list(bars_of(figures.stacks))
    names = [*STAGES, REST]
    figure = Figure(figsize=(15, 1.5 + 0.22 * max(bar.depth for bar in bars)), layout="constrained")
    axes = figure.subplots()
    for at, name in enumerate(names):
        ours = [bar for bar in bars if bar.stage == name]
        axes.barh(
            [bar.depth for bar in ours],
            [bar.width for bar in ours],
            0.95,
            [bar.left for bar in ours],
            color=f"C{at}" if name != REST else "#d0d7de",
            edgecolor="white",
            linewidth=0.3,
            label=name,
        )
    for bar in bars:
        if bar.width >= WIDEST_NAME:
            most = int(bar.width * 260)
            axes.text(bar.left, bar.depth, bar.name.rpartition(":")[2][-most:], fontsize=5, va="center")
    axes.set(xlim=(0, 1), yticks=[], xlabel="share of the main thread's processor time")
    axes.legend(fontsize=6, ncols=6, loc="upper right")
    figure.suptitle(f"A decision at {figures.rate:,.0f} requests/s; {figures.machine.words}", fontsize=8)
    figure.savefig(file, dpi=130)
