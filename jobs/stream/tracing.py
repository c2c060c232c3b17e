"""The trace span of a micro-batch: number of decisions, time of its stages, traces of its records.

Each trace that somebody has sampled, of the first ones, gets a span ``decide`` of its own, as long as the
micro-batch; the others are in the figures alone: a span a transaction would cost more than its decision.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from fraud.runtime.traces import MOST_LINKS, Batch


def note_batch(trace: Batch, summaries: Sequence[Mapping[str, Any]], number: int) -> None:
    """Tell what the tasks of a micro-batch have summed up.

    Parameters
    ----------
    trace
        The micro-batch's span.
    summaries
        Of its tasks.
    number
        Of the micro-batch.
    """
    stages: Counter[str] = Counter()
    for one in summaries:
        for seconds in one["stages_s"]:
            stages.update(seconds)
    counts = {name: sum(one[name] for one in summaries) for name in ("transactions", "scored", "fallbacks")}
    trace.note(micro_batch=number, **counts, **{f"{name}_s": value for name, value in stages.items()})
    parents = list(islice((known for one in summaries for known in one["traces"]), MOST_LINKS))
    trace.link(parents)
    trace.tell("decide", parents)
