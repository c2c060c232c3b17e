"""Ways to learn that are compared in ``tests.load.learners``: each gives scores of one test period."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import lightgbm
import numpy as np

from fraud.learn.examples import NEVER, Examples, Split, divide, forward_folds
from fraud.learn.fit import (
    MONOTONE,
    PARAMETERS,
    Validation,
    complete,
    dataset,
    fit_trees,
    margins,
    validate_trees,
)
from fraud.learn.settings import TrainSettings
from fraud.learn.tune import is_better
from fraud.model.card import Floats

SEEDS: Final = 3
LOST_SHARE: Final = 0.3
"""Frauds of the training that nobody reported, where labels are noisy."""
SUSPECTS: Final = 3
"""Parts by users, each judged by trees of the others, when unreported frauds are looked for."""
HEAVIEST: Final = 5.0
"""Weight of a known fraud among the newest, at most."""
DAY_US: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Scores:
    """Log-odds, or anything that ranks the test, by the name of the way."""

    base: str
    """The way that the others are compared with."""
    of: dict[str, Floats]
    note: str = ""
    """What the validation would have chosen."""


def booster_scores(train: Examples, test: Examples, settings: TrainSettings, **given: Any) -> Floats:
    """Fit trees of a stated number and score the test."""
    booster = fit_trees(train, **{"seed": settings.seed, "threads": settings.threads, **given})
    return margins(booster, test.vectors, settings.threads)


def validated(train: Examples, settings: TrainSettings, **given: Any) -> Validation:
    """Validate forward, as ``fraud train`` does."""
    folds = forward_folds(train, settings.folds, settings.validation_share)
    return validate_trees(train, folds, **{"seed": settings.seed, "threads": settings.threads, **given})


def seeds(split: Split, settings: TrainSettings, base: Validation) -> Scores:
    """Average over seeds, beside one seed with as many trees at a lower rate."""
    rounds = base.rounds
    runs = [
        booster_scores(split.train, split.test, settings, rounds=rounds, seed=settings.seed + more)
        for more in range(SEEDS)
    ]
    slow = {**PARAMETERS, "learning_rate": PARAMETERS["learning_rate"] / SEEDS}
    short = max(rounds // SEEDS, 1)
    fast = {**PARAMETERS, "learning_rate": PARAMETERS["learning_rate"] * SEEDS}
    thirds = [
        booster_scores(
            split.train, split.test, settings, rounds=short, parameters=fast, seed=settings.seed + more
        )
        for more in range(SEEDS)
    ]
    return Scores(
        "defaults",
        {
            "defaults": runs[0],
            f"mean of {SEEDS} seeds ({SEEDS} times the trees)": np.mean(runs, axis=0),
            f"one seed, {SEEDS} times the trees at a {SEEDS}rd of the rate": booster_scores(
                split.train, split.test, settings, rounds=rounds * SEEDS, parameters=slow
            ),
            f"mean of {SEEDS} seeds, a {SEEDS}rd of the trees each at {SEEDS} times the rate": np.mean(
                thirds, axis=0
            ),
        },
    )


def losses(split: Split, settings: TrainSettings, base: Validation) -> Scores:
    """Weights of a fraud and focal loss, and what the validation makes of them."""
    ways: dict[str, dict[str, Any]] = {
        "defaults": {},
        "weight of a fraud: root": {"balance": "root"},
        "weight of a fraud: full": {"balance": "full"},
        "focal loss, gamma 2": {"parameters": {**PARAMETERS, "objective": focal(2.0)}},
    }
    found = {
        name: validated(split.train, settings, **given) if given else base for name, given in ways.items()
    }
    scores = {
        name: booster_scores(split.train, split.test, settings, rounds=found[name].rounds, **given)
        for name, given in ways.items()
    }
    chosen = "defaults"
    for name, one in found.items():
        if is_better(one, found[chosen], split.train, settings.seed):
            chosen = name
    highest = max(found, key=lambda name: found[name].mean)
    scores["chosen by validation, beyond chance"] = scores[chosen]
    scores["chosen by validation, the highest"] = scores[highest]
    return Scores("defaults", scores, f"beyond chance: {chosen}; highest: {highest}")


def focal(gamma: float) -> Callable[[Floats, lightgbm.Dataset], tuple[Floats, Floats]]:
    """Make the focal loss (Lin et al., 2017): what is nearly certain counts less."""

    def objective(margin: Floats, data: lightgbm.Dataset) -> tuple[Floats, Floats]:
        sign = np.where(data.get_label() > 0, 1.0, -1.0)
        p = np.clip(1.0 / (1.0 + np.exp(-sign * margin)), 1e-9, 1.0 - 1e-9)
        q, log_p = 1.0 - p, np.log(p)
        gradient = q**gamma * (gamma * p * log_p - q)
        rise = gamma * log_p + gamma + 1.0
        slope = q**gamma * rise - gamma * q ** (gamma - 1.0) * (gamma * p * log_p - q)
        return sign * gradient, np.maximum(slope * p * q, 1e-9)

    return objective


def noise(split: Split, settings: TrainSettings, base: Validation) -> Scores:
    """Leave a part of the training's frauds unreported, and look for them again."""
    rng = np.random.default_rng(settings.seed)
    is_lost = split.train.is_fraud & (rng.random(len(split.train)) < LOST_SHARE)
    noisy = replace(split.train, is_fraud=split.train.is_fraud & ~is_lost)
    rounds = base.rounds
    suspicion = unseen(noisy, settings, rounds)
    cut = np.quantile(suspicion[noisy.is_fraud], 0.5)
    suspects = ~noisy.is_fraud & (suspicion > cut)
    return Scores(
        "30 % unreported",
        {
            "30 % unreported": booster_scores(noisy, split.test, settings, rounds=rounds),
            "all reported": booster_scores(split.train, split.test, settings, rounds=rounds),
            "suspects left out": booster_scores(noisy.take(~suspects), split.test, settings, rounds=rounds),
            "suspects taken for frauds": booster_scores(
                replace(noisy, is_fraud=noisy.is_fraud | suspects), split.test, settings, rounds=rounds
            ),
            "a loss that doubts honest labels": booster_scores(
                noisy,
                split.test,
                settings,
                rounds=rounds,
                parameters={**PARAMETERS, "objective": robust(0.5)},
            ),
        },
        f"{int(suspects.sum())} suspects, {int(is_lost[suspects].sum())} of them among {int(is_lost.sum())}",
    )


def robust(power: float) -> Callable[[Floats, lightgbm.Dataset], tuple[Floats, Floats]]:
    """Make a loss (after Zhang and Sabuncu, 2018) to which an honest label counts less the less it fits."""

    def objective(margin: Floats, data: lightgbm.Dataset) -> tuple[Floats, Floats]:
        is_fraud = data.get_label() > 0
        p = 1.0 / (1.0 + np.exp(-margin))
        trust = np.where(is_fraud, 1.0, (1.0 - p) ** power)
        return trust * (p - is_fraud), np.maximum(trust * p * (1.0 - p), 1e-9)

    return objective


def unseen(train: Examples, settings: TrainSettings, rounds: int) -> Floats:
    """Score every row by trees that have not seen its user."""
    part = np.random.default_rng(settings.seed).integers(0, SUSPECTS, int(train.user.max()) + 1)[train.user]
    found = np.empty(len(train))
    for one in range(SUSPECTS):
        held = part == one
        found[held] = booster_scores(train.take(~held), train.take(held), settings, rounds=rounds)
    return found


def delays(whole: Examples, settings: TrainSettings) -> Scores:
    """Use, or leave out, the newest transactions, whose frauds are partly unknown at the moment of training.

    ``whole`` has labels that come at random times.
    """
    today = divide(whole, settings)
    to_now = divide(whole, settings.model_copy(update={"train_until": today.as_of}))
    rounds = validated(today.train, settings).rounds
    now_us = round(today.as_of.timestamp() * 1e6)
    age_us = now_us - to_now.train.event_us
    is_new = age_us < settings.label_gap_days * DAY_US
    known = known_share(today.train, age_us, now_us)
    raised = np.where(to_now.train.is_fraud & is_new, np.minimum(1.0 / known, HEAVIEST), 1.0)
    only_known = ~is_new | to_now.train.is_fraud
    return Scores(
        "the newest left out",
        {
            "the newest left out": booster_scores(today.train, today.test, settings, rounds=rounds),
            "the newest too, unknown as honest": booster_scores(
                to_now.train, today.test, settings, rounds=rounds
            ),
            "the newest too, known frauds by the share that is known": weighted_scores(
                to_now.train, raised, today.test, settings, rounds
            ),
            "of the newest the known frauds alone": booster_scores(
                to_now.train.take(only_known), today.test, settings, rounds=rounds
            ),
            "all labels known at once": booster_scores(
                replace(to_now.train, is_fraud=truth_of(whole, to_now.train)),
                today.test,
                settings,
                rounds=rounds,
            ),
        },
        f"{int((to_now.train.is_fraud & is_new).sum())} known frauds among {int(is_new.sum())} newest",
    )


def known_share(old: Examples, age_us: np.ndarray, now_us: int) -> Floats:
    """Tell which share of frauds is known at an age, from the older ones, by the moment."""
    rows = old.is_fraud & (old.label_us < min(now_us, NEVER))
    delay = np.sort(old.label_us[rows] - old.event_us[rows])
    share = np.searchsorted(delay, age_us, "right") / max(len(delay), 1)
    return np.maximum(share, 1.0 / max(len(delay), 1))


def truth_of(whole: Examples, train: Examples) -> np.ndarray:
    """Tell the truth of the training's rows, whenever it came to be known."""
    first, last = train.event_us.min(), train.event_us.max()
    inside = (whole.event_us >= first) & (whole.event_us <= last)
    return whole.is_fraud[inside]


def weighted_scores(
    train: Examples, weight: Floats, test: Examples, settings: TrainSettings, rounds: int
) -> Floats:
    """Fit trees to weighted rows and score the test."""
    of = complete(
        PARAMETERS,
        train.is_fraud,
        seed=settings.seed,
        threads=settings.threads,
        balance="none",
        monotone=MONOTONE,
    )
    data = dataset(train, PARAMETERS)
    data.set_weight(weight)
    return margins(lightgbm.train(of, data, rounds), test.vectors, settings.threads)


def challengers(
    whole: Examples, split: Split, settings: TrainSettings, base: Validation, names: Sequence[str]
) -> Scores:
    """Compare other libraries, alone and averaged with our trees."""
    rounds = base.rounds
    ours = booster_scores(split.train, split.test, settings, rounds=rounds)
    scores = {"defaults": ours}
    for name in names:
        theirs = CHALLENGERS[name](whole, split, settings)
        scores[name] = theirs
        scores[f"{name}, averaged with defaults"] = (ours + theirs) / 2.0
    return Scores("defaults", scores)


def catboost_scores(whole: Examples, split: Split, settings: TrainSettings) -> Floats:
    """Fit CatBoost's defaults, as many trees as the last block of the validation chooses."""
    import catboost  # noqa: PLC0415  (brought by `uv run --with`)

    del whole
    fold = forward_folds(split.train, settings.folds, settings.validation_share)[-1]
    given: dict[str, Any] = {
        "learning_rate": 0.05,
        "depth": 6,
        "eval_metric": "PRAUC",
        "random_seed": settings.seed,
        "thread_count": max(settings.threads, 1),
        "verbose": False,
        "allow_writing_files": False,
    }
    fit, held = split.train.take(fold.fit), split.train.take(fold.held)
    first = catboost.CatBoostClassifier(iterations=1_000, early_stopping_rounds=60, **given)
    first.fit(fit.vectors, fit.is_fraud, eval_set=(held.vectors, held.is_fraud))
    last = catboost.CatBoostClassifier(iterations=max(first.get_best_iteration() + 1, 1), **given)
    last.fit(split.train.vectors, split.train.is_fraud)
    return np.asarray(last.predict(split.test.vectors, prediction_type="RawFormulaVal"), np.float64)


def sequence_scores(whole: Examples, split: Split, settings: TrainSettings) -> Floats:
    """Fit the sequence model of ``tests.load.sequence``."""
    from tests.load.sequence import score_sequences  # noqa: PLC0415  (JAX is brought by `uv run --with`)

    return score_sequences(whole, split, settings)


CHALLENGERS: Final = {"catboost": catboost_scores, "sequence": sequence_scores}
