"""From the trees' log-odds to probabilities of fraud."""

from typing import Final

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from fraud.learn.examples import Bools
from fraud.model.card import Floats, Isotonic, Sigmoid

PRIOR_ROWS: Final = 1.0
"""Weight, in rows, of the base rate in each block of an isotonic calibration: no certainty from few rows."""


def calibrate(margin: Floats, is_fraud: Bools, kind: str = "auto") -> Sigmoid | Isotonic:
    """Choose the calibration whose log-loss on rows that it has not seen is lower.

    Parameters
    ----------
    margin
        Log-odds of the validation period, in order of time.
    is_fraud
        Its truth.
    kind
        ``sigmoid``, ``isotonic``, or ``auto`` for the better one.

    Returns
    -------
    Sigmoid | Isotonic
        Fitted on all rows. Each kind is judged by fitting on every other row and scoring the rest, both ways.
    """
    if kind != "auto":
        return fit_sigmoid(margin, is_fraud) if kind == "sigmoid" else fit_isotonic(margin, is_fraud)
    even = np.arange(len(margin)) % 2 == 0
    loss_sigmoid = loss_isotonic = 0.0
    for seen in (even, ~even):
        if is_fraud[seen].any() and is_fraud[~seen].any():
            part, held = (margin[seen], is_fraud[seen]), (margin[~seen], is_fraud[~seen])
            loss_sigmoid += _loss(fit_sigmoid(*part), *held)
            loss_isotonic += _loss(fit_isotonic(*part), *held)
    return fit_isotonic(margin, is_fraud) if loss_isotonic < loss_sigmoid else fit_sigmoid(margin, is_fraud)


def fit_sigmoid(margin: Floats, is_fraud: Bools) -> Sigmoid:
    """Fit slope and offset by maximum likelihood with Platt's (1999) smoothed targets."""
    frauds = int(is_fraud.sum())
    honest = len(is_fraud) - frauds
    target = np.where(is_fraud, (frauds + 1.0) / (frauds + 2.0), 1.0 / (honest + 2.0))

    # A smoothed target is a fraud with its weight and an honest transaction with the rest of it.
    fitted = LogisticRegression(C=1e6).fit(
        np.r_[margin, margin][:, None],
        np.r_[np.ones(len(margin)), np.zeros(len(margin))],
        sample_weight=np.r_[target, 1.0 - target],
    )
    # The ranking is the trees', even where they learned nothing: the slope stays positive.
    return Sigmoid(slope=max(float(fitted.coef_[0, 0]), 1e-3), offset=float(fitted.intercept_[0]))


def fit_isotonic(margin: Floats, is_fraud: Bools) -> Isotonic:
    """Fit an isotonic regression and keep the centres of its blocks as knots.

    Each block's share is drawn towards the base rate by ``PRIOR_ROWS`` rows.
    """
    order = np.argsort(margin, kind="stable")
    x, y = margin[order], is_fraud[order].astype(float)
    step = IsotonicRegression(out_of_bounds="clip").fit(x, y).predict(x)
    starts = np.flatnonzero(np.r_[True, np.diff(step) > 0.0])
    rows = np.diff(np.r_[starts, len(x)])
    centre = np.add.reduceat(x, starts) / rows
    share = (np.add.reduceat(y, starts) + PRIOR_ROWS * y.mean()) / (rows + PRIOR_ROWS)
    rising = np.r_[True, np.diff(centre) > 0.0]
    probability = np.maximum.accumulate(share)[rising]
    return Isotonic(margins=tuple(centre[rising].tolist()), probabilities=tuple(probability.tolist()))


def _loss(calibration: Sigmoid | Isotonic, margin: Floats, is_fraud: Bools) -> float:
    return float(log_loss(is_fraud, calibration.apply(margin), labels=[False, True]))
