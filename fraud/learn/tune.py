"""The search for parameters (Optuna), and how much to trust what it finds.

With a few hundred frauds, the best of many trials is best by luck as much as by merit. So a trial replaces
the defaults only where its gain over the held blocks is more than twice that gain's own standard error, and
where the blocks hold too few frauds to tell, nothing is searched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import optuna

from fraud.learn.examples import Bools, Examples, forward_folds, thin
from fraud.learn.fit import BALANCES, PARAMETERS, Validation, monotone_of, validate_trees
from fraud.learn.settings import TrainSettings
from fraud.model.card import Floats
from fraud.schema.schema import Schema
from fraud.watch.bootstrap import user_weights
from fraud.watch.ranking import Ranking

TUNED_ROUNDS: Final = 400
LEAST_FRAUDS: Final = 150
"""Frauds in the held blocks below which a search finds noise alone, and is left out."""
LEAST_GAIN: Final = 1e-4
ERRORS: Final = 2.0
"""Standard errors by which a candidate must be better: the best of some ten equal ones is so by 1.5."""
RESAMPLES: Final = 100
"""Of the held blocks' users."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How the trees are to be fitted."""

    parameters: dict[str, Any]
    balance: str
    trials: tuple[tuple[dict[str, Any], float], ...] = ()
    """What was tried, and its mean average precision on the held blocks."""

    @property
    def is_default(self) -> bool:
        """Whether the defaults stayed."""
        return self.parameters == PARAMETERS


def choose(
    train: Examples, settings: TrainSettings, on_step: Callable[[str], None] = lambda _: None
) -> Choice:
    """Choose the weight of a fraud, then the parameters, by forward-chaining validation.

    The same examples and seed give the same choice.
    """
    sample = thin(train, settings.tune_rows, settings.seed)
    folds = forward_folds(sample, settings.folds, settings.validation_share)
    tried: list[tuple[dict[str, Any], float]] = []

    def validate(parameters: dict[str, Any], balance: str) -> Validation:
        found = validate_trees(
            sample,
            folds,
            seed=settings.seed,
            threads=settings.threads,
            parameters=parameters,
            balance=balance,
            rounds=TUNED_ROUNDS,
            monotone=constraints(settings, train.schema),
        )
        changed = {name: value for name, value in parameters.items() if PARAMETERS.get(name) != value}
        tried.append(({"balance": balance, **changed}, found.mean))
        return found

    balances: Sequence[str] = BALANCES if settings.balance == "auto" else (settings.balance,)
    if len(balances) == 1 and not settings.trials:
        return Choice(PARAMETERS, balances[0])
    frauds = sum(int(sample.is_fraud[fold.held].sum()) for fold in folds)
    if frauds < LEAST_FRAUDS:
        on_step(
            f"keeping the defaults: {frauds} frauds to validate on are too few ({LEAST_FRAUDS}) to choose by"
        )
        return Choice(PARAMETERS, balances[0])
    on_step(f"comparing the weights of a fraud: {', '.join(balances)}")
    by_balance = {balance: validate(PARAMETERS, balance) for balance in balances}
    # The plain weight stays unless another one is better beyond chance, as with the parameters.
    balance, best = balances[0], by_balance[balances[0]]
    for name in balances[1:]:
        if is_better(by_balance[name], best, sample, settings.seed):
            balance, best = name, by_balance[name]
    if not settings.trials:
        return Choice(PARAMETERS, balance, tuple(tried))
    on_step(f"searching for parameters, {settings.trials} trials")
    parameters = PARAMETERS
    study = _study(settings.seed)
    for _ in range(settings.trials):
        trial = study.ask()
        candidate = {**PARAMETERS, **suggest(trial)}
        found = validate(candidate, balance)
        study.tell(trial, found.mean)
        if is_better(found, best, sample, settings.seed):
            parameters, best = candidate, found
    return Choice(parameters, balance, tuple(tried))


def is_better(candidate: Validation, best: Validation, train: Examples, seed: int) -> bool:
    """Tell whether a gain over the held blocks is beyond chance: more than twice its standard error.

    Both saw the same blocks. The error comes from resampling the blocks' users, with the same weights for
    both, so that what is common to them cancels out. Blocks alone would be three numbers.
    """
    gain = candidate.mean - best.mean
    if gain <= LEAST_GAIN:
        return False
    held = train.take(candidate.rows)
    user = np.unique(held.user, return_inverse=True)[1]
    weights = user_weights(user, RESAMPLES, np.random.default_rng(seed))
    ends = np.cumsum([0, *candidate.sizes])
    pairs = [
        (Ranking(candidate.margin[rows]), Ranking(best.margin[rows]), held.is_fraud[rows], rows)
        for rows in map(slice, ends[:-1], ends[1:])
    ]
    share = candidate.frauds / candidate.frauds.sum()
    gains = [
        sum(part * _gain(*pair, weight) for part, pair in zip(share, pairs, strict=True))
        for weight in weights
    ]
    return bool(gain > ERRORS * np.nanstd(gains))


def _gain(candidate: Ranking, best: Ranking, is_fraud: Bools, rows: slice, weight: Floats) -> float:
    """Rise of one block's average precision under weights of all held rows; NaN where no fraud has any."""
    counts = weight[rows]
    after, before = (
        one.average_precision((counts * is_fraud)[one.order], counts[one.order]) for one in (candidate, best)
    )
    return after - before


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Draw parameters around the defaults."""
    leaves = trial.suggest_int("num_leaves", 8, 64, log=True)
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.1, log=True),
        "num_leaves": leaves,
        "max_depth": trial.suggest_int("max_depth", 4, 8),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 5, 150, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.3, 30.0, log=True),
    }


def constraints(settings: TrainSettings, schema: Schema) -> Sequence[int]:
    """Constraints of the schema's features, or none."""
    return monotone_of(schema) if settings.monotone else (0,) * len(schema.features)


def _study(seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=5)
    return optuna.create_study(direction="maximize", sampler=sampler)
