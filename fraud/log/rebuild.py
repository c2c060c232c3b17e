"""Rebuilds a feature store from the log, with the stream's own bytes; the stream continues from it.

Reads the Delta tables ``transactions`` and ``labels``, the stream's checkpoint and spool; writes a
feature store. The stream must be stopped: one that still runs is fenced off.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from fraud.errors import BadConfig, BadState, Unavailable
from fraud.features.passes import Passes, entity_names, passes_of_schema
from fraud.log.archive import Archive
from fraud.log.checkpoint import Checkpoint
from fraud.log.mark import RebuildMark
from fraud.log.mirror import Mirror
from fraud.log.reader import SLICE_ROWS, Log
from fraud.log.refold import Refolder, scratch_store
from fraud.log.slices import Slice
from fraud.log.tail import Tail, counted_under, fold_tail, parse_tail
from fraud.runtime.waiting import wait_until
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.settings.stream import LogSettings
from fraud.store import Epoch, FeatureStore, Watermark, open_store

_COPIED_AT_ONCE: Final = 2_000
SETTLED_S: Final = 900.0
"""How long a new store waits for the scoring service to stop, seconds."""
_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild wrote, and where the stream continues."""

    transactions: int
    states: dict[str, int]
    """By entity."""
    generation: int
    """Of the stream's checkpoint over this store."""
    next_epoch: int
    """The stream's next micro-batch."""
    has_offsets: bool
    """Whether it is known where the log ends in Kafka."""
    left_out: int = 0
    """Transactions dated in the future that count in no state."""


def rebuild(
    settings: LogSettings,
    store_url: str = "",
    *,
    replace: bool = False,
    rows: int = SLICE_ROWS,
    scratch: Path | None = None,
    passes: Passes | None = None,
    schema: Schema | None = None,
    most_ahead_us: int | None = None,
) -> Rebuilt:
    """Fold the whole log into a store.

    Parameters
    ----------
    settings
        Of the streaming job that will go on from here.
    store_url
        The store to fill; by default the one of the settings.
    replace
        Whether states that are there are given up. Without it the store must be empty. They are kept
        until the log has been folded whole; if this ends while it writes, it must run again.
    rows
        Records held in memory at a time, about.
    scratch
        Folder for the states while it runs; the system's temporary one by default.
    passes
        What is folded; the primary first; by default the schema's.
    schema
        Of the records; by default the deployment's.
    most_ahead_us
        Transactions dated further ahead of their arrival are left out of the states (see ``Log``).

    Raises
    ------
    BadConfig
        When the store is not empty, or belongs to another checkpoint.
    BadState
        When the log lacks micro-batches that the checkpoint has committed.
    Fenced
        When another writer takes the store over meanwhile.
    """
    schema = schema or deployed_schema()
    passes = passes or passes_of_schema(schema)
    url, entities = store_url or settings.store, entity_names(passes)
    checkpoint = Checkpoint.of(settings.checkpoint_path)
    with open_store(url, entities) as target:
        known = target.watermark()
    archive_rest(settings, checkpoint, known, passes, schema)
    log = Log(settings.delta_path, settings.delta_options, passes, schema, most_ahead_us)
    earlier, last, newest = _parted(log.slices(rows))
    generation = generation_after(log, newest, checkpoint)
    # The newest micro-batch is folded in the store itself, over states that are one older: if it ran
    # again it would start from those, as in the store that was lost.
    stamp = Epoch(newest.generation, newest.batch - 1) if last else newest
    mark = RebuildMark(settings.rebuild_mark) if url == settings.store else None
    with open_store(url, entities) as target, scratch_store(scratch, passes) as copy:
        was_empty = is_empty(target)
        if not was_empty and not replace:
            raise BadConfig("the store holds states; give --replace, or another --store")
        folding = _Folding(copy, copy.acquire("rebuild"), Refolder(passes))
        folding.fold(log, earlier, is_last=not last)
        token = target.acquire("rebuild")
        target.renew(is_whole=False)  # the scoring service counts nothing meanwhile
        generation = settle_generation(target, checkpoint, generation, is_empty=was_empty)
        if mark and mark.read() is None:
            mark.set()
        for entity in target.entities:
            target.clear(entity, token)
            _copy(copy, target, entity, stamp, token)
        folding.store, folding.token = target, token
        folding.fold(log, last, newest, is_last=True)
        watermark = _watermark_of(log, newest, checkpoint, generation, known)
        found = _finish(folding, watermark, checkpoint, generation)
        if mark:
            mark.clear()
    return found


def follow(
    settings: LogSettings,
    store_url: str,
    has_stopped: Callable[[], bool],
    *,
    old: FeatureStore,
    tail: Tail,
    is_settled: Callable[[], bool] | None = None,
    rows: int = SLICE_ROWS,
    passes: Passes | None = None,
    schema: Schema | None = None,
    poll_s: float = 2.0,
    tell: Callable[[str], None] = lambda _words: None,
    mirror: Mirror | None = None,
) -> Rebuilt:
    """Fold the log into a new store while the stream writes on, and the rest once the stream has stopped.

    So a changed schema's states are there when the stream starts with it: only what the log has got since the
    last look is folded while no stream decides. The scoring service may use the old store until the end.

    Parameters
    ----------
    settings
        Of the stream that runs.
    store_url
        The store to fill; an empty one.
    has_stopped
        Whether the stream has stopped, all of it archived.
    old
        The store that is in use.
    tail
        Reads what the scoring service has counted and the log does not have.
    is_settled
        Whether the scoring service has stopped too; None: it may run on over the old store, and what it
        counts later, the stream counts when it reads it.
    rows, passes, schema
        As of :func:`rebuild`.
    poll_s
        Time between two looks at the log, seconds.
    tell
        Takes words each time that the log has been folded as far as it goes.
    mirror
        Brings the checkpoint here; None where the home is a folder.

    Raises
    ------
    BadConfig
        When the store is not empty.
    BadState
        When the log lacks micro-batches that the checkpoint has committed.
    Unavailable
        When Kafka does not answer, or the stopped service has left decisions that Kafka does not have.
    """
    schema = schema or deployed_schema()
    passes = passes or passes_of_schema(schema)
    with open_store(store_url, entity_names(passes)) as target:
        if not is_empty(target):
            raise BadConfig(f"the store {store_url} holds states; name one that does not exist yet")
        folding = _Folding(target, target.acquire("rebuild"), Refolder(passes))
        target.renew(is_whole=False)
        is_over = has_stopped()
        while not is_over:
            log = Log(settings.delta_path, settings.delta_options, passes, schema)
            earlier, _, _ = _parted(log.slices(rows, folding.done))
            folding.fold(log, earlier, is_last=False)
            tell(f"folded {folding.transactions:,} transactions, all but the newest micro-batch")
            is_over = wait_until(has_stopped, poll_s, _LOOK_S)
        if mirror is not None:
            mirror.restore()
        checkpoint = Checkpoint.of(settings.checkpoint_path)
        archive_rest(settings, checkpoint, passes=passes, schema=schema)
        log = Log(settings.delta_path, settings.delta_options, passes, schema)
        earlier, last, newest = _parted(log.slices(rows, folding.done))
        folding.fold(log, earlier, is_last=False)
        folding.fold(log, last, newest, is_last=False)
        generation = generation_after(log, newest, checkpoint)
        generation = settle_generation(target, checkpoint, generation, is_empty=True)
        tell(f"folded {folding.transactions:,} transactions, the whole log")
        if is_settled and not wait_until(is_settled, SETTLED_S, _LOOK_S):
            raise Unavailable(f"timed out after {SETTLED_S:.0f} s waiting for the scoring service to stop")
        raws = tail(checkpoint.offsets(checkpoint.committed))
        if is_settled and (left := old.answers().backlog()):
            raise Unavailable(
                f"{left:,} decisions of the scoring service are not in Kafka; start it again over the old "
                "store until it has sent them"
            )
        names = (old.identity(), *old.formers())
        target.add_formers(names)
        found = counted_under(parse_tail(raws, schema), names, old.seal_key())
        folding.transactions += fold_tail(found, folding.refolder, target, (newest, folding.token), schema)
        watermark = _watermark_of(log, newest, checkpoint, generation, None)
        return _finish(folding, watermark, checkpoint, generation)


@dataclass(slots=True)
class _Folding:
    """How far the log has been folded, and into which store."""

    store: FeatureStore
    token: int
    refolder: Refolder
    transactions: int = 0
    left_out: int = 0
    slices: int = 0
    done: tuple[int, int] | None = None
    """Last moment that was folded."""

    def fold(self, log: Log, slices: Sequence[Slice], epoch: Epoch | None = None, *, is_last: bool) -> None:
        """Fold slices; the states carry ``epoch``, else one of the history that counts the slices."""
        for part in slices:
            arrivals = log.read(part)
            self.transactions += len(arrivals.transactions)
            self.left_out += arrivals.left_out
            stamp = epoch or Epoch(0, self.slices)
            is_end = is_last and part is slices[-1]
            self.refolder.take(arrivals, self.store, self.token, stamp, is_last=is_end)
            self.slices += 1
            self.done = part.last


def _parted(slices: list[Slice]) -> tuple[list[Slice], list[Slice], Epoch]:
    """Part the newest micro-batch, unless it is the history, from what is before it; and name it."""
    newest = slices[-1].epoch if slices else Epoch(0, 0)
    last = [part for part in slices if part.is_newest_epoch and newest.generation]
    return slices[: len(slices) - len(last)], last, newest


def is_empty(store: FeatureStore) -> bool:
    """Whether a store holds no state."""
    return all(next(iter(store.scan(entity)), None) is None for entity in store.entities)


def _finish(folding: _Folding, watermark: Watermark, checkpoint: Checkpoint, generation: int) -> Rebuilt:
    """Write the watermark, and let the scoring service count."""
    target = folding.store
    if checkpoint.committed < 0:
        target.answers().release(watermark.epoch)  # the new checkpoint claims them
    target.advance(watermark, target.watermark(), folding.token)
    target.renew(is_whole=True)
    target.flush()
    return Rebuilt(
        folding.transactions,
        {entity: sum(1 for _ in target.scan(entity)) for entity in target.entities},
        generation,
        checkpoint.committed + 1,
        has_offsets=bool(watermark.offsets),
        left_out=folding.left_out,
    )


def archive_rest(
    settings: LogSettings,
    checkpoint: Checkpoint,
    known: Watermark | None = None,
    passes: Passes | None = None,
    schema: Schema | None = None,
) -> int:
    """Carry finished micro-batches that a stopped stream left in its spool into the tables, if any.

    Parameters
    ----------
    settings, checkpoint
        Of the stream.
    known
        The store's watermark: where the checkpoint is lost, it alone tells what was finished.
    passes, schema
        Of the stream; by default the deployment's.

    Returns
    -------
    int
        How many micro-batches.
    """
    schema = schema or deployed_schema()
    passes = passes or passes_of_schema(schema)
    archive = Archive(
        settings.spool,
        settings.checkpoint_path,
        settings.delta_path,
        settings.delta_options,
        passes=passes,
        schema=schema,
    )
    found = [tuple(int(part) for part in name.split("-")) for name in archive.waiting()]
    if not found:
        return 0
    newest = found[-1][0]
    if checkpoint.committed < 0 and newest:
        archived = _run_all(archive, newest)  # a round that was cut off, or older generations
        _drop_unfinished(archive, newest, known)
        return archived + _run_all(archive, newest + 1)
    if not any(generation < newest or batch <= checkpoint.committed for generation, batch in found):
        return 0  # one that did not finish: the stream runs it again
    return _run_all(archive, newest)


def _run_all(archive: Archive, generation: int) -> int:
    """Archive round after round: one takes a bounded number of micro-batches."""
    archived = 0
    while done := archive.run(generation):
        archived += done
    return archived


def _drop_unfinished(archive: Archive, generation: int, known: Watermark | None) -> None:
    """Drop what a lost checkpoint's query may not have finished: the new one reads it from Kafka again."""
    for name in archive.waiting():
        epoch = Epoch(*(int(part) for part in name.split("-")))
        is_finished = known is not None and known.epoch.generation == generation and epoch <= known.epoch
        if epoch.generation == generation and not is_finished:
            archive.spool.remove(name)


def _watermark_of(
    log: Log, newest: Epoch, checkpoint: Checkpoint, generation: int, known: Watermark | None
) -> Watermark:
    """Tell what the rebuilt store knows: all of its checkpoint, or all of the log where that is lost."""
    if checkpoint.committed >= 0:
        ends = checkpoint.offsets(checkpoint.committed)
        return Watermark(checkpoint.query_id, Epoch(generation, checkpoint.committed), ends)
    reach = log.reach or newest
    if known is not None and known.epoch == reach:
        return Watermark("", reach, known.offsets)
    return Watermark("", reach, log.end.offsets if log.end else "")


def generation_after(log: Log, newest: Epoch, checkpoint: Checkpoint) -> int:
    """Tell the generation of the checkpoint, and make sure that the log has all that it committed."""
    known = max(newest, log.reach or newest)
    if checkpoint.committed < 0:
        return known.generation + 1
    if known.batch < checkpoint.committed or not known.generation:
        raise BadState(
            f"the log ends at micro-batch {known.batch} of generation {known.generation}, the checkpoint at "
            f"{checkpoint.committed}: start the stream's archive again before the store is rebuilt"
        )
    if known.batch > checkpoint.committed:
        raise BadConfig(
            f"the checkpoint ends at micro-batch {checkpoint.committed}, the log at {known.batch} of "
            f"generation {known.generation}: it was set back, or FRAUD_STREAM_HOME names another stream's"
        )
    return known.generation


def settle_generation(store: FeatureStore, checkpoint: Checkpoint, generation: int, *, is_empty: bool) -> int:
    """Make the store count the checkpoint's generation as the lost one did; returns it."""
    if is_empty:
        for earlier in range(1, generation):
            store.generation_of(f"before-rebuild-{earlier}")
    if not checkpoint.query_id:
        return generation
    found = store.generation_of(checkpoint.query_id)
    if found < generation or (checkpoint.committed >= 0 and found != generation):
        raise BadConfig(
            f"the store counts the checkpoint as generation {found}, the log as {generation}: "
            "this store did not belong to this log; rebuild into a new one (--store), or delete this one"
        )
    return found


def _copy(source: FeatureStore, target: FeatureStore, entity: str, epoch: Epoch, token: int) -> None:
    states = source.scan(entity)
    while found := dict(islice(states, _COPIED_AT_ONCE)):
        target.write(entity, found, epoch, token)
