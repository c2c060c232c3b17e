"""A booster's trees by our compiled code, checked against the booster before they are used."""

import logging
from typing import Any, Final

import numpy as np

from fraud.model.trees.contributions import contribute
from fraud.model.trees.forest import Forest, build_forest
from fraud.model.trees.ranks import ZERO
from fraud.model.trees.scores import score_few, score_many
from fraud.model.trees.text import Floats, Unsupported, read_trees

PROBES: Final = 256
"""Rows that a score is checked on."""
EXPLAINED: Final = 12
"""Those whose contributions are."""
TOLERANCE: Final = 1e-6
"""Greatest difference of a contribution; of scores there may be none."""
FEW: Final = 12
"""Up to so many rows, walking each is faster."""
log = logging.getLogger(__name__)


class FastTrees:
    """Scores and contributions of one LightGBM model; may be used by several threads.

    Parameters
    ----------
    text
        What ``Booster.model_to_string`` gives.
    features
        Width of a row.

    Raises
    ------
    Unsupported
        When the model is of a kind that is not computed.
    """

    def __init__(self, text: str, features: int) -> None:
        self._features = features
        forest = self.forest = build_forest(read_trees(text))
        self._ranked = forest.columns, forest.thresholds, forest.sets, forest.words, forest.trees

    def margin(self, vectors: Floats) -> Floats:
        """Compute the log-odds of rows, [n, F] to [n]."""
        rows = self._rows(vectors)
        out = np.empty(len(rows))
        forest = self.forest
        if len(rows) <= FEW or not forest.has_masks:
            score_few(rows, *self._ranked, forest.nodes, forest.values, out)
        else:
            score_many(rows, *self._ranked, forest.splits, forest.masks, forest.leaves, out)
        return out

    def contributions(self, vectors: Floats) -> Floats:
        """Compute each feature's part of the log-odds (SHAP values), [n, F] to [n, F]."""
        rows = self._rows(vectors)
        out = np.empty(rows.shape)
        forest = self.forest
        paths = forest.features, forest.joint, forest.twin, forest.points
        contribute(rows, *self._ranked, forest.steps, forest.leaves, *paths, out)
        return out

    def _rows(self, vectors: Floats) -> Floats:
        if vectors.ndim != 2 or vectors.shape[1] != self._features:
            raise ValueError(f"expected rows of {self._features} features, got the shape {vectors.shape}")
        return np.ascontiguousarray(vectors, np.float64)


def open_trees(booster: Any) -> FastTrees | None:
    """Make the evaluator of a booster; None, and the reason in the log, where it cannot be used."""
    try:
        trees = FastTrees(booster.model_to_string(), booster.num_feature())
    except Unsupported as error:
        log.warning("the booster itself scores: %s", error)
        return None
    fault = find_fault(trees, booster)
    if fault:
        log.warning("the booster itself scores: %s", fault)
        return None
    return trees


def find_fault(trees: FastTrees, booster: Any) -> str:
    """Compare with the booster, on rows made to find a difference; empty: there is none."""
    rows = probe_rows(trees.forest, booster.num_feature(), PROBES)
    expected = booster.predict(rows, raw_score=True, num_threads=1)
    few = np.concatenate([trees.margin(rows[i : i + FEW]) for i in range(0, len(rows), FEW)])
    for found in (few, trees.margin(rows)):
        apart = found != expected
        if apart.any():
            return (
                f"{apart.sum()} of {len(rows)} rows have another score, by up to {_most(found - expected):g}"
            )
    some = rows[:EXPLAINED]
    parts = booster.predict(some, pred_contrib=True, num_threads=1)[:, :-1]
    worst = _most(trees.contributions(some) - parts)
    return "" if worst <= TOLERANCE else f"the parts of a score differ by up to {worst:g}"


def _most(difference: Floats) -> float:
    most = float(np.abs(difference).max())
    return np.inf if np.isnan(most) else most


def probe_rows(forest: Forest, features: int, count: int) -> Floats:
    """Draw rows of thresholds, their neighbours, categories, and what is missing, zero, tiny, or huge."""
    draw = np.random.default_rng(0)
    odd = np.array([np.nan, 0.0, -0.0, ZERO, -ZERO, ZERO / 2.0, -ZERO / 2.0, 1e300, -1e300, np.inf, -np.inf])
    rows = draw.normal(0.0, 100.0, (count, features))
    chosen: list[list[Floats]] = [[] for _ in range(features)]
    for feature, _, first, size in forest.columns.tolist():
        at = forest.thresholds[first : first + size]
        chosen[feature].append(np.concatenate([at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf)]))
    for feature, _, size in forest.sets.tolist():
        chosen[feature].append(np.arange(-1.0, 32.0 * size + 2.0) + draw.choice([0.0, 0.5]))
    for feature, values in enumerate(chosen):
        if values:
            rows[:, feature] = draw.choice(np.concatenate(values), count)
    is_odd = draw.random(rows.shape) < 0.1
    rows[is_odd] = draw.choice(odd, int(is_odd.sum()))
    return rows
