"""How soon drift of four kinds is seen, and how often drift is seen where there is none.

    uv run python -m tests.load.drift

A model is trained on the first 91 days of a generated world, as `fraud train` does, and registered with its
profile; from then on every day is judged, as `fraud drift` does: first over 209 days without drift, then
with each of the generator's drifts from day 150 on. Beside it, `fraud performance` looks whether figures of
decisions fall, by labels that have matured for 7 days.
"""

import argparse
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from fraud.decide.policy import decide
from fraud.learn.examples import Examples, build_examples, divide, to_micros
from fraud.learn.profile import make_profile, text_fields
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import Tables
from fraud.learn.training import fit
from fraud.model.card import ScoringModel
from fraud.schema.deployed import deployed_schema
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import DAY_US, Drift, GeneratorSettings
from fraud.tools.bench.machine import describe_machine
from fraud.watch.profile import SCORE, Profile, Tally
from jobs.drift.judge import Day, Judge
from jobs.drift.settings import Limits
from jobs.performance.read import Decided, join
from jobs.performance.report import draw
from jobs.performance.settings import PerformanceSettings
from jobs.performance.summary import find_drops, summarise
from tests.deployed import FEATURE_NAMES

DAYS, LIVE, DRIFT = 300, 91, 150
"""Length of a world, its first live day, its first day of drift."""
LOOK_DAYS = 5
"""Days between two looks at the performance, which takes longer."""
WINDOW_DAYS = 7


@dataclass(frozen=True)
class Trained:
    model: ScoringModel
    profile: Profile


@dataclass
class WatchResult:
    """What drift and performance reported for one data set; days since 1970."""

    alarms: dict[int, tuple[str, ...]]
    """Day: columns in alarm."""
    falls: dict[int, tuple[str, ...]]
    """Day of a look: figures that have fallen."""
    decided: Decided

    def first(self, found: dict[int, tuple[str, ...]], since: int) -> tuple[int, tuple[str, ...]] | None:
        days = sorted(day for day, names in found.items() if day >= since and names)
        return (days[0] - since + 1, found[days[0]]) if days else None


def world(kind: Drift, seed: int, a_day: int) -> GeneratorSettings:
    return GeneratorSettings(
        transactions=DAYS * a_day, users=10 * a_day, merchants=4 * a_day, days=DAYS, seed=seed,
        drift=kind, drift_day=DRIFT,
    )  # fmt: skip


def train(data: DataSet, examples: Examples, settings: GeneratorSettings) -> Trained:
    as_of = settings.start + timedelta(days=LIVE)
    quick = TrainSettings.quick("", as_of=as_of, mlflow_uri="", seed=settings.seed)
    wanted = quick.model_copy(update={"threads": 1})  # so that other work on the machine does not matter
    split = divide(examples, wanted)
    fitted = fit(split, wanted)
    profile = make_profile(
        examples, data.transactions, split, fitted.model, fitted.validation, until_us=to_micros(as_of)
    )
    return Trained(fitted.model, profile)


def watch(
    data: DataSet, examples: Examples, trained: Trained, settings: GeneratorSettings, days: range
) -> WatchResult:
    """Look at every day as it ends; days count from the world's first.

    A world that drifts is left once both watchers have seen something.
    """
    begin = settings.start_us // DAY_US
    score = trained.model.predict(examples.vectors)
    judge = Judge(trained.profile, count(data, examples, trained, score, settings), Limits())
    decided = decisions_of(data, trained, score, settings)
    ahead = range(begin + days.start - judge.limits.window + 1, begin + days.start)
    judged: deque[Day] = deque(map(judge.day, ahead), maxlen=judge.limits.window)
    seen = WatchResult({}, {}, decided)
    for number, day in enumerate(range(begin + days.start, begin + days.stop)):
        judged.append(judge.day(day))
        seen.alarms[day] = tuple(judge.alarms(list(judged)))
        if number % LOOK_DAYS == 0:
            seen.falls[day] = fallen(known(decided, (day + 1) * DAY_US))
        if settings.drift is not Drift.NONE and any(seen.alarms.values()) and any(seen.falls.values()):
            break
    return seen


def count(
    data: DataSet, examples: Examples, trained: Trained, score: np.ndarray, settings: GeneratorSettings
) -> Tally:
    """Count the live days, as `jobs/drift` does from the Delta tables."""
    begin = settings.start_us // DAY_US
    tally = Tally(trained.profile.columns, range(begin + LIVE, begin + DAYS))
    tally.add(examples.event_us, {name: examples.vectors[:, at] for at, name in enumerate(FEATURE_NAMES)})
    tally.add(examples.event_us, {SCORE: score})
    times = data.transactions["event_time"].cast(pa.int64()).to_numpy()
    tally.add(times, text_fields(data.transactions, deployed_schema()))
    tally.add_times(times)
    return tally


def decisions_of(data: DataSet, trained: Trained, score: np.ndarray, settings: GeneratorSettings) -> Decided:
    """What the platform would have decided since it went live, with all labels."""
    transactions = data.transactions
    outcomes = decide(score, trained.model.card.thresholds)
    table = transactions.select(["transaction_id", "user_id", "event_time", "amount"])
    table = table.append_column("outcome", pa.array([str(one) for one in outcomes]))
    table = table.append_column("score", pa.array(score))
    table = table.append_column("model_version", pa.array(["1"] * table.num_rows))
    live = transactions["event_time"].cast(pa.int64()).to_numpy() >= settings.start_us + LIVE * DAY_US
    return join(
        table.filter(pa.array(live)),
        data.labels,
        deployed_schema(),
        as_of_us=settings.start_us + DAYS * DAY_US,
    )


def known(decided: Decided, as_of_us: int) -> Decided:
    """What was known at a moment."""
    before = int(np.searchsorted(decided.event_us, as_of_us))
    told = (decided.label_us <= as_of_us) & (decided.label_row < before)
    return replace(
        decided,
        **{name: getattr(decided, name)[:before] for name in _BY_DECISION},
        **{name: getattr(decided, name)[told] for name in _BY_LABEL},
        as_of_us=as_of_us,
    )


def fallen(decided: Decided) -> tuple[str, ...]:
    """Number of figures that have fallen."""
    falls, _ = find_drops(decided, WINDOW_DAYS, PerformanceSettings(draws=100))
    return tuple(f"{one.metric} ({one.basis})" for one in falls if one.has_fallen)


_BY_DECISION = ("event_us", "user", "amount", "score", "is_flagged", "version")
_BY_LABEL = ("label_row", "label_us", "label_type")


def simulate(seeds: int, a_day: int, after: int) -> Iterator[tuple[Drift, int, WatchResult]]:
    """Watch every kind of world, of several seeds."""
    for seed in range(1, seeds + 1):
        trained = None
        for kind in Drift:
            settings = world(kind, seed, a_day)
            data = generate(settings)
            examples = build_examples(Tables(data.transactions, data.labels, ""))
            trained = trained or train(data, examples, settings)  # before the drift all are one world
            first, last = (LIVE + Limits().window, DAYS) if kind is Drift.NONE else (DRIFT, DRIFT + after)
            yield kind, seed, watch(data, examples, trained, settings, range(first, last))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="worlds of each kind")
    parser.add_argument("--a-day", type=int, default=800, help="transactions of a day")
    parser.add_argument("--after", type=int, default=60, help="days that are watched after a drift begins")
    parser.add_argument("--plot", type=Path, help="picture of the performance under a new pattern of fraud")
    given = parser.parse_args()
    console, started = Console(width=150), time.perf_counter()
    since = world(Drift.NONE, 1, given.a_day).start_us // DAY_US + DRIFT
    table = Table("drift", "seed", "days until columns alarm", "days until performance falls")
    for kind, seed, seen in simulate(given.seeds, given.a_day, given.after):
        if kind is Drift.NONE:
            cells = [
                f"{sum(map(bool, seen.alarms.values()))} of {len(seen.alarms)} days in alarm",
                f"{sum(map(bool, seen.falls.values()))} of {len(seen.falls)} looks",
            ]
        else:
            cells = [in_words(seen.first(found, since)) for found in (seen.alarms, seen.falls)]
        table.add_row(str(kind), str(seed), *cells)
        console.print(f"{time.perf_counter() - started:.0f} s: {kind}, seed {seed}: {'; '.join(cells)}")
        if given.plot and kind is Drift.NEW_PATTERN and seed == 1:
            decided = known(seen.decided, (since + given.after) * DAY_US)
            draw(summarise(decided, PerformanceSettings())).savefig(given.plot, dpi=80)
    console.print(table)
    machine = describe_machine()
    console.print(f"{given.a_day} transactions a day; {machine.words}")


def in_words(found: tuple[int, tuple[str, ...]] | None) -> str:
    if found is None:
        return "never"
    day, names = found
    return f"{day}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"


if __name__ == "__main__":
    main()
