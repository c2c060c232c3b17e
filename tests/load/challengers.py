"""What could be better than the defaults of ``fraud train``, each on the same rows, features and split.

    uv run --with catboost --with jax --with optax python -m tests.load.challengers --worlds handbook,sparkov

The worlds are those of the scoreboard, and ``generated``: what ``fraud generate`` writes, whose labels come
late, the frauds' first. Every challenger is measured beside the defaults on the same resamples of the test's
users: a gain counts where its interval lies above 0. The time is that of a single row, on one thread.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import lightgbm
import numpy as np
import pyarrow.parquet as pq

from fraud.learn.examples import Bools, Examples, Split, build_examples, divide, forward_folds, to_micros
from fraud.learn.fit import PARAMETERS, average_precision, complete, dataset, fit_trees, validate_trees
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import read_tables
from fraud.learn.tune import choose
from fraud.model.card import Floats
from fraud.schema.reading import default_schema, read_schema
from fraud.synthetic import files
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.bench.machine import describe_machine
from fraud.tools.bench.quality import SCHEMAS
from fraud.tools.bench.quality_world import WORLDS, Task, is_new, settings_of
from fraud.watch.bootstrap import NAMES, Scored, interval, resample

GENERATED: Final = "generated"
RESAMPLES: Final = 400
SEEDS: Final = 5
TRANSACTIONS: Final = 60_000
"""Of the generated world, at size 1."""
DEFAULTS: Final = "defaults"
MEMORY: Final = 16
"""Transactions of a card that the sequence model sees, the present one among them."""
OF_LABELS: Final = ("fraud", "honest", "streak")
"""Words in the names of features that know past labels."""
PARTS: Final = (
    "chosen",
    "seeds",
    "weights",
    "focal",
    "monotone",
    "without_labels",
    "young",
    "cat",
    "sequence",
    "mixtures",
)
Scorer = Callable[[Floats], Floats]


def draw(name: str, seed: int, size: float) -> tuple[Examples, Split, TrainSettings, Bools]:
    """Draw a world, and divide it by time; the mask tells which rows of the test count."""
    with TemporaryDirectory(prefix="challengers-") as folder:
        if name == GENERATED:
            count = round(TRANSACTIONS * size)
            made = GeneratorSettings(
                transactions=count, users=max(count // 10, 500), merchants=max(count // 40, 100), seed=seed
            )
            files.write(generate(made, default_schema()), Path(folder))
            settings = TrainSettings(data=folder, threads=1, trials=0, balance="none", seed=7)
            tables = read_tables(settings, schema=default_schema())
        else:
            world = WORLDS[name]
            path = Path(folder) / "world.parquet"
            pq.write_table(world.draw(seed, size), path)
            settings = settings_of(Task(name, seed, size), world, str(path))
            schema = read_schema(SCHEMAS / world.schema) if world.schema else default_schema()
            tables = read_tables(settings, schema=schema)
        examples = build_examples(tables, vectors="computed", gap_days=settings.label_gap_days)
    split = divide(examples, settings)
    counted = np.ones(len(split.test), bool)
    if name != GENERATED and WORLDS[name].without_known:
        counted = is_new(examples, split, WORLDS[name].gap_days)
    return examples, split, settings, counted


class Bench:
    """One world, and the trees that the defaults give on it.

    Parameters
    ----------
    examples, split, settings
        Of the world.
    """

    def __init__(self, examples: Examples, split: Split, settings: TrainSettings) -> None:
        self.examples, self.split, self.settings = examples, split, settings
        self.train, self.test = split.train, split.test
        self.folds = forward_folds(self.train, settings.folds, settings.validation_share)
        self.rounds = self._rounds(self.train)
        self.trees = self._fit(self.train)
        self.scores: dict[str, Floats] = {}
        self.row_us: dict[str, float] = {}

    def _rounds(self, train: Examples, **changes: Any) -> int:
        folds = forward_folds(train, self.settings.folds, self.settings.validation_share)
        return validate_trees(train, folds, seed=self.settings.seed, threads=1, **changes).rounds

    def _fit(self, train: Examples, **changes: Any) -> lightgbm.Booster:
        given: dict[str, Any] = {"seed": self.settings.seed, "rounds": self.rounds, "threads": 1, **changes}
        return fit_trees(train, **given)

    def add(self, name: str, score: Scorer, vectors: Floats | None = None) -> None:
        """Score the test, and time single rows."""
        rows = self.test.vectors if vectors is None else vectors
        self.scores[name] = score(rows)
        began = time.perf_counter()
        for at in range(200):
            score(rows[at : at + 1])
        self.row_us[name] = (time.perf_counter() - began) / 200 * 1e6

    def run(self, parts: Sequence[str]) -> None:
        """Train and score the challengers that are named."""
        self.add(DEFAULTS, _by(self.trees))
        for name in parts:
            began = time.perf_counter()
            getattr(self, name)()
            say(f"  {name}: {time.perf_counter() - began:.0f} s")

    def chosen(self) -> None:
        """Let the validation choose the weight of a fraud, as ``fraud train`` does."""
        settings = self.settings.model_copy(update={"balance": "auto", "trials": 0})
        balance = choose(self.train, settings, say).balance
        rounds = self._rounds(self.train, balance=balance)
        self.add(
            f"weight by validation ({balance})", _by(self._fit(self.train, balance=balance, rounds=rounds))
        )

    def seeds(self) -> None:
        """Average the log-odds of trees of several seeds."""
        seeds = range(self.settings.seed + 1, self.settings.seed + SEEDS)
        boosters = [self.trees, *(self._fit(self.train, seed=seed) for seed in seeds)]
        self.add(
            f"mean of {SEEDS} seeds",
            lambda rows: np.mean([_by(one)(rows) for one in boosters], axis=0),
        )

    def weights(self) -> None:
        """Weigh frauds by the root of the honest to one fraud, and by that ratio."""
        for balance in ("root", "full"):
            rounds = self._rounds(self.train, balance=balance)
            self.add(f"weight {balance}", _by(self._fit(self.train, balance=balance, rounds=rounds)))

    def focal(self) -> None:
        """Fit the focal loss (Lin et al. 2017): what is told well counts less, by the power gamma."""
        for gamma in (0.5, 2.0):
            full = complete(PARAMETERS, self.train, seed=self.settings.seed, threads=1, balance="none")
            full |= {"objective": focal_of(gamma)}
            data = dataset(self.train, PARAMETERS)
            found: dict[str, Any] = lightgbm.cv(
                full,
                data,
                600,
                folds=[(fold.fit, fold.held) for fold in self.folds],
                callbacks=[lightgbm.early_stopping(60, verbose=False)],
                return_cvbooster=True,
            )
            rounds = max(int(found["cvbooster"].best_iteration), 1)
            booster = lightgbm.train(full, dataset(self.train, PARAMETERS), rounds)
            self.add(f"focal loss, gamma {gamma:g}", _by(booster))

    def monotone(self) -> None:
        """Let shares and streaks of known fraud only raise the score."""
        names = self.train.schema.feature_names
        signs = tuple(int("fraud_share" in name or "fraud_streak" in name) for name in names)
        rounds = self._rounds(self.train, monotone=signs)
        self.add("monotone in known fraud", _by(self._fit(self.train, monotone=signs, rounds=rounds)))

    def without_labels(self) -> None:
        """Leave out what encodes keys by their past labels: shares of fraud, streaks, times since."""
        names = self.train.schema.feature_names
        kept = [at for at, name in enumerate(names) if not any(word in name for word in OF_LABELS)]
        train = _only(self.train, kept)
        test = self.test.vectors.copy()
        dropped = [at for at in range(len(names)) if at not in kept]
        test[:, dropped] = np.nan
        rounds = self._rounds(train)
        self.add("without past labels", _by(self._fit(train, rounds=rounds)), test)

    def young(self) -> None:
        """Train until the moment of training, on as many trees; the newest have the labels known by then."""
        as_of = self.split.as_of
        until = replace_end(self.settings, as_of)
        train = divide(self.examples, until).train
        self.add("trained on the youngest, too", _by(self._fit(train)))
        age = (to_micros(as_of) - train.event_us) / timedelta(days=1).total_seconds() / 1e6
        sure = train.is_fraud | (age >= self.settings.label_gap_days)
        self.add("with the youngest known frauds", _by(self._fit(train.take(sure))))

    def cat(self) -> None:
        """Fit CatBoost with its defaults, on as many trees as the last block chooses."""
        catboost = import_module("catboost")
        fold = self.folds[-1]
        given = {"random_seed": 7, "thread_count": 2, "verbose": False, "eval_metric": "PRAUC"}
        given["allow_writing_files"] = False
        first = catboost.CatBoostClassifier(iterations=1_000, early_stopping_rounds=60, **given)
        held = (self.train.vectors[fold.held], self.train.is_fraud[fold.held])
        first.fit(self.train.vectors[fold.fit], self.train.is_fraud[fold.fit], eval_set=held)
        trees = max(int(first.get_best_iteration() or 0) + 1, 50)
        model = catboost.CatBoostClassifier(iterations=trees, **given)
        model.fit(self.train.vectors, self.train.is_fraud)
        self.add("CatBoost", lambda rows: np.asarray(model.predict(rows, prediction_type="RawFormulaVal")))

    def sequence(self) -> None:
        """Fit a GRU over the card's last transactions, beside the features of the present one."""
        net = SequenceNet(self.examples, self.train)
        net.fit(self.train, self.folds[-1].fit, self.folds[-1].held)
        rows = rows_of(self.examples, self.test)
        self.scores["GRU"] = net.score(rows)
        began = time.perf_counter()
        for at in range(100):
            net.score(rows[at : at + 1])
        self.row_us["GRU"] = (time.perf_counter() - began) / 100 * 1e6

    def mixtures(self) -> None:
        """Average the ranks of the defaults and another kind of model."""
        for other in {"CatBoost", "GRU"} & set(self.scores):
            pair = [self.scores[DEFAULTS], self.scores[other]]
            name = f"defaults with {other}"
            self.scores[name] = np.mean([np.argsort(np.argsort(one)) for one in pair], axis=0)
            self.row_us[name] = self.row_us[DEFAULTS] + self.row_us[other]


class SequenceNet:
    """A gated recurrent unit over a card's last transactions; its end and the features go through two layers.

    A step is amount, time since the one before, hour, category, and the label where it was known at the
    present transaction's time.
    """

    width: Final = 32
    steps: Final = 7
    epochs: Final = 12

    def __init__(self, examples: Examples, train: Examples) -> None:
        self.jax, self.optax = import_module("jax"), import_module("optax")
        self.examples = examples
        self.before = last_of(examples, MEMORY)
        ranks = np.sort(np.nan_to_num(train.vectors, nan=-1.0), axis=0)
        self.levels = ranks[np.linspace(0, len(ranks) - 1, 65).astype(int)]
        self.parameters: Any = None
        self.forward = self.jax.jit(self._forward)

    def inputs(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Make what the net sees: steps [n, MEMORY, steps], which are there, features [n, columns]."""
        of = self.examples
        at = self.before[rows]
        there = at >= 0
        time_us, now = of.event_us[at], of.event_us[rows][:, None]
        apart = np.diff(time_us, axis=1, prepend=time_us[:, :1]) / 1e6
        hour = time_us / 3.6e9 % 24 / 24 * 2 * np.pi
        is_known = (of.label_us[at] <= now) & (at != rows[:, None])
        label = np.where(is_known, np.where(of.is_fraud[at], 1.0, -1.0), 0.0)
        parts = (
            np.log1p(of.amount[at]) / 5,
            np.log1p(np.maximum(apart, 0)) / 10,
            np.log1p(np.maximum((now - time_us) / 1e6, 0)) / 10,
            np.sin(hour),
            np.cos(hour),
            (of.category[at] * 0.618) % 1.0,
            label,
        )
        steps = np.stack(parts, axis=2) * there[:, :, None]
        vectors = np.nan_to_num(of.vectors[rows], nan=-1.0)
        ranked = [
            np.searchsorted(level, column, "left") / 65
            for level, column in zip(self.levels.T, vectors.T, strict=True)
        ]
        features = np.column_stack(ranked) * 2 - 1
        return steps.astype(np.float32), there.astype(np.float32), features.astype(np.float32)

    def _forward(self, p: Any, steps: Any, there: Any, features: Any) -> Any:
        jnp, jax = self.jax.numpy, self.jax

        def step(state: Any, seen: Any) -> Any:
            one, is_there = seen
            both = jnp.concatenate([one, state], axis=1)
            gate = jax.nn.sigmoid(both @ p["gates"] + p["gates_bias"])
            update, reset = gate[:, : self.width], gate[:, self.width :]
            new = jnp.tanh(jnp.concatenate([one, reset * state], axis=1) @ p["new"] + p["new_bias"])
            after = update * state + (1 - update) * new
            return jnp.where(is_there[:, None] > 0, after, state), None

        start = jnp.zeros((steps.shape[0], self.width))
        end, _ = jax.lax.scan(step, start, (jnp.swapaxes(steps, 0, 1), there.T))
        inner = jax.nn.relu(jnp.concatenate([end, features], axis=1) @ p["first"] + p["first_bias"])
        return (inner @ p["second"] + p["second_bias"])[:, 0]

    def _begin(self, columns: int) -> Any:
        rng = np.random.default_rng(7)

        def of(rows: int, out: int) -> np.ndarray:
            return rng.normal(0, 1 / np.sqrt(rows), (rows, out)).astype(np.float32)

        width, seen = self.width, self.steps + self.width
        zeros = {"gates_bias": 2 * width, "new_bias": width, "first_bias": 64, "second_bias": 1}
        sizes = {"gates": (seen, 2 * width), "new": (seen, width)}
        sizes |= {"first": (width + columns, 64), "second": (64, 1)}
        return {name: of(*size) for name, size in sizes.items()} | {
            name: np.zeros(size, np.float32) for name, size in zeros.items()
        }

    def fit(self, train: Examples, fit: np.ndarray, held: np.ndarray) -> None:
        """Find the number of epochs on the last block, then learn so many on the whole training period."""
        rows = rows_of(self.examples, train)
        truth = train.is_fraud.astype(np.float32)
        best, epochs = -1.0, 1
        for epoch, _ in enumerate(self._epochs(rows[fit], truth[fit]), 1):
            found = average_precision(train.is_fraud[held], self.score(rows[held]))
            if found > best:
                best, epochs = found, epoch
        for epoch, _ in enumerate(self._epochs(rows, truth), 1):
            if epoch == epochs:
                break

    def _epochs(self, rows: np.ndarray, truth: np.ndarray) -> Iterator[None]:
        jax, jnp, optax = self.jax, self.jax.numpy, self.optax
        seen = self.inputs(rows)
        self.parameters = self._begin(seen[2].shape[1])
        rule = optax.adamw(2e-3, weight_decay=1e-3)
        state = rule.init(self.parameters)

        def loss(p: Any, steps: Any, there: Any, features: Any, labels: Any) -> Any:
            return jnp.mean(
                optax.sigmoid_binary_cross_entropy(self._forward(p, steps, there, features), labels)
            )

        @jax.jit  # type: ignore[untyped-decorator,unused-ignore]
        def learn(p: Any, state: Any, batch: Any) -> Any:
            change, state = rule.update(jax.grad(loss)(p, *batch), state, p)
            return optax.apply_updates(p, change), state

        rng, size = np.random.default_rng(7), 512
        for _ in range(self.epochs):
            order = rng.permutation(len(rows))
            for begin in range(0, len(order) - size + 1, size):
                at = order[begin : begin + size]
                batch = (*(one[at] for one in seen), truth[at])
                self.parameters, state = learn(self.parameters, state, batch)
            yield

    def score(self, rows: np.ndarray) -> Floats:
        """Score rows of the examples by their numbers, in blocks."""
        found = [
            np.asarray(self.forward(self.parameters, *self.inputs(rows[at : at + 4_096])))
            for at in range(0, len(rows), 4_096)
        ]
        return np.concatenate(found).astype(np.float64)


def last_of(examples: Examples, count: int) -> np.ndarray:
    """Find each row's last transactions of its card, itself the last; -1: there are fewer, [n, count]."""
    order = np.lexsort([np.arange(len(examples)), examples.event_us, examples.user])
    user = examples.user[order]
    begins = np.r_[0, np.flatnonzero(np.diff(user)) + 1]
    first = np.repeat(begins, np.diff(np.r_[begins, len(order)]))
    places = np.arange(len(order))[:, None] - np.arange(count - 1, -1, -1)
    found = np.where(places >= first[:, None], order[np.maximum(places, 0)], -1)
    result = np.empty_like(found)
    result[order] = found
    return result


def rows_of(examples: Examples, part: Examples) -> np.ndarray:
    """Find the numbers of a period's rows: a period is a run of times, less what has no label."""
    known = {(t, u, a): at for at, (t, u, a) in enumerate(_keys(examples))}
    return np.array([known[key] for key in _keys(part)])


def _keys(examples: Examples) -> Iterator[tuple[int, int, float]]:
    return zip(examples.event_us.tolist(), examples.user.tolist(), examples.amount.tolist(), strict=True)


def focal_of(gamma: float) -> Callable[[Floats, lightgbm.Dataset], tuple[Floats, Floats]]:
    """Make the focal loss's gradient and hessian by the log-odds, as LightGBM asks for them.

    With p the probability of the truth, the loss is ``-(1 - p)^gamma log p``.
    """

    def loss(margin: Floats, data: lightgbm.Dataset) -> tuple[Floats, Floats]:
        sign = np.where(np.asarray(data.get_label()) > 0, 1.0, -1.0)
        p = np.clip(1.0 / (1.0 + np.exp(-sign * margin)), 1e-9, 1 - 1e-9)
        rest = 1.0 - p
        slope = rest**gamma * (gamma * p * np.log(p) - rest)
        inner = gamma * p * np.log(p) - rest
        bend = rest**gamma * p * (rest * (gamma * np.log(p) + gamma + 1.0) - gamma * inner)
        return sign * slope, np.maximum(bend, 1e-9)

    return loss


def replace_end(settings: TrainSettings, as_of: Any) -> TrainSettings:
    """Let the training period end at the moment of training; of the same test."""
    given = settings.model_dump(exclude_unset=True) | {"as_of": as_of, "label_gap_days": 0.0}
    if settings.train_days is not None:
        given["train_days"] = settings.train_days + settings.label_gap_days
    return TrainSettings(**given)


def _only(examples: Examples, kept: Sequence[int]) -> Examples:
    """Empty the columns that are not kept."""
    vectors = np.full_like(examples.vectors, np.nan)
    vectors[:, kept] = examples.vectors[:, kept]
    return replace(examples, vectors=vectors)


def _by(booster: lightgbm.Booster) -> Scorer:
    def score(rows: Floats) -> Floats:
        return np.asarray(booster.predict(rows, raw_score=True, num_threads=1), np.float64)

    return score


def measure(name: str, seed: int, size: float, parts: Sequence[str]) -> dict[str, Any]:
    """Measure one world."""
    examples, split, settings, counted = draw(name, seed, size)
    test = split.test.take(counted)
    say(f"{name}, seed {seed}: {len(split.train):,} to learn from, {len(test):,} and "
        f"{int(test.is_fraud.sum())} frauds to measure on")  # fmt: skip
    bench = Bench(examples, split, settings)
    bench.run(parts)
    scored = {model: Scored(score[counted], 0.5) for model, score in bench.scores.items()}
    found = {
        model: values[:, NAMES.index("pr_auc")]
        for model, values in resample(scored, test, RESAMPLES, settings.seed).items()
    }
    result = {
        model: {
            "pr_auc": float(values[0]),
            "gain": str(interval(values - found[DEFAULTS])),
            "row_us": round(bench.row_us[model], 1),
        }
        for model, values in found.items()
    }
    for model, figures in result.items():
        say(f"  {model:32} {figures['pr_auc']:.3f}  gain {figures['gain']}  {figures['row_us']} us a row")
    return {"world": name, "seed": seed, "train": len(split.train), "test": len(test),
            "frauds": int(test.is_fraud.sum()), "models": result}  # fmt: skip


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure the worlds, and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", default=",".join([*WORLDS, GENERATED]), help="Names, with commas.")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--seed-from", type=int, default=0)
    parser.add_argument("--size", type=float, default=0.5)
    parser.add_argument("--only", default=",".join(PARTS), help="Challengers, with commas.")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    say(describe_machine().words)
    found = []
    for name in given.worlds.split(","):
        for seed in range(given.seed_from, given.seed_from + given.seeds):
            found.append(measure(name, seed, given.size, given.only.split(",")))
            if given.out:
                given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
