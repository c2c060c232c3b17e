"""How many events the fold takes in a second on one core, and how that compares with plain Python.

Rates are events per second of this process's processor time, so that others' work on the machine
counts little; the fold runs in one thread.
"""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Final

import numpy as np

from fraud.errors import FraudError
from fraud.features.engine import fold_events
from fraud.features.kernel import Floats
from fraud.features.plan import EVENT_COLUMN, compile_plan
from fraud.schema.default import MERCHANT, USER
from fraud.schema.entities import Entity
from fraud.tools.bench.machine import Machine, describe_machine
from fraud.tools.bench.plain import PlainFold
from fraud.tools.bench.workloads import draw_bursts, draw_busy_merchant, draw_history, draw_traffic

__all__ = ["FULL", "QUICK", "FoldReport", "Rate", "Sizes", "measure_features"]

TARGET_PER_S: Final = 1_000_000
MICRO_BATCH: Final = 20_000
PAST: Final = 5
"""Transactions of each user before growth is measured."""
BURST: Final = 200
SAME: Final = "the same work, new states"
_TOLERANCE: Final = 1e-9
_KM_TOLERANCE: Final = 3e-4


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    transactions: int
    users: int
    merchants: int
    plain: int
    """Transactions that plain Python and the fold both take: the first ones."""
    growth: tuple[int, ...]
    """Numbers of users whose states are there."""
    repeats: int
    micro_batch: int = MICRO_BATCH
    """Rows of a micro-batch."""


QUICK: Final = Sizes(200_000, 20_000, 4_000, 100_000, (10_000, 30_000, 100_000), 3)
FULL: Final = Sizes(2_000_000, 200_000, 20_000, 200_000, (10_000, 30_000, 100_000, 300_000, 1_000_000), 5)


@dataclass(frozen=True, slots=True)
class Rate:
    """One measurement."""

    entity: str
    work: str
    engine: str
    """``fold`` or ``plain``."""
    events: int
    entities: int
    features: int
    events_per_s: float
    """Best of the repeats."""
    median_per_s: float
    touched: int = 0
    """Entities in a micro-batch, each of whose states is loaded and stored once; of growth alone."""


@dataclass(frozen=True, slots=True)
class FoldReport:
    """All that was measured."""

    machine: Machine
    sizes: Sizes
    target_per_s: int = TARGET_PER_S
    rates: list[Rate] = field(default_factory=list)
    growth: list[Rate] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    """Values that plain Python and the fold agreed on, by entity."""

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON takes it."""
        return asdict(self)


def measure_features(sizes: Sizes, tell: Callable[[str], None]) -> FoldReport:
    """Measure the fold.

    Parameters
    ----------
    sizes
        QUICK or FULL.
    tell
        Takes words of progress.

    Raises
    ------
    FraudError
        When plain Python and the fold disagree.
    """
    report = FoldReport(describe_machine(), sizes)
    tell(f"drawing {sizes.transactions:,} transactions of {sizes.users:,} users")
    traffic = draw_traffic(sizes.transactions, sizes.users, sizes.merchants)
    stream = traffic.transactions
    extremes = {
        "user": ("bursts of 200 in minutes", draw_bursts(stream, BURST)),
        "merchant": ("one merchant, a week", draw_busy_merchant(stream)),
    }
    fold_micro_batches = partial(_fold_micro_batches, rows=sizes.micro_batch)
    for entity in (USER, MERCHANT):
        fold_events(entity, stream[:1000], {})  # compiles
        works: list[tuple[str, Floats, Callable[[Entity, Floats], None]]] = [
            ("stream, new states", stream, _fold_vectors),
            ("stream, states stored", stream, _fold_and_store),
            ("micro-batches, states loaded and stored", stream, fold_micro_batches),
            ("stream with labels, new states", traffic.with_labels, _fold_vectors),
            (f"{extremes[entity.name][0]}, new states", extremes[entity.name][1], _fold_vectors),
        ]
        for work, events, act in works:
            tell(f"{entity.name}s: {work}")
            report.rates.append(_rate(entity, work, events, act, sizes.repeats))
        tell(f"{entity.name}s: plain Python")
        same = stream[: sizes.plain]
        rate, checked = _measure_plain(entity, same)
        report.rates.extend([_rate(entity, SAME, same, _fold_vectors, sizes.repeats), rate])
        report.checked[entity.name] = checked
    for users in sizes.growth:
        tell(f"growth: {users:,} users")
        report.growth.append(_measure_growth(users, sizes.micro_batch))
    return report


def _rate(
    entity: Entity, work: str, events: Floats, act: Callable[[Entity, Floats], None], repeats: int
) -> Rate:
    seconds = []
    for _ in range(repeats):
        gc.collect()
        started = time.process_time()
        act(entity, events)
        seconds.append(time.process_time() - started)
    return _make_rate(entity, work, "fold", events, seconds)


def _make_rate(entity: Entity, work: str, engine: str, events: Floats, seconds: list[float]) -> Rate:
    n = len(events)
    return Rate(
        entity=entity.name,
        work=work,
        engine=engine,
        events=n,
        entities=len(np.unique(events[:, EVENT_COLUMN[entity.name]])),
        features=len(compile_plan(entity).features),
        events_per_s=round(n / min(seconds)),
        median_per_s=round(n / float(np.median(seconds))),
    )


def _fold_vectors(entity: Entity, events: Floats) -> None:
    fold_events(entity, events, {}, keep_states=False)


def _fold_and_store(entity: Entity, events: Floats) -> None:
    fold_events(entity, events, {})


def _fold_micro_batches(entity: Entity, events: Floats, rows: int) -> None:
    states: dict[float, bytes | None] = {}
    for first in range(0, len(events), rows):
        states |= fold_events(entity, events[first : first + rows], states).states


def _measure_plain(entity: Entity, events: Floats) -> tuple[Rate, int]:
    rows = [tuple(row) for row in events.tolist()]
    plain = PlainFold(entity)
    gc.collect()
    gc.disable()  # else the collector walks all states repeatedly, at plain Python's cost
    started = time.process_time()
    vectors = [plain.fold(row) for row in rows]
    seconds = time.process_time() - started
    gc.enable()
    checked = _check(entity, events, np.array(vectors, np.float64))
    return _make_rate(entity, SAME, "plain", events, [seconds]), checked


def _check(entity: Entity, events: Floats, plain: Floats) -> int:
    """Hold plain Python against the fold, wherever the fold is event-exact; counts the values."""
    folded = fold_events(entity, events, {}, keep_states=False).vectors
    exact = np.array(list(_ranks(events[:, EVENT_COLUMN[entity.name]]))) < entity.events
    for i, feature in enumerate(compile_plan(entity).features):
        near = _KM_TOLERANCE * 60 if feature.unit.startswith("km") else 0.0  # km/h: over a minute
        same = np.isclose(plain[exact, i], folded[exact, i], rtol=_TOLERANCE, atol=near, equal_nan=True)
        if not same.all():
            raise FraudError(f"plain Python and the fold disagree on {feature.name}: {(~same).sum()} values")
    return int(np.count_nonzero(exact)) * len(compile_plan(entity).features)


def _ranks(keys: Floats) -> Iterator[int]:
    """How many events of the same entity came before each."""
    seen: dict[float, int] = {}
    for key in keys.tolist():
        seen[key] = seen.get(key, -1) + 1
        yield seen[key]


def _measure_growth(users: int, rows: int) -> Rate:
    """Fold micro-batches of the simulator's traffic where each of so many users has a state already."""
    traffic = draw_traffic(5 * rows, users, 10_000, days=14)
    states: dict[float, bytes | None] = {}
    for part in draw_history(traffic, PAST, 10 * rows):
        states |= fold_events(USER, part, states).states
    stream = traffic.transactions
    seconds = []
    for first in range(0, len(stream), rows):
        gc.collect()
        started = time.process_time()
        states |= fold_events(USER, stream[first : first + rows], states).states
        seconds.append(time.process_time() - started)
    work = "micro-batches, states loaded and stored"
    rate = _make_rate(USER, work, "fold", stream[:rows], seconds)
    return replace(rate, entities=len(states), touched=rate.entities)
