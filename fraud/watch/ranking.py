"""Average precision of rows that count more or less than once: one computation for every report."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Ranking:
    """Rows sorted once by their score, the highest first; measured under any weights.

    Parameters
    ----------
    score
        [n]; rows without a score (NaN) come last and are left out of the precision.

    Examples
    --------
    >>> ranking = Ranking(np.array([0.2, 0.9, 0.6]))
    >>> ranking.order.tolist()
    [1, 2, 0]
    >>> round(ranking.average_precision(np.array([1.0, 0.0, 1.0]), np.ones(3)), 3)
    0.833
    """

    def __init__(self, score: Floats) -> None:
        self.order = np.argsort(-score, kind="stable")
        ordered = score[self.order]
        scored = int((~np.isnan(score)).sum())
        self.ends = np.flatnonzero(np.append(np.diff(ordered[:scored]) != 0.0, np.ones(min(scored, 1), bool)))
        """Last row of each distinct score, in that order."""

    def average_precision(self, fraud: Floats, counts: Floats) -> float:
        """Sum precision times rise of recall over the distinct scores, as scikit-learn does.

        Parameters
        ----------
        fraud, counts
            [n], in the ranking's order: how much fraud each row counts for, and how often it counts.

        Returns
        -------
        float
            NaN where there is no fraud.
        """
        hits = np.cumsum(fraud)[self.ends]
        if not len(hits) or hits[-1] <= 0.0:
            return float("nan")
        taken = np.cumsum(counts)[self.ends]
        precision = hits / np.maximum(taken, 1e-12)
        return float(np.sum(np.diff(hits, prepend=0.0) * precision) / hits[-1])
