"""Compares feature store, checkpoint and log, so that an older copy of one of them is detected.

Reads the store's watermark, Spark's checkpoint and the Delta tables' newest commit; writes the watermark.
A micro-batch is first whole in the store (the watermark), then in the checkpoint, then in the log. Any other
order means that one of the three was lost, set back or exchanged.
"""

import json
import logging
from typing import Final

from fraud.contracts import contracts_of
from fraud.errors import BadState, SetBack, Unavailable
from fraud.kafka.cluster import describe
from fraud.log.arrival import Reach
from fraud.log.checkpoint import Checkpoint, offsets_of
from fraud.log.mirror import Mirror
from fraud.log.tables import log_end
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.store import Epoch, FeatureStore, Watermark
from fraud.store.watermark import REBUILD, set_back
from jobs.stream.offsets import BEGINNING
from jobs.stream.settings import StreamSettings

log = logging.getLogger("jobs.stream")
LOOKS: Final = 5
"""At a store and a checkpoint in an object store, which a driver that runs on may change between the two."""
LISTING_S: Final = 10.0
"""How long Kafka may take to list partitions, seconds."""
_GOES_ON: Final = "the stream then goes on where the log ends"


class Progress:
    """Keeps the store's watermark in step with the checkpoint.

    Parameters
    ----------
    store
        The driver's.
    settings
        Of the job.
    schema
        Whose topics the job reads; by default the deployment's.
    mirror
        Brings the checkpoint here; None where the home is a folder.
    """

    def __init__(
        self,
        store: FeatureStore,
        settings: StreamSettings,
        schema: Schema | None = None,
        mirror: Mirror | None = None,
    ) -> None:
        self._store, self._settings, self._mirror = store, settings, mirror
        self._topics = topics_of(schema or deployed_schema())
        self._mark: Watermark | None = None
        self._sent: Watermark | None = None
        """The last one that was sent to the store, which may have it although it did not say so."""
        self._generation = self._token = 0
        self._query_id = self._instance = self._resume = ""

    def check(self) -> Checkpoint:
        """Compare store, checkpoint and log; a store of somebody else is not changed.

        Raises
        ------
        SetBack
            When the store is an older copy of this stream's, or has nothing of it.
        BadState
            When they do not belong together, with what repairs it.
        """
        looks = 1 if self._mirror is None else LOOKS
        while True:
            looks -= 1
            if self._mirror is not None:
                self._mirror.restore()
            try:
                return self._compare()
            except SetBack:
                raise
            except BadState:
                if not looks:
                    raise

    def _compare(self) -> Checkpoint:
        settings = self._settings
        checkpoint = Checkpoint.of(settings.checkpoint_path)
        if checkpoint.committed >= 0 and not self._store.knows(checkpoint.query_id):
            is_gone = self._store.watermark() is None  # else it is another deployment's
            raise (SetBack if is_gone else BadState)(
                "the feature store has never seen this checkpoint, which has finished micro-batches: its "
                "states are lost, or FRAUD_STREAM_STORE_URL or FRAUD_STREAM_HOME names another deployment's; "
                f"name the right one, or {REBUILD}"
            )
        mark = self._store.watermark()
        problem = refusal(mark, checkpoint, self._log_end())
        if problem:
            if mark is not None and is_older(mark, checkpoint):
                self._store.set_aside()  # the scoring service must not count in it either
                raise SetBack(problem)
            raise BadState(problem)
        if not self._store.identity():
            raise (SetBack if self._store.formers() else BadState)(
                "the feature store is incomplete: a rebuild or a backfill has not finished, or the store was "
                f"found to be older than the log; {REBUILD} until it finishes (a backfill: run it again)"
            )
        return checkpoint

    def begin(self, query_id: str, generation: int, token: int) -> None:
        """Take the store on for a checkpoint; who held it before is fenced off by now."""
        checkpoint = self.check()
        found = self._store.watermark()
        self._query_id, self._generation, self._token = query_id, generation, token
        self._mark = self._sent = found
        if found is None and checkpoint.committed >= 0:
            log.warning(
                "the feature store has no watermark, as one of an earlier release: it is taken to be as new "
                "as the checkpoint"
            )
        if found is not None and not found.query_id:
            self._resume = found.offsets
        if found is None or found.query_id != query_id:
            self._advance(Watermark(query_id, Epoch(generation, checkpoint.committed), self._resume))
        elif checkpoint.committed < 0 and found.epoch.batch < 0:
            self._resume = found.offsets  # it began from a rebuilt store and has finished nothing yet

    def before(self) -> None:
        """Make sure, before a micro-batch, that the store is what the last one left.

        Raises
        ------
        BadState
            When it was emptied, set back or exchanged.
        """
        self._store.hold(self._token)
        self._instance = self._store.instance()
        if not self._store.identity():
            raise SetBack("the feature store was set aside while the stream ran: it lacks what was confirmed")
        found = self._store.watermark()
        if found == self._sent:
            self._mark = found
        if found != self._mark:
            raise set_back(found, self._mark)

    def after(self, batch: int) -> None:
        """Write, after all tasks of a micro-batch, that the store has it whole; returns when that is safe.

        Raises
        ------
        Unavailable
            When the store restarted or failed over meanwhile: the micro-batch must run again.
        """
        ends = offsets_of(self._settings.checkpoint_path, batch)
        mark = Watermark(self._query_id, Epoch(self._generation, batch), ends)
        if mark != self._mark:
            self._advance(mark)
        self._store.flush()
        if self._store.instance() != self._instance:
            raise Unavailable(
                f"the feature store restarted or failed over during micro-batch {batch}, and may have lost "
                "some of its writes; start again: the micro-batch runs again"
            )

    def starting_offsets(self) -> str:
        """Tell Spark where a new checkpoint begins to read: where a rebuilt store ends, else at the earliest.

        Raises
        ------
        Unavailable
            When Kafka does not answer.
        """
        if not self._resume:
            return "earliest"
        ends = json.loads(self._resume)
        found = {
            topic: {number: ends.get(topic, {}).get(number, BEGINNING) for number in numbers}
            for topic, numbers in self._partitions().items()
        }
        return json.dumps(found)

    def _advance(self, mark: Watermark) -> None:
        self._sent = mark
        self._store.advance(mark, self._mark, self._token)
        self._mark = mark

    def _log_end(self) -> Reach | None:
        try:
            return log_end(self._settings.delta_path, self._settings.delta_options)
        except Unavailable as error:
            log.warning("the store is not compared with the log: %s", error)
            return None

    def _partitions(self) -> dict[str, list[str]]:
        topics = describe(self._settings.kafka_bootstrap, self._settings.kafka_options, LISTING_S).topics
        return {name: [str(number) for number in topics[name]] for name in self._topics if name in topics}


def topics_of(schema: Schema) -> tuple[str, ...]:
    """Name the topics that the stream reads."""
    return tuple(contracts_of(schema).by_topic)


def refusal(mark: Watermark | None, checkpoint: Checkpoint, end: Reach | None) -> str:
    """Tell why a store, a checkpoint and a log do not belong together; empty when they do.

    Parameters
    ----------
    mark
        The store's watermark.
    checkpoint
        The stream's.
    end
        The newest micro-batch that all Delta tables have; None where there is no log, or none can be read.
    """
    if checkpoint.committed < 0 or mark is None:  # None beside finished ones: of an earlier release
        return _refusal_of_new(mark, checkpoint, end) if checkpoint.committed < 0 else ""
    if mark.query_id != checkpoint.query_id:
        return (
            f"the feature store was last written by another checkpoint than {checkpoint.path}: two stores "
            "were exchanged, or FRAUD_STREAM_STORE_URL or FRAUD_STREAM_HOME names another deployment's; name "
            f"the right one, or, to give up what this store holds, {REBUILD}"
        )
    if is_older(mark, checkpoint):
        return (
            "the feature store is older than the checkpoint: it knows micro-batches up to "
            f"{mark.epoch.batch}, the checkpoint has finished {checkpoint.committed}; put the newest store "
            f"back, or {REBUILD}"
        )
    if mark.epoch.batch > checkpoint.committed and not _is_rerun(mark, checkpoint):
        return _is_set_back(checkpoint, _store_has(mark))
    if end is not None and _epoch_of(end) > Epoch(mark.epoch.generation, checkpoint.committed):
        return _is_set_back(checkpoint, _log_has(end))
    return ""


def _refusal_of_new(mark: Watermark | None, checkpoint: Checkpoint, end: Reach | None) -> str:
    """Judge a checkpoint that has finished nothing: all else must be as new, or made for it."""
    known = Epoch(0, 0)  # a backfill
    if mark is not None and not mark.query_id:
        known = mark.epoch
    elif mark is not None and mark.query_id == checkpoint.query_id:
        if mark.epoch.batch >= 0 and not _is_rerun(mark, checkpoint):
            return _is_lost(checkpoint, _store_has(mark))
        known = mark.epoch
    elif mark is not None and mark.epoch.batch >= 0:
        return _is_lost(checkpoint, _store_has(mark))
    return _is_lost(checkpoint, _log_has(end)) if end is not None and _epoch_of(end) > known else ""


def is_older(mark: Watermark, checkpoint: Checkpoint) -> bool:
    """Whether a store of this very checkpoint lacks micro-batches that are finished."""
    return mark.query_id == checkpoint.query_id and mark.epoch.batch < checkpoint.committed


def _is_rerun(mark: Watermark, checkpoint: Checkpoint) -> bool:
    """Whether a store is one micro-batch ahead, and that is the one that the checkpoint has planned."""
    planned = checkpoint.offsets(mark.epoch.batch)
    return mark.epoch.batch == checkpoint.committed + 1 and bool(planned) and planned == mark.offsets


def _epoch_of(end: Reach) -> Epoch:
    return Epoch(end.generation, end.epoch)


def _store_has(mark: Watermark) -> str:
    return f"the feature store has micro-batch {mark.epoch.batch} of generation {mark.epoch.generation}"


def _log_has(end: Reach) -> str:
    return f"the log has micro-batch {end.epoch} of generation {end.generation}"


def _is_set_back(checkpoint: Checkpoint, what: str) -> str:
    return (
        f"the checkpoint in {checkpoint.path} was set back: it ends at micro-batch {checkpoint.committed}, "
        f"{what}; put the newest one back, or move it away and {REBUILD}: {_GOES_ON}"
    )


def _is_lost(checkpoint: Checkpoint, what: str) -> str:
    return (
        f"the checkpoint in {checkpoint.path} was lost: it has no finished micro-batch, {what}; put it back, "
        f"or {REBUILD}: {_GOES_ON}"
    )
