"""SHAP values of the trees (path-dependent, as LightGBM's ``pred_contrib``), compiled.

In a leaf whose path has the features 1 to m, with z_j the share of training rows that went the path's way
at j, and o_j = 1 where the row itself goes it (else 0), feature i's Shapley value is

    value * (o_i - z_i) * integral over t in 0..1 of  prod over j != i of (t * o_j + (1 - t) * z_j),

since the weight s! (m - 1 - s)! / m! of a coalition of s features is the integral of t^s (1 - t)^(m - 1 -
s). The integrand is a polynomial: a few points of Gauss and Legendre give it exactly, four of them in one
register. Going down, the products of a path are built once for all leaves below (``down``); going up, their
values are added (``up``); the two sides of a split give its feature's part. That is one visit of each node,
where LightGBM does work in the square of the depth for each leaf.

A feature that comes again on a path counts as one: its ``joint`` share takes the place of the earlier
one's.
"""

from typing import Any

import numpy as np

from fraud.features.kernel.native import entry, inlined
from fraud.model.trees.lanes import WIDTH, load, minus, over, plus, spread, store, times, total
from fraud.model.trees.ranks import SOURCES, is_right, rank_row, ways_of
from fraud.model.trees.text import Floats


@inlined
def _go_down(ranks: Any, shape: Any, places: Any, at: Any, room: Any) -> None:
    """Fill each node's factor and the product of the factors of its path.

    ``taken`` is 1.0 where the row goes the way of all steps of a feature, else 0.0.
    """
    steps, joint, twin = shape
    node, first, last = places
    t, rest, weights = at
    step, down, _, before, taken = room
    store(down, 0, weights)
    taken[0] = 1.0
    for p in range(last - first):
        right = is_right(ranks, steps[first + p])
        left_way, right_way = ways_of(steps[first + p])
        hot = left_way + right * (right_way - left_way)
        cold = left_way + right_way - hot
        earlier = twin[first + p]
        on_way = taken[earlier]
        so_far = times(t, spread(on_way))
        inverse = over(spread(1.0), plus(so_far, times(rest, spread(joint[node + earlier]))))
        ahead = times(plus(so_far, times(rest, spread(joint[node + hot]))), inverse)
        aside = times(times(rest, spread(joint[node + cold])), inverse)
        product = load(down, p * WIDTH)
        store(before, p * WIDTH, times(product, inverse))
        store(step, hot * WIDTH, ahead)
        store(step, cold * WIDTH, aside)
        store(down, hot * WIDTH, times(product, ahead))
        store(down, cold * WIDTH, times(product, aside))
        taken[hot] = on_way
        taken[cold] = 0.0


@inlined
def _go_up(ranks: Any, shape: Any, features: Any, places: Any, room: Any, out: Any, row: int) -> None:
    """Add the leaves up, and give each split's feature its part."""
    steps, joint, twin = shape
    node, first, last = places
    step, _, up, before, taken = room
    for p in range(last - first - 1, -1, -1):
        right = is_right(ranks, steps[first + p])
        left_way, right_way = ways_of(steps[first + p])
        hot = left_way + right * (right_way - left_way)
        cold = left_way + right_way - hot
        earlier = twin[first + p]
        ahead, aside = load(step, hot * WIDTH), load(step, cold * WIDTH)
        above, beside = load(up, hot * WIDTH), load(up, cold * WIDTH)
        store(up, p * WIDTH, plus(times(ahead, above), times(aside, beside)))
        known = spread(1.0 - joint[node + earlier])
        gain = minus(spread(1.0 - joint[node + hot]), times(known, ahead))
        loss = plus(spread(joint[node + cold]), times(known, aside))
        part = times(load(before, p * WIDTH), minus(times(gain, above), times(loss, beside)))
        out[row, features[first + p]] += total(part) * taken[earlier]


def _compile(sources: int) -> Any:
    @entry
    def contribute(
        rows: Floats,
        columns: Any,
        thresholds: Floats,
        sets: Any,
        words: Any,
        trees: Any,
        steps: Any,
        leaves: Floats,
        features: Any,
        joint: Floats,
        twin: Any,
        points: Floats,
        out: Floats,
    ) -> int:
        ranks = np.empty(columns.shape[0] + sets.shape[0], np.int16)
        most = 1
        for tree in range(trees.shape[0] - 1):
            most = max(most, trees[tree + 1, 0] - trees[tree, 0])
        size = most * WIDTH
        up = np.empty(size)
        room = np.empty(size), np.empty(size), up, np.empty(size), np.empty(most)
        shape = steps, joint, twin
        for row in range(rows.shape[0]):
            for feature in range(out.shape[1]):
                out[row, feature] = 0.0
            rank_row(rows, row, columns, thresholds, sets, words, ranks)
            for group in range(0, points.shape[1], WIDTH):
                t, weights = load(points, group), load(points, points.shape[1] + group)
                at = t, minus(spread(1.0), t), weights
                for tree in range(trees.shape[0] - 1):
                    first, last = trees[tree, 2], trees[tree + 1, 2]
                    for leaf in range(trees[tree, 3], trees[tree + 1, 3]):
                        place = last - first + leaf - trees[tree, 3]
                        store(up, place * WIDTH, spread(leaves[leaf]))
                    places = trees[tree, 0], first, last
                    _go_down(ranks, shape, places, at, room)
                    _go_up(ranks, shape, features, places, room, out, row)
        return sources

    return contribute


contribute = _compile(SOURCES)
"""Compute each feature's part of each row's score, [n, F], into ``out``, from a :class:`Forest`'s arrays."""
