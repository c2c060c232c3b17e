"""At the start: an older copy of this stream's store gets the missing transactions from the log.

Reads what ``jobs.stream.progress`` compares; writes the store by ``fraud.log.catch_up``, and beside the
checkpoint which store the stream used last. Settings: ``catch_up``.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from fraud.errors import BadState, SetBack, Unavailable
from fraud.features.passes import Passes, entity_names, passes_of_schema
from fraud.log.catch_up import catch_up, is_interrupted
from fraud.log.mirror import Mirror
from fraud.log.rebuild import is_empty
from fraud.log.tail import read_tail
from fraud.runtime.files import write_durably
from fraud.runtime.waiting import retry
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.store import FeatureStore, open_store
from fraud.store.ring import is_sharded, urls_of
from jobs.stream import metrics
from jobs.stream.outages import wait_s
from jobs.stream.progress import Progress
from jobs.stream.settings import StreamSettings

log = logging.getLogger("jobs.stream")
PATIENCE_S: Final = 120.0
"""How long store, tables and Kafka may be away at the start of folding forward, seconds."""


def make_whole(
    settings: StreamSettings,
    schema: Schema | None = None,
    *,
    mirror: Mirror | None = None,
    passes: Passes | None = None,
    read: Callable[..., list[bytes]] = read_tail,
) -> None:
    """See that the store belongs to the checkpoint; fold the log onto it where it went back in time.

    Parameters
    ----------
    settings
        Of the job.
    schema
        Of the records; by default the deployment's.
    mirror
        Brings the checkpoint here; None where the home is a folder.
    passes
        Whose states the store holds; by default the schema's.
    read
        Reads the end of the topic ``scored``.

    Raises
    ------
    BadState
        When the store is another one's, or ``catch_up`` is off and it is older; it says what repairs it.
    Unavailable
        When the store, the tables or Kafka do not answer.
    """
    schema = schema or deployed_schema()
    passes = passes or passes_of_schema(schema)
    try:
        if not is_interrupted(settings):
            with open_store(settings.store, entity_names(passes)) as store:
                _check(store, settings, schema, mirror)
            return
        problem = "folding the log onto the feature store was interrupted"
    except SetBack as error:
        if not settings.catch_up:
            raise
        problem = str(error)
    log.warning("the log is folded onto the feature store, because: %s", problem)
    began = time.monotonic()
    with metrics.CATCHING_UP.track_inprogress():
        found = retry(
            lambda: catch_up(
                settings,
                lambda ends: read(settings.kafka_bootstrap, settings.kafka_options, ends),
                passes=passes,
                schema=schema,
            ),
            Unavailable,
            PATIENCE_S,
            pause_s=wait_s,
            tell=lambda words: log.warning("folding forward waits: %s", words),
        )
    metrics.CATCH_UPS.inc()
    how = "anew from the whole log" if found.was_anew else "forward"
    log.warning(
        "the feature store was folded %s in %.1f s: %d micro-batches, %d transactions of the log, %d of the "
        "topic scored",
        how,
        time.monotonic() - began,
        found.micro_batches,
        found.transactions,
        found.from_tail,
    )


def remember(settings: StreamSettings) -> None:
    """Note which store the stream uses, so that an emptied one is told from another one."""
    if not _is_remembered(settings):
        write_durably(_memory(settings), name_of(settings.store).encode())


def name_of(url: str) -> str:
    """Name a store's place without its login: a changed password is the same store.

    Examples
    --------
    >>> name_of("redis://a:b@host:6379/0?retries=1") == name_of("redis://host:6379/0")
    True
    >>> name_of("redis://host:6379/0?prefix=x") == name_of("redis://host:6379/0")
    False
    """
    if is_sharded(url):
        return hashlib.sha256(" ".join(map(name_of, urls_of(url))).encode()).hexdigest()
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2], parts.path, parse_qs(parts.query).get("prefix", [])
    return hashlib.sha256(repr((parts.scheme.removeprefix("redis+"), *place)).encode()).hexdigest()


def _check(store: FeatureStore, settings: StreamSettings, schema: Schema, mirror: Mirror | None) -> None:
    try:
        Progress(store, settings, schema, mirror).check()
    except SetBack as error:
        if store.watermark() is None and not (is_empty(store) and _is_remembered(settings)):
            raise BadState(str(error)) from error
        raise


def _is_remembered(settings: StreamSettings) -> bool:
    memory = _memory(settings)
    return memory.exists() and memory.read_text() == name_of(settings.store)


def _memory(settings: StreamSettings) -> Path:
    return settings.checkpoint_path / "store"
