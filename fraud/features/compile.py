"""Compile the fold into numba's cache: ``python -m fraud.features.compile``, a step of an image's build.

Writes ``NUMBA_CACHE_DIR``; a process that finds it there starts in seconds instead of half a minute.
"""

from dataclasses import replace

import numpy as np

from fraud.features.batch import fold_passes
from fraud.features.engine import fold_plan
from fraud.features.layout import DEFAULT_LAYOUT
from fraud.features.passes import passes_of_schema
from fraud.features.plan import compile_plan
from fraud.schema.default import USER
from fraud.schema.reading import default_schema


def main() -> None:
    """Fold one event by the kernel of the default table's shape, and one by the kernel of all others."""
    event = np.ones((1, DEFAULT_LAYOUT.width))
    fold_passes(event, passes=passes_of_schema(default_schema()))
    fold_plan(compile_plan(replace(USER, kept=("device",))), event, {})


if __name__ == "__main__":
    main()
