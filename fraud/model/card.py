"""A trained model as two plain files, and how to score with it.

Reads and writes a folder: ``model.txt`` (the trees, LightGBM's own text) and ``fraud.json`` (a
:class:`ModelCard`: everything else that scoring needs). Training writes it, the predictor reads it.
Nothing is unpickled and nothing but LightGBM is imported to load it (about 15 ms), and both files can
be read and compared by a person. What scores first makes the trees' evaluator (:mod:`fraud.model.trees`) and
checks it against LightGBM.
"""

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fraud.contracts import Thresholds
from fraud.errors import BadModel

if TYPE_CHECKING:
    from fraud.model.trees import FastTrees

TREES_FILE: Final = "model.txt"
CARD_FILE: Final = "fraud.json"
REASONS: Final = 3
"""Reasons given for one row."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sigmoid(_Part):
    """Calibration ``1 / (1 + exp(-(slope * margin + offset)))`` (Platt, 1999)."""

    kind: Literal["sigmoid"] = "sigmoid"
    slope: float = Field(gt=0.0)
    offset: float

    def apply(self, margin: Floats) -> Floats:
        """Turn log-odds of the trees into probabilities."""
        with np.errstate(over="ignore"):
            return np.asarray(1.0 / (1.0 + np.exp(-(self.slope * margin + self.offset))), np.float64)


class Isotonic(_Part):
    """Calibration by straight lines between knots, flat outside of them.

    The knots are the centres of the blocks of an isotonic regression, so that the line rises strictly
    between them and keeps the trees' ranking (Oron and Flournoy, 2017).
    """

    kind: Literal["isotonic"] = "isotonic"
    margins: tuple[float, ...] = Field(min_length=1)
    probabilities: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_rise(self) -> "Isotonic":
        if len(self.margins) != len(self.probabilities):
            raise ValueError("margins and probabilities must be of one length")
        if np.any(np.diff(self.margins) <= 0.0) or np.any(np.diff(self.probabilities) < 0.0):
            raise ValueError("margins must increase, and probabilities must not decrease")
        if self.probabilities[0] < 0.0 or self.probabilities[-1] > 1.0:
            raise ValueError("probabilities must lie in 0 to 1")
        return self

    def apply(self, margin: Floats) -> Floats:
        """Turn log-odds of the trees into probabilities."""
        return np.asarray(np.interp(margin, *self._knots), np.float64)

    @cached_property
    def _knots(self) -> tuple[Floats, Floats]:
        return np.array(self.margins), np.array(self.probabilities)


class Reference(_Part):
    """How the training data were distributed, for comparison with what is served later."""

    levels: tuple[float, ...]
    """The quantile levels, rising, 0 to 1."""
    features: dict[str, tuple[float | None, ...]]
    """Feature: its quantiles at ``levels`` over the values that are there; None where all are missing."""
    missing: dict[str, float]
    """Feature: share of missing values."""
    score: tuple[float, ...]
    """Quantiles at ``levels`` of the calibrated probability."""


class ModelCard(_Part):
    """Everything about a model that is not a tree (``fraud.json``)."""

    layout: Literal[1] = 1
    features_version: str
    """The feature table that it was trained with."""
    feature_names: tuple[str, ...] = Field(min_length=1)
    calibration: Sigmoid | Isotonic = Field(discriminator="kind")
    thresholds: Thresholds
    reference: Reference
    signature: dict[str, Any] = {}
    """The MLflow signature (inputs, outputs), as the registry shows it."""


class ScoringModel:
    """The trees and their card, ready to score.

    Parameters
    ----------
    booster
        A ``lightgbm.Booster``.
    card
        What belongs to it.
    threads
        Threads of one call where the booster itself scores; our evaluator uses one.

    Raises
    ------
    BadModel
        When trees and card do not belong together.
    """

    def __init__(self, booster: Any, card: ModelCard, threads: int = 1) -> None:
        if booster.num_feature() != len(card.feature_names):
            raise BadModel(
                f"the trees take {booster.num_feature()} features, the card names {len(card.feature_names)}"
            )
        self.card = card
        self._booster = booster
        self._threads = threads

    @property
    def importance(self) -> Floats:
        """Gain of each feature in the training, [F]."""
        return np.asarray(self._booster.feature_importance("gain"), np.float64)

    @property
    def trees(self) -> str:
        """The trees as LightGBM's text."""
        return str(self._booster.model_to_string())

    def with_threads(self, threads: int) -> "ScoringModel":
        """Make the same model with another number of threads a call; 0: all cores."""
        made = copy(self)
        made._threads = threads  # noqa: SLF001  (of the same class)
        return made

    @cached_property
    def _trees(self) -> "FastTrees | None":
        from fraud.model.trees import open_trees  # noqa: PLC0415  (numba: only for those who score)

        return open_trees(self._booster)

    @property
    def is_fast(self) -> bool:
        """Whether our evaluator scores, in a tenth of the booster's time; the first call checks it."""
        return self._trees is not None

    @property
    def booster(self) -> Any:
        """The ``lightgbm.Booster``."""
        return self._booster

    def predict(self, vectors: Floats) -> Floats:
        """Score vectors.

        Parameters
        ----------
        vectors
            Float64 [n, F] in the order of the card's ``feature_names``; NaN is missing.

        Returns
        -------
        Floats
            Calibrated probability of fraud, [n].
        """
        if len(vectors) == 0:
            return np.empty(0)
        if self._trees is not None:
            margin = self._trees.margin(vectors)
        else:
            margin = self._booster.predict(vectors, raw_score=True, num_threads=self._threads)
        return self.card.calibration.apply(np.asarray(margin, np.float64))

    def contributions(self, vectors: Floats) -> Floats:
        """Compute each feature's part of the log-odds (SHAP values of the trees).

        Parameters
        ----------
        vectors
            Float64 [n, F].

        Returns
        -------
        Floats
            [n, F]; a row and the trees' mean add up to the row's log-odds before calibration. Some
            hundred times a score's time: ask for the rows that matter.
        """
        if len(vectors) == 0:
            return np.empty((0, len(self.card.feature_names)))
        if self._trees is not None:
            return self._trees.contributions(vectors)
        parts = self._booster.predict(vectors, pred_contrib=True, num_threads=self._threads)
        return np.asarray(parts, np.float64)[:, :-1]

    def reasons(self, vectors: Floats, chosen: npt.NDArray[np.bool_]) -> tuple[Ints, Floats]:
        """Find the features that raise the score most.

        Parameters
        ----------
        vectors
            Float64 [n, F].
        chosen
            Rows to explain, [n].

        Returns
        -------
        tuple[Ints, Floats]
            Index of the feature and its contribution to the log-odds, both [n, 3], the greatest
            first; -1 and 0.0 for the rows not chosen and where fewer features raise the score.
        """
        index = np.full((len(vectors), REASONS), -1, np.int32)
        parts = np.zeros((len(vectors), REASONS))
        if chosen.any():
            every = self.contributions(vectors[chosen])
            best = np.argsort(-every, axis=1, kind="stable")[:, :REASONS]
            value = np.take_along_axis(every, best, axis=1)
            width = best.shape[1]
            index[chosen, :width] = np.where(value > 0.0, best, -1)
            parts[chosen, :width] = np.maximum(value, 0.0)
        return index, parts


def write_model(folder: Path, trees: str, card: ModelCard) -> None:
    """Write a model's two files into a folder that exists."""
    (folder / TREES_FILE).write_text(trees, encoding="utf-8")
    (folder / CARD_FILE).write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_model(folder: Path, threads: int = 1) -> ScoringModel:
    """Read a model's folder.

    Raises
    ------
    BadModel
        When a file is missing or cannot be read; keep the model that you have.
    """
    import lightgbm  # noqa: PLC0415  (only who scores has it; the client's side has not)

    try:
        card = ModelCard.model_validate_json((folder / CARD_FILE).read_bytes())
        booster = lightgbm.Booster(model_str=(folder / TREES_FILE).read_text(encoding="utf-8"))
    except (OSError, ValidationError, lightgbm.basic.LightGBMError) as error:
        raise BadModel(f"the model in {folder.name}/ cannot be read: {error}") from error
    return ScoringModel(booster, card, threads)


def check_fits(card: ModelCard, features_version: str, feature_names: Sequence[str]) -> None:
    """Refuse a model that was trained with another feature table.

    Raises
    ------
    BadModel
        Naming both versions; keep the model that you have.
    """
    if card.features_version != features_version:
        raise BadModel(
            f"the model was trained with features {card.features_version}, "
            f"this build computes {features_version}: train a model with this build"
        )
    if card.feature_names != tuple(feature_names):
        raise BadModel(
            f"the model's feature names differ from those of features {features_version}: "
            "train a model with this build"
        )
