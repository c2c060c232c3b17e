"""Pictures of a trained model, as PNG files beside its metrics."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from fraud.contracts import Thresholds
from fraud.learn.examples import Examples
from fraud.model.card import Floats, ScoringModel

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLE_ROWS: Final = 400
"""Test rows in the picture of the contributions, half of them the highest scores."""
SHOWN: Final = 20
"""Features shown, the most important ones."""


def draw_all(folder: Path, model: ScoringModel, test: Examples, probability: Floats) -> list[Path]:
    """Draw every picture of the test period into a folder.

    Parameters
    ----------
    folder
        Exists.
    model
        The trained model.
    test, probability
        The period, and its scores.

    Returns
    -------
    list[Path]
        The files.
    """
    chosen = choose_sample(probability)
    parts = model.contributions(test.vectors[chosen])
    drawings: dict[str, Callable[[Any], None]] = {
        "precision_recall": lambda axes: _draw_precision_recall(axes, test, probability),
        "roc": lambda axes: _draw_roc(axes, test, probability),
        "calibration": lambda axes: _draw_calibration(axes, test, probability),
        "scores": lambda axes: _draw_scores(axes, test, probability, model.card.thresholds),
        "importance": lambda axes: _draw_importance(axes, model),
        "contributions": lambda axes: _draw_contributions(
            axes, parts, test.vectors[chosen], model.card.feature_names
        ),
    }
    files = []
    with mpl.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        for name, draw in drawings.items():
            figure = Figure(figsize=(7, 5), layout="constrained")  # no pyplot: no display, no global state
            draw(figure.subplots())
            files.append(folder / f"{name}.png")
            figure.savefig(files[-1], dpi=110)
    return files


def choose_sample(probability: Floats) -> np.ndarray:
    """Choose rows to explain: the highest scores, and as many spread evenly over the others."""
    order = np.argsort(-probability, kind="stable")
    top, rest = order[: SAMPLE_ROWS // 2], order[SAMPLE_ROWS // 2 :]
    step = max(len(rest) // (SAMPLE_ROWS // 2), 1)
    return np.concatenate([top, rest[::step][: SAMPLE_ROWS // 2]])


def _draw_precision_recall(axes: Any, test: Examples, probability: Floats) -> None:
    precision, recall, _ = precision_recall_curve(test.is_fraud, probability)
    axes.plot(recall, precision)
    axes.axhline(test.is_fraud.mean(), linestyle="--", color="grey", label="share of frauds")
    axes.set(xlabel="recall", ylabel="precision", title="Precision and recall, test period", ylim=(0, 1.02))
    axes.legend()


def _draw_roc(axes: Any, test: Examples, probability: Floats) -> None:
    false_rate, recall, _ = roc_curve(test.is_fraud, probability)
    axes.plot(false_rate, recall)
    axes.axvline(0.01, linestyle="--", color="grey", label="1% of the honest")
    axes.set(
        xlabel="share of the honest", ylabel="share of the frauds", title="ROC, test period", xscale="log"
    )
    axes.set_xlim(1e-4, 1.0)
    axes.legend()


def _draw_calibration(axes: Any, test: Examples, probability: Floats) -> None:
    seen, said = calibration_curve(test.is_fraud, probability, n_bins=20, strategy="quantile")
    floor = 1e-5
    axes.plot([floor, 1], [floor, 1], linestyle="--", color="grey")
    axes.plot(np.maximum(said, floor), np.maximum(seen, floor), marker="o")
    axes.set(xlabel="probability said", ylabel="share of frauds seen", title="Calibration, test period")
    axes.set(xscale="log", yscale="log")


def _draw_scores(axes: Any, test: Examples, probability: Floats, thresholds: Thresholds) -> None:
    for is_fraud, label in ((False, "honest"), (True, "fraud")):
        axes.hist(probability[test.is_fraud == is_fraud], bins=np.linspace(0, 1, 51), alpha=0.6, label=label)
    axes.axvline(thresholds.review, color="orange", label="review from")
    axes.axvline(thresholds.decline, color="red", label="decline from")
    axes.set(xlabel="probability", ylabel="transactions", title="Scores, test period", yscale="log")
    axes.legend()


def _draw_importance(axes: Any, model: ScoringModel) -> None:
    importance, names = model.importance, model.card.feature_names
    order = np.argsort(importance)[-SHOWN:]
    axes.barh([names[index] for index in order], importance[order] / max(importance.sum(), 1e-12))
    axes.set(xlabel="share of the training's gain", title="Importance of the features")


def _draw_contributions(axes: Any, parts: Floats, vectors: Floats, names: Sequence[str]) -> None:
    """Draw SHAP values of a sample: one dot a row, coloured by the rank of the feature's value."""
    order = np.argsort(np.abs(parts).mean(axis=0))[-SHOWN:]
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(parts))
    for height, index in enumerate(order):
        rank = np.argsort(np.argsort(vectors[:, index])) / max(len(vectors) - 1, 1)
        dots = axes.scatter(parts[:, index], height + jitter, c=rank, cmap="coolwarm", s=5, alpha=0.7)
    axes.set_yticks(range(len(order)), [names[index] for index in order])
    axes.set(xlabel="contribution to the log-odds (SHAP value)", title="Contributions, test sample")
    axes.figure.colorbar(dots, ax=axes, label="value of the feature: low to high", ticks=[])
