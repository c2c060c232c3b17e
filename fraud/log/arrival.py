"""The arrival order, in one place: the streaming passes and all readers of the log sort by it.

Records arrive by micro-batch (generation, epoch); within one by the broker's append time, labels before
results before profiles before transactions, partition, offset. All of it is stored with every row. What
the passes sort by is what they record, so that the log reproduces their order whatever the broker's clock
did.

The scoring service counts transactions between those of the stream, and the stream archives them later.
So each row also carries sequences (``fraud.features.passes.sequence_names``): how many transactions its
user, its merchant, ... had with it (a label: before it). They are missing in rows from before there was a
scoring service, where the record does not name the entity, and, but for the primary's, in labels that changed
nothing. Per entity that is the order of arrival, whoever counted. One order of all records need not exist:
a transaction may come before another one of the same user and after one of the same merchant that arrived
later.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fraud.contracts.topics import LABELS, PROFILES, RESULTS

COLUMNS: Final = ("generation", "epoch", "received_at", "source_partition", "source_offset")
"""Of every table of the log; with the topic they name one record."""

Ints = NDArray[np.int64]


class Reach(BaseModel):
    """The newest micro-batch of a commit of the archive, which carries it as metadata.

    The archive commits table after table, ``dead_letters`` last and always: what that one has reached
    is whole in all of them.
    """

    model_config = ConfigDict(frozen=True)

    generation: int
    epoch: int
    offsets: str = ""
    """Where it ends in Kafka, as Spark writes it; empty where the archive could not tell."""


RANKS: Final = {LABELS: 0, RESULTS: 1, PROFILES: 2}
"""By topic: which of the records of a time come first; all others are of rank 3."""
LAST_RANK: Final = 3


def ranks_of(topics: NDArray[Any]) -> Ints:
    """Give each record the rank of its topic, [n].

    Examples
    --------
    >>> ranks_of(np.array(["transactions", "labels", "results", "profiles"])).tolist()
    [3, 0, 1, 2]
    """
    found = np.full(len(topics), LAST_RANK, np.int64)
    for topic, rank in RANKS.items():
        found[topics == topic] = rank
    return found


def order_within(
    received_us: NDArray[Any], rank: Ints, partition: NDArray[Any], offset: NDArray[Any]
) -> NDArray[np.int64]:
    """Order the records of one micro-batch by arrival.

    Parameters
    ----------
    received_us
        [n] microseconds, as recorded (see :func:`raise_times`).
    rank
        [n] of its topic, see :func:`ranks_of`.
    partition, offset
        [n] of the Kafka topic.

    Returns
    -------
    ndarray
        [n] positions, first arrival first.

    Examples
    --------
    >>> import numpy as np
    >>> at, ranks = np.array([5, 5, 4]), np.array([2, 0, 2])
    >>> order_within(at, ranks, np.zeros(3, int), np.arange(3)).tolist()
    [2, 1, 0]
    """
    return np.lexsort((offset, partition, rank, received_us))


def order_between(
    epoch: Ints, received_us: Ints, rank: Ints, partition: Ints, offset: Ints
) -> NDArray[np.int64]:
    """Order the records of many micro-batches by arrival; ``epoch`` is ``Epoch.number`` of each."""
    return np.lexsort((offset, partition, rank, received_us, epoch))


def raise_times(
    received_us: NDArray[np.int64], topic: NDArray[Any], partition: NDArray[Any], offset: NDArray[Any]
) -> NDArray[np.int64]:
    """Raise append times that fall behind an earlier offset of their partition to that one's.

    Offset order within a partition always wins, also over a broker's clock that was set back.

    Examples
    --------
    >>> import numpy as np
    >>> raise_times(np.array([3, 1]), np.array(["t", "t"]), np.array([0, 0]), np.array([7, 8])).tolist()
    [3, 3]
    """
    by_offset = np.lexsort((offset, partition, topic))
    times, topics, partitions = received_us[by_offset], topic[by_offset], partition[by_offset]
    changes = np.flatnonzero((topics[1:] != topics[:-1]) | (partitions[1:] != partitions[:-1])) + 1
    raised = np.empty_like(times)
    raised[by_offset] = np.concatenate([np.maximum.accumulate(run) for run in np.split(times, changes)])
    return raised
