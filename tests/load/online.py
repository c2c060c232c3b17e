"""What learns best online: each candidate beside the frozen champion, on worlds where a new fraud begins.

``python -m tests.load.online`` generates worlds in which a pattern of fraud never seen before takes over
40 % of the fraud from a day on, trains a champion on what was known two weeks earlier, and plays the days
since: every day is scored by what was known in the morning. Prints a table over all worlds and writes the
curve (online.png).
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightgbm
import matplotlib as mpl
import numpy as np
import pandas as pd
from river import forest, linear_model, optim, preprocessing

from fraud.learn.examples import Examples, build_examples, split_by_time, to_micros
from fraud.learn.fit import average_precision, fit_trees, margins
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import read_tables
from fraud.learn.training import fit
from fraud.synthetic import files
from fraud.synthetic.drift import NEW_PATTERN
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.bench.machine import describe_machine
from jobs.online.learner import ResidualTrees, known_at
from jobs.online.prequential import ROLLING_DAYS, ReplayedScores, play
from jobs.online.settings import OnlineSettings

mpl.use("Agg")
from matplotlib import pyplot as plt

from tests.deployed import FEATURE_NAMES

DAYS, DRIFT_DAY, BEFORE_DAYS = 150, 72, 14
"""Of a world; its first day with the new pattern; days that are played before it."""
SETTLED_DAYS = 28
"""From so many days after the change on, what was learnt is compared."""
HONEST_PER_FRAUD = 10
"""River's models see a sample: they take a millisecond a transaction."""
SETTINGS = OnlineSettings(kafka_bootstrap="", threads=1)
FROZEN = "frozen champion"
HEAD = (
    "| learner | PR-AUC before | first 28 days | later | the new alone | days to recover | s a round |",
    "|---|---|---|---|---|---|---|",
)


@dataclass
class Frozen:
    """The champion as it was; the others differ in what they make of the window."""

    champion: lightgbm.Booster
    every: int = 1
    booster: lightgbm.Booster = field(init=False)
    days: int = 0
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.booster = self.champion

    def score(self, examples: Examples) -> np.ndarray:
        return margins(self.booster, examples.vectors, 1)

    def learn(self, known: Examples) -> None:
        self.days += 1
        if self.days % self.every == 0:
            started = time.perf_counter()
            self.booster = self.grow(known)
            self.seconds.append(time.perf_counter() - started)

    def grow(self, known: Examples) -> lightgbm.Booster:  # noqa: ARG002  (the others')
        return self.champion


@dataclass
class MoreTrees(Frozen):
    """The product's learner: the champion's boosting continues."""

    changes: dict[str, Any] = field(default_factory=dict)

    def grow(self, known: Examples) -> lightgbm.Booster:
        return ResidualTrees(self.champion, SETTINGS.model_copy(update=self.changes)).learn(known)


@dataclass
class NewTrees(Frozen):
    """As many trees as on the champion, but on nothing: the window is all that is known."""

    def grow(self, known: Examples) -> lightgbm.Booster:
        return fit_trees(known, seed=SETTINGS.seed, rounds=SETTINGS.rounds, threads=1)


@dataclass
class Leaves(Frozen):
    """LightGBM's refit: the champion's splits stay, the values of its leaves move to the window's."""

    decay: float = 0.0

    def grow(self, known: Examples) -> lightgbm.Booster:
        return self.champion.refit(known.vectors, known.is_fraud.astype(float), decay_rate=self.decay)


class River:
    """A model of river's over the features and the champion's margin; learns each label once, as it comes.

    It starts from what the champion was trained on.
    """

    def __init__(self, champion: lightgbm.Booster, model: Any, past: Examples) -> None:
        self.champion = champion
        self.model = model
        self.seconds: list[float] = []
        self._labels: dict[tuple[int, int], bool] = {}
        self._rng = np.random.default_rng(SETTINGS.seed)
        self.learn(past)
        self.seconds.clear()

    def score(self, examples: Examples) -> np.ndarray:
        frame = self._frame(examples)
        if hasattr(self.model, "predict_proba_many"):
            return np.asarray(self.model.predict_proba_many(frame)[True].to_numpy())
        found = [self.model.predict_proba_one(row).get(True, 0.0) for row in frame.to_dict("records")]
        return np.array(found)

    def learn(self, known: Examples) -> None:
        started = time.perf_counter()
        keys = list(zip(known.event_us.tolist(), known.user.tolist(), strict=True))
        truth = known.is_fraud.tolist()
        fresh = [row for row, key in enumerate(keys) if self._labels.get(key) is not truth[row]]
        self._labels.update((keys[row], truth[row]) for row in fresh)
        frauds = [row for row in fresh if truth[row]]
        honest = [row for row in fresh if not truth[row]]
        room = min(len(honest), HONEST_PER_FRAUD * len(frauds))
        rows = np.sort([*frauds, *self._rng.choice(honest, room, replace=False)] if room else frauds)
        part = known.take(rows.astype(int))
        frame = self._frame(part).to_dict("records")
        for row, is_fraud in zip(frame, part.is_fraud.tolist(), strict=True):
            self.model.learn_one(row, is_fraud)
        self.seconds.append(time.perf_counter() - started)

    def _frame(self, examples: Examples) -> pd.DataFrame:
        margin = margins(self.champion, examples.vectors, 1)
        values = np.nan_to_num(np.column_stack([margin, examples.vectors]), nan=-1.0)
        return pd.DataFrame(values, columns=["margin", *FEATURE_NAMES])


def candidates(champion: lightgbm.Booster, past: Examples, every: int) -> dict[str, Any]:
    regression = preprocessing.StandardScaler() | linear_model.LogisticRegression(
        optimizer=optim.AdaGrad(0.1), l2=1e-4
    )
    trees = forest.ARFClassifier(n_models=10, seed=SETTINGS.seed)
    return {
        FROZEN: Frozen(champion),
        f"{SETTINGS.rounds} trees upon the champion": MoreTrees(champion, every),
        "60 trees upon the champion": MoreTrees(champion, every, changes={"rounds": 60}),
        f"{SETTINGS.rounds} trees upon nothing": NewTrees(champion, every),
        "champion's leaves refit, half": Leaves(champion, every, decay=0.5),
        "champion's leaves refit, wholly": Leaves(champion, every),
        "river: logistic regression over the champion": River(champion, regression, past),
        "river: adaptive random forest over the champion": River(champion, trees, past),
    }


@dataclass
class World:
    """What one world gave."""

    played: ReplayedScores
    is_new: np.ndarray
    """Rows that the new pattern made."""
    seconds: dict[str, float]
    """Of a round of learning."""

    def pr_auc(self, name: str, begin: int, end: int, *, new_alone: bool = False) -> float:
        day, truth = self.played.day - BEFORE_DAYS, self.played.examples.is_fraud
        rows = (day >= begin) & (day < end)
        rows &= self.is_new | ~truth if new_alone else np.ones(len(truth), bool)
        return average_precision(truth[rows], self.played.scores[name][rows])


def play_world(folder: Path, seed: int, transactions: int, every: int, tell: Callable[[str], None]) -> World:
    generator = GeneratorSettings(
        transactions=transactions, days=DAYS, drift="new_pattern", drift_day=DRIFT_DAY, seed=seed
    )
    files.write(generate(generator), folder)
    settings = TrainSettings.quick(
        data=str(folder), as_of=generator.start, mlflow_uri="", seed=seed
    ).model_copy(update={"threads": 1})
    tables = read_tables(settings)
    examples = build_examples(tables)
    go_live = generator.start + timedelta(days=DRIFT_DAY - BEFORE_DAYS)
    split = split_by_time(examples, go_live, go_live - timedelta(days=settings.label_gap_days))
    champion = fit(split, settings).booster
    begin_us = to_micros(go_live)
    past = known_at(examples, begin_us, SETTINGS.model_copy(update={"window_days": float(DAYS)}))
    learners = candidates(champion, past, every)
    end_us = generator.start_us + generator.span_us
    played = play(
        examples, learners, begin_us, end_us, SETTINGS, on_day=lambda day: tell(f"world {seed}, day {day}")
    )
    patterns = files.read_table(folder, "patterns")
    made = set(patterns.filter(np.array(patterns["pattern"].to_pylist()) == NEW_PATTERN)[0].to_pylist())
    is_new = np.array([one in made for one in tables.transactions["transaction_id"].to_pylist()])
    inside = (examples.event_us >= begin_us) & (examples.event_us < end_us)
    seconds = {name: float(np.mean(learner.seconds)) for name, learner in learners.items()}
    return World(played, is_new[inside], seconds)


def days_to_recover(curve: np.ndarray, before: float, frozen_after: float) -> int | None:
    """Count the days until half of what the frozen champion loses for good is won back, for good."""
    half = (before + frozen_after) / 2.0
    lost = np.flatnonzero(curve[BEFORE_DAYS:] < half)
    if len(lost) == 0:
        return 0
    return None if lost[-1] == len(curve) - BEFORE_DAYS - 1 else int(lost[-1]) + 1


def summarise(worlds: list[World]) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    names = list(worlds[0].played.scores)
    curves = {name: np.mean([w.played.curve(name) for w in worlds], axis=0) for name in names}
    last = DAYS - DRIFT_DAY

    def mean(name: str, *period: int, **only: bool) -> float:
        return float(np.mean([world.pr_auc(name, *period, **only) for world in worlds]))

    before, frozen_after = mean(FROZEN, -BEFORE_DAYS, 0), mean(FROZEN, SETTLED_DAYS, last)
    rows = [
        {
            "learner": name,
            "before": mean(name, -BEFORE_DAYS, 0),
            "first": mean(name, 0, SETTLED_DAYS),
            "later": mean(name, SETTLED_DAYS, last),
            "new": mean(name, SETTLED_DAYS, last, new_alone=True),
            "days": days_to_recover(curves[name], before, frozen_after),
            "seconds": float(np.mean([world.seconds[name] for world in worlds])),
        }
        for name in names
    ]
    return rows, curves


def line_of(row: dict[str, Any]) -> str:
    figures = " | ".join(f"{row[key]:.3f}" for key in ("before", "first", "later", "new"))
    days = "never" if row["days"] is None else row["days"]
    return f"| {row['learner']} | {figures} | {days} | {row['seconds']:.1f} |"


def draw(curves: dict[str, np.ndarray], words: str, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8.5, 4.2), dpi=110)
    for name, curve in curves.items():
        style: dict[str, Any] = {"color": "black", "linestyle": "--"} if name == FROZEN else {}
        axes.plot(np.arange(len(curve)) - BEFORE_DAYS, curve, label=name, linewidth=1.6, **style)
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_xlabel("day since the new fraud pattern began")
    axes.set_ylabel(f"PR-AUC of the last {ROLLING_DAYS} days")
    axes.set_title(words, fontsize=8)
    axes.legend(fontsize=7, ncols=2, loc="lower right")
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, pil_kwargs={"optimize": True})


def main() -> None:
    """Play all worlds; after each, print the table over those played and draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=3, help="seeds 11, 12, ...")
    parser.add_argument("--transactions", type=int, default=60_000, help="of each world")
    parser.add_argument("--every", type=int, default=7, help="days between rounds of the trees' learners")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for online.png")
    given = parser.parse_args()
    machine = describe_machine().words

    def tell(line: str) -> None:
        sys.stderr.write(f"{line}\r")

    worlds: list[World] = []
    for seed in range(11, 11 + given.worlds):
        with TemporaryDirectory() as folder:
            worlds.append(play_world(Path(folder), seed, given.transactions, given.every, tell))
        rows, curves = summarise(worlds)
        title = f"worlds: {len(worlds)}, of {given.transactions:,} transactions"
        lines = [f"{title}; {machine}", *HEAD, *(line_of(row) for row in rows)]
        print("\n".join(lines), flush=True)  # noqa: T201  the result
        draw(curves, title, given.out / "online.png")


if __name__ == "__main__":
    main()
