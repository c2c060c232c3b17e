"""All passes of a small micro-batch in one task: handing rows on would take longer than the work.

``jobs.stream.offsets`` says beforehand how much a micro-batch holds (DECISIONS.md, 41).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pyarrow as pa

from jobs.stream.offsets import Range
from jobs.stream.tasks.bounded_read import read
from jobs.stream.tasks.context import TaskContext
from jobs.stream.tasks.entity_pass import run_entity_pass
from jobs.stream.tasks.validate_pass import run_validate_pass


def run_one_pass(context: TaskContext, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Run all passes over a whole micro-batch (a ``mapInArrow`` function); see each for its part."""
    passed = run_validate_pass(context, batches)
    for at in range(len(context.passes)):
        passed = run_entity_pass(context, at, passed)
    yield from passed


def mapped(context: TaskContext) -> partial[Iterator[pa.RecordBatch]]:
    """Bind the passes to a micro-batch, for ``mapInArrow``."""
    return partial(run_one_pass, context)


def mapped_bounded(
    context: TaskContext, kafka: tuple[tuple[str, str], ...], ranges: Sequence[Range]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Bind the passes to a micro-batch that the task itself reads (``jobs.stream.tasks.bounded_read``)."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:  # one row, which says: begin
            pass
        yield from run_one_pass(context, read(kafka, ranges))

    return run
