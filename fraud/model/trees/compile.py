"""Compile the evaluator into numba's cache: ``python -m fraud.model.trees.compile``, in an image's build.

Writes ``NUMBA_CACHE_DIR``; a process that finds it there loads a model without waiting ten seconds.
"""

from typing import Final

import numpy as np

from fraud.model.trees.fast import FEW, FastTrees

STUMP: Final = """num_tree_per_iteration=1

Tree=0
num_leaves=2
split_feature=0
threshold=0.5
decision_type=2
left_child=-1
right_child=-2
leaf_value=-1 1
leaf_count=1 1
internal_count=2
is_linear=0

end of trees
"""


def main() -> None:
    """Score few rows, and many, and explain one."""
    trees = FastTrees(STUMP, 1)
    rows = np.zeros((FEW + 1, 1))
    trees.margin(rows[:1])
    trees.margin(rows)
    trees.contributions(rows[:1])


if __name__ == "__main__":
    main()
