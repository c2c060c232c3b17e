"""What a feature store promises, whatever holds it.

A stored state carries the epoch that wrote it and the state before (``fraud.store.value``): the
micro-batch of that epoch, run again, starts from the state before, so that every transaction counts
exactly once. The scoring service writes beside the stream (``fraud.store.answers``), which therefore
writes by compare-and-set (``FeatureStore.replace``). A write counts when its call returns; one that raises
``Unavailable`` may have been written or not, and is recognised when it is sent again.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, Self

from fraud.contracts.seal import SealKey
from fraud.store.answers import Answers
from fraud.store.records import Entry, Epoch
from fraud.store.watermark import Watermark


class FeatureStore(Protocol):
    """States by entity and key; every method may raise ``Unavailable`` when the store does not answer.

    ``entity`` is a name out of ``entities``; a key is the hash of what a record calls it.
    """

    entities: tuple[str, ...]
    """Whose states it keeps, as it was opened."""

    def generation_of(self, query_id: str) -> int:
        """Return the generation (from 1) of a query's checkpoint; one not seen before gets the next."""

    def knows(self, query_id: str) -> bool:
        """Whether a query of this checkpoint has a generation here."""

    def acquire(self, owner: str) -> int:
        """Take over writing: returns a fencing token newer than any before; older holders are refused."""

    def hold(self, token: int) -> None:
        """Check that no other driver has taken over since ``token`` was given.

        Raises
        ------
        Fenced
            When somebody has, naming who.
        BadState
            When the store is not the one that gave the token: it was emptied, or an older copy replaced it.
        """

    def instance(self) -> str:
        """Name what holds the store at this moment: the file (LMDB) or the primary's run and term (Redis).

        Under another name writes may be lost: the file was replaced, the server restarted or failed over.

        Raises
        ------
        BadState
            When the file was deleted or replaced since it was opened, or (Redis) a commit that was confirmed
            to this process is not there any more.
        """

    def watermark(self) -> Watermark | None:
        """Tell the newest micro-batch that the store holds whole; None where no stream has run."""

    def advance(self, watermark: Watermark, before: Watermark | None, token: int) -> None:
        """Write a watermark over the one ``before`` it; all states of its micro-batch must be written.

        Raises
        ------
        Fenced
            When ``token`` is no longer the newest.
        BadState
            When the store has another watermark than ``before``, or than the new one, which an attempt
            whose answer was lost may have written: it was emptied, or set back.
        """

    def read(self, entity: str, keys: Sequence[float], epoch: Epoch) -> list[bytes | None]:
        """Read the states as they were before ``epoch``, in the order of ``keys``; None where new.

        Raises
        ------
        Fenced
            When a state was already written by a newer epoch.
        """

    def write(self, entity: str, states: Mapping[float, bytes], epoch: Epoch, token: int) -> None:
        """Write the states after ``epoch``, keeping those before it.

        The states go in groups (LMDB: one; Redis: a few hundred states each, of one shard). A group is
        written whole, with the token checked at that same instant, or not at all: a writer that was fenced
        writes nothing after the take-over. A crash between two groups leaves some states at this
        epoch and others before it; since each carries its epoch, the same epoch run again starts
        all of them from before it, and is exact.

        Raises
        ------
        Fenced
            When ``token`` is no longer the newest, or a state was already written by a newer epoch.
        """

    def replace(
        self,
        entity: str,
        states: Mapping[float, bytes],
        versions: Mapping[float, bytes],
        epoch: Epoch,
        token: int,
    ) -> list[float]:
        """Write as ``write`` does, but only over values that have not changed since they were read.

        Parameters
        ----------
        states
            Those after ``epoch``.
        versions
            ``fraud.store.value.version_of`` each stored value, as the states were made from it.

        Returns
        -------
        list
            The entities that changed meanwhile, and were left as they are: read them, fold, try again.

        Raises
        ------
        Fenced
            As ``write``.
        """

    def identity(self) -> str:
        """Name this store's content; ``renew`` gives another name. Empty while it is being rebuilt."""

    def seal_key(self) -> SealKey:
        """Give the key by which the records of the topic ``scored`` are sealed.

        Without a secret, the store has none yet.

        It is made with the store, stays with it, and stands in no record.
        """

    def renew(self, *, is_whole: bool) -> str:
        """Give the content a new name, because it is rebuilt from the log; returns the name.

        Parameters
        ----------
        is_whole
            False at the beginning: until the end nobody may score from it. True at the end; after a False,
            all ``entities`` are complete then.
        """

    def complete_entities(self) -> tuple[str, ...]:
        """Name the entities whose states hold all that was decided; none where that is not known."""

    def mark_complete(self) -> None:
        """Say that those are ``entities``: an entity that the schema no longer has misses what comes now."""

    def set_aside(self) -> None:
        """Refuse all commits: the store lacks confirmed writes. Its name becomes one of the ``formers``."""

    def formers(self) -> tuple[str, ...]:
        """Name what this content was called before it was set aside and folded forward.

        What was answered under these names and is among the answers is counted in the states. A content that
        was rebuilt (``renew`` with False) has none.
        """

    def add_formers(self, names: Sequence[str]) -> None:
        """Add names of a lost store whose answers are kept here again."""

    def answers(self) -> Answers:
        """Open what the scoring service keeps beside the states."""

    def flush(self) -> None:
        """Return when all that was written survives a power cut, as far as the backend promises it.

        LMDB: on disk. Redis: a server with ``appendfsync always`` has it on disk before it answers a
        write, one with ``everysec`` may lose its last second; with ``?replicas=N`` in the URL, N
        replicas have it, as they have each single write that was confirmed.
        """

    def stored(self, entity: str, keys: Sequence[float]) -> list[bytes | None]:
        """Read the stored values as they are, in the order of ``keys``; None where there is none."""

    def scan(self, entity: str) -> Iterator[tuple[float, bytes]]:
        """Go through all entities with their newest states, in no promised order.

        No snapshot: what is written meanwhile may come in either form, or twice.
        """

    def values(self, entity: str) -> Iterator[tuple[float, bytes]]:
        """Go through all entities as ``scan`` does, with their stored values as they are."""

    def entries(self, entity: str) -> Iterator[Entry]:
        """Go through all entities as ``scan`` does, without reading their states."""

    def expire(self, entity: str, before_us: float, token: int | None = None) -> int:
        """Delete the entities whose newest event is older than ``before_us``; returns how many.

        In small groups, so that writers wait a few milliseconds at most. An entity that gets a newer
        event meanwhile stays.

        Parameters
        ----------
        entity
            Whose states.
        before_us
            Event time, microseconds.
        token
            Of the writer; None (a person's command) deletes beside the present writer, without
            taking over from it.

        Raises
        ------
        Fenced
            When ``token`` is no longer the newest.
        """

    def clear(self, entity: str, token: int) -> None:
        """Delete all states of an entity, also those whose states cannot be read.

        Raises
        ------
        Fenced
            When ``token`` is no longer the newest.
        """

    def close(self) -> None:
        """Release it."""

    def __enter__(self) -> Self:
        """Open for a ``with`` block."""

    def __exit__(self, *exc: object) -> None:
        """Close."""
