"""How much a store has taken: the newest micro-batch whose states it holds whole.

The stream's driver writes it after all tasks of a micro-batch and before the checkpoint's commit. So a store
is never behind its checkpoint, and at most one micro-batch, the one that runs again, ahead of it.
"""

import json
from typing import NamedTuple, Self

from fraud.errors import SetBack
from fraud.store.records import Epoch

REBUILD = "run `fraud replay rebuild-store --replace`"


class Watermark(NamedTuple):
    """The newest whole micro-batch of a store."""

    query_id: str
    """Identity of the checkpoint that wrote it; empty in a rebuilt store that waits for a new checkpoint."""
    epoch: Epoch
    """Batch -1: the checkpoint has been seen, none of its micro-batches is whole."""
    offsets: str = ""
    """Where the micro-batch ends in Kafka, JSON of topic, partition and offset as Spark writes it."""

    def encode(self) -> bytes:
        """Write it as it is stored."""
        return json.dumps([self.query_id, *self.epoch, self.offsets]).encode()

    @classmethod
    def decode(cls, stored: bytes | None) -> Self | None:
        """Read it as it is stored; None where there is none.

        Examples
        --------
        >>> Watermark.decode(Watermark("q", Epoch(1, 7)).encode())
        Watermark(query_id='q', epoch=Epoch(generation=1, batch=7), offsets='')
        """
        if stored is None:
            return None
        query_id, generation, batch, offsets = json.loads(stored)
        return cls(query_id, Epoch(generation, batch), offsets)


def set_back(found: Watermark | None, expected: Watermark | None) -> SetBack:
    """Make the error of a store that has another watermark than the one that was written last."""
    told, wanted = (_words(one) for one in (found, expected))
    return SetBack(
        f"the feature store was emptied or replaced while the stream ran: it knows {told}, not {wanted}; "
        f"put the right store back, or {REBUILD}"
    )


def older_copy(found: int, confirmed: int) -> SetBack:
    """Make the error of a store that lacks commits that were confirmed: a copy that lags took its place."""
    return SetBack(
        f"the feature store was replaced by an older copy: it has counted {found:,} transactions of the "
        f"scoring service, {confirmed:,} were confirmed; put the newest copy back, or {REBUILD}; those that "
        "were not in the log yet must be sent again"
    )


def _words(mark: Watermark | None) -> str:
    if mark is None:
        return "no micro-batch"
    return f"micro-batch {mark.epoch.batch} of generation {mark.epoch.generation}"
