"""Distances between two sets of counts in the same bins, row by row.

The population stability index is the symmetric Kullback-Leibler divergence (Jeffreys, 1946). Half a row is
added to every bin, so that an empty one is no infinity.
"""

from typing import Final

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr

from fraud.watch.profile import Floats, Ints

PRIOR: Final = 0.5
"""Rows added to every bin."""


def shares(counts: Ints) -> Floats:
    """Turn counts [..., bins] into smoothed shares."""
    full = counts + PRIOR
    return np.asarray(full / full.sum(axis=-1, keepdims=True), np.float64)


def psi_parts(one: Ints, other: Ints) -> Floats:
    """Each bin's part of the population stability index, [..., bins]."""
    p, q = shares(one), shares(other)
    return np.asarray(rel_entr(p, q) + rel_entr(q, p), np.float64)


def psi(one: Ints, other: Ints) -> Floats:
    """Compute the population stability index, 0 for equal shares; 0.1 is called moderate, 0.25 great.

    Examples
    --------
    >>> round(float(psi(np.array([500, 500]), np.array([300, 700]))), 3)
    0.169
    """
    return np.asarray(psi_parts(one, other).sum(axis=-1))


def kolmogorov_smirnov(one: Ints, other: Ints) -> Floats:
    """Greatest difference of the two distribution functions at the bins' edges, without missing values."""
    p, q = (np.cumsum(shares(counts[..., :-1]), axis=-1) for counts in (one, other))
    return np.asarray(np.abs(p - q).max(axis=-1))


def jensen_shannon(one: Ints, other: Ints) -> Floats:
    """Jensen-Shannon distance, 0 to 1 (base 2)."""
    return np.asarray(jensenshannon(shares(one), shares(other), base=2.0, axis=-1))
