"""All passes of a small micro-batch in one task: handing on between tasks takes longer than its work.

How much a micro-batch holds stands in Spark's offset log before it runs (DECISIONS.md, 41).
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from fraud.log.checkpoint import offsets_of
from jobs.stream.context import TaskContext
from jobs.stream.merchant_pass import run_merchant_pass
from jobs.stream.user_pass import run_user_pass
from jobs.stream.validate_pass import run_validate_pass


def run_one_pass(context: TaskContext, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Run the three passes over a whole micro-batch (a ``mapInArrow`` function); see each for its part."""
    validated = run_validate_pass(context, batches)
    yield from run_merchant_pass(context, run_user_pass(context, validated))


def mapped(context: TaskContext) -> partial[Iterator[pa.RecordBatch]]:
    """Bind the passes to a micro-batch, for ``mapInArrow``."""
    return partial(run_one_pass, context)


def records_of(checkpoint: Path, batch: int) -> int | None:
    """Count a micro-batch's records by Spark's offset log; None where it does not tell (the first one)."""
    before, after = (_read(offsets_of(checkpoint, number)) for number in (batch - 1, batch))
    if not after or before.keys() != after.keys():
        return None
    return sum(end - before[at] for at, end in after.items())


def _read(offsets: str) -> dict[tuple[str, str], int]:
    """Read where each topic's partitions stand."""
    topics = json.loads(offsets or "{}")
    return {(topic, number): offset for topic, ends in topics.items() for number, offset in ends.items()}
