"""A few trees added to the champion's, fitted to the newest labels each time.

Pure: the champion and what is known at a moment in, a booster out. The champion's own trees stay as they
are, so nothing that it knows is forgotten, and nothing that was learnt from a passing wave stays for ever.
What comes out is an ordinary booster, which the registry, the predictor and the reasons take as any other.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import lightgbm
import numpy as np

from fraud.learn.examples import Examples, thin
from fraud.learn.fit import PARAMETERS, complete, dataset
from jobs.online.settings import OnlineSettings

DAY_US: Final = 86_400_000_000


def known_at(examples: Examples, now_us: int, settings: OnlineSettings) -> Examples:
    """Keep what a learner may know at a moment.

    Parameters
    ----------
    examples
        Transactions with vectors and labels, also later ones.
    now_us
        The moment, microseconds since 1970 UTC.
    settings
        Of the window, and of how long a transaction waits until it counts as honest.

    Returns
    -------
    fraud.learn.examples.Examples
        Of the window: the frauds whose label has arrived, and those ripe of which none has.
    """
    is_fraud = examples.is_fraud & (examples.label_us <= now_us)
    begin_us = now_us - int(settings.window_days * DAY_US)
    ripe_us = now_us - int(settings.ripe_days * DAY_US)
    inside = (examples.event_us >= begin_us) & (examples.event_us < now_us)
    rows = np.flatnonzero(inside & (is_fraud | (examples.event_us < ripe_us)))
    return replace(examples.take(rows), is_fraud=is_fraud[rows])


@dataclass(frozen=True, slots=True)
class ResidualTrees:
    """The learner.

    Parameters
    ----------
    champion
        Stays frozen.
    settings
        How many trees, and from how much.
    """

    champion: lightgbm.Booster
    settings: OnlineSettings

    def learn(self, known: Examples) -> lightgbm.Booster:
        """Continue the champion's boosting on what is known; with too few frauds it stays the champion.

        The same examples and seed give the same trees.
        """
        if known.is_fraud.sum() < self.settings.least_frauds or known.is_fraud.all():
            return self.champion
        sample = thin(known, self.settings.rows, self.settings.seed)
        parameters: dict[str, Any] = {
            **PARAMETERS,
            # What the champion takes for honest has next to no hessian: a new pattern would find no leaf.
            "min_sum_hessian_in_leaf": 1e-3,
            "learning_rate": self.settings.learning_rate,
            "num_leaves": self.settings.leaves,
        }
        full = complete(
            parameters,
            sample,
            seed=self.settings.seed,
            threads=self.settings.threads,
            balance="none",
        )
        data = dataset(sample, parameters, keep_raw=True)
        grown = lightgbm.train(full, data, self.settings.rounds, init_model=self.champion)
        return lightgbm.Booster(model_str=grown.model_to_string())
