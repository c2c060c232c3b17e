"""Folds the log onto a store that went back in time, so that it has what its checkpoint has committed.

Reads the store's watermark, the checkpoint, the Delta tables and spool behind the watermark, and the end of
the topic ``scored``; writes the store. Every transaction has its entities' sequences: so what the older copy
has counted itself (of the scoring service too, and of half a micro-batch) is told from what it lacks, and all
is folded in the order in which it was counted. The stream must be stopped.
"""

import logging
from dataclasses import dataclass
from typing import Final

from fraud.errors import BadState
from fraud.features.passes import Passes, entity_names, passes_of_schema
from fraud.log.already_counted import Diverged
from fraud.log.checkpoint import Checkpoint
from fraud.log.mark import RebuildMark
from fraud.log.reader import SLICE_ROWS, Log
from fraud.log.rebuild import archive_rest, generation_after, is_empty, rebuild, settle_generation
from fraud.log.refold import Refolder
from fraud.log.tail import Tail, counted_under, fold_tail, parse_tail
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.settings.stream import LogSettings
from fraud.store import Epoch, FeatureStore, Watermark, open_store
from fraud.store.answers import KEEP_S
from fraud.store.ring import is_sharded
from fraud.store.watermark import REBUILD

log = logging.getLogger(__name__)
OURS: Final = "catch-up"
"""In the mark of a store that is not whole: what was interrupted, and may begin again by itself."""
_LAST_MOMENT: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What was folded."""

    transactions: int
    """Of the log that were read."""
    micro_batches: int
    """That the store lacked."""
    from_tail: int
    """Transactions of the scoring service that the log does not have yet."""
    was_anew: bool = False
    """Whether the whole log was folded."""


def catch_up(
    settings: LogSettings,
    tail: Tail,
    *,
    rows: int = SLICE_ROWS,
    passes: Passes | None = None,
    schema: Schema | None = None,
) -> CaughtUp:
    """Fold onto the store what it lacks of the log; an empty one gets the whole log.

    A store that turns out to be no older copy, and one in which this was interrupted, is rebuilt from the
    whole log.

    Parameters
    ----------
    settings
        Of the stream, which is stopped.
    tail
        Reads what the scoring service has counted and the log does not have.
    rows
        Records held in memory at a time, about.
    passes
        What is folded; the primary first; by default the schema's.
    schema
        Of the records; by default the deployment's.

    Raises
    ------
    BadState
        When the store is another checkpoint's, or the log lacks what the checkpoint has committed.
    Unavailable
        When the store, the tables or Kafka do not answer; try again.
    """
    schema = schema or deployed_schema()
    passes = passes or passes_of_schema(schema)
    # A shard that lost a commit's end may leave the other shards with its beginning: all is folded again.
    if is_interrupted(settings) or is_sharded(settings.store):
        return _anew(settings, rows, passes, schema)
    checkpoint = Checkpoint.of(settings.checkpoint_path)
    archive_rest(settings, checkpoint, passes=passes, schema=schema)
    whole = Log(settings.delta_path, settings.delta_options, passes, schema)
    with open_store(settings.store, entity_names(passes)) as store:
        mark = _mark_of(store, checkpoint)
        raws = tail(checkpoint.offsets(checkpoint.committed))
        generation = generation_after(whole, whole.reach or Epoch(0, 0), checkpoint)
        store.set_aside()
        token = store.acquire("catch-up")
        generation = settle_generation(store, checkpoint, generation, is_empty=mark is None)
        mark_of_rebuild = RebuildMark(settings.rebuild_mark)
        mark_of_rebuild.set(OURS)
        end = Epoch(generation, checkpoint.committed)
        try:
            found = _fold(whole, store, (mark, end, token), raws, rows)
        except Diverged as error:
            log.warning("%s: the whole log is folded again", error)
        else:
            store.advance(Watermark(checkpoint.query_id, end, checkpoint.offsets(end.batch)), mark, token)
            store.renew(is_whole=True)
            store.flush()
            mark_of_rebuild.clear()
            return found
    return _anew(settings, rows, passes, schema)


def is_interrupted(settings: LogSettings) -> bool:
    """Whether folding forward has begun and not ended."""
    return RebuildMark(settings.rebuild_mark).read() == OURS


def _mark_of(store: FeatureStore, checkpoint: Checkpoint) -> Watermark | None:
    mark = store.watermark()
    if mark is None and not is_empty(store):
        raise BadState(f"the feature store has states, but no watermark, so its age is unknown; {REBUILD}")
    if mark is not None and mark.query_id != checkpoint.query_id:
        raise BadState(
            f"the feature store was last written by another checkpoint; name the right one, or {REBUILD}"
        )
    return mark


def _fold(
    whole: Log, store: FeatureStore, to: tuple[Watermark | None, Epoch, int], raws: list[bytes], rows: int
) -> CaughtUp:
    mark, end, token = to
    refolder, answers = Refolder(whole.passes, is_onto=True), store.answers()
    transactions = 0
    for part in whole.slices(rows, (mark.epoch.number, _LAST_MOMENT) if mark else None):
        arrivals = whole.read(part)
        refolder.take(arrivals, store, token, part.epoch)
        answers.claim(whole.scored_of(part), part.epoch, KEEP_S)
        transactions += len(arrivals.transactions)
    lacked = end.batch - (mark.epoch.batch if mark else -1)
    counted = parse_tail(raws, whole.schema)
    if mark is None:  # the names of the store that is gone
        store.add_formers(list(dict.fromkeys(record.store for record, _ in counted)))
    else:
        counted = counted_under(counted, store.formers(), store.seal_key())
    from_tail = fold_tail(counted, refolder, store, (end, token), whole.schema)
    return CaughtUp(transactions, lacked, from_tail)


def _anew(settings: LogSettings, rows: int, passes: Passes, schema: Schema) -> CaughtUp:
    found = rebuild(settings, replace=True, rows=rows, passes=passes, schema=schema)
    return CaughtUp(found.transactions, found.next_epoch, 0, was_anew=True)
