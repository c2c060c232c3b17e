"""One transaction counted, decided and answered, in one atomic step of the feature store.

Reads and writes the states of the entities that it names, its answer, and the outbox. Whoever else counts
(another replica, the stream) makes the step fail; then it is read and folded again, so that the vector is
always the one of the order in which the store has counted.
"""

import random
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import numpy as np

from fraud.contracts import Transaction
from fraud.errors import FraudError, Unavailable
from fraud.features.combine import combine
from fraud.features.events import events_of
from fraud.features.kernel import Floats
from fraud.features.passes import (
    Passes,
    age_columns,
    entity_names,
    feature_names,
    features_of,
    keys_of_event,
    passes_of_schema,
)
from fraud.runtime.traces import span
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.store import Answer, Change, FeatureStore
from fraud.store.answers import Key
from fraud.store.value import version_of
from services.scoring import metrics
from services.scoring.decide import Decider
from services.scoring.fold import PassFold, folds_of
from services.scoring.records import AnswerWriter, Decided, Part, now

PAUSE_S: Final = 0.002
"""Longest wait before a transaction is folded again."""
_NOT_KEPT: Final = (
    "this transaction_id was decided before, by the stream or so long ago that its answer is not kept; its "
    "decision is in the Delta table decisions"
)
_READ: Final = metrics.STORE.labels("read")
_WRITE: Final = metrics.STORE.labels("write")


class Conflict(FraudError):
    """The transaction_id was used before, for something else or too long ago; send another one."""


class EntityBusy(FraudError):
    """Too many concurrent transactions of one entity; send the request again."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The answer to one transaction."""

    body: bytes
    is_replay: bool
    """Whether it had been answered before."""


class Scorer:
    """Scores one transaction a call; may be used by several threads.

    Parameters
    ----------
    store
        The stream's.
    decider
        Decides by the vector.
    attempts
        How often a transaction is folded again because another one came between.
    passes
        Whose states it folds, and what it computes; by default the schema's.
    schema
        Of the transactions; by default the deployment's.
    """

    def __init__(
        self,
        store: FeatureStore,
        decider: Decider,
        attempts: int,
        passes: Passes | None = None,
        schema: Schema | None = None,
    ) -> None:
        schema = schema or deployed_schema()
        passes = passes or passes_of_schema(schema)
        self._event_of, self._writer = events_of(schema).of_transaction, AnswerWriter(schema)
        self._store = store
        self._answers = store.answers()
        self._decider = decider
        self._attempts = attempts
        self._passes = passes
        self._features = features_of(passes)
        self._names = feature_names(passes)
        self._empty = np.full((1, len(self._names)), np.nan)
        self._ages = age_columns(passes)
        self._identity = store.identity()
        self._local = threading.local()

    def score(self, record: Transaction, away: tuple[Part, ...] = ()) -> Scored:
        """Count and decide a transaction, or give the answer that it had.

        Parameters
        ----------
        away
            Parts that are unavailable and do not matter to the vector (the log).

        Raises
        ------
        Conflict
            When the id belongs to another transaction, or its answer is not kept any more.
        EntityBusy
            When others of the same user, merchant, ... came between at every attempt.
        Unavailable
            When the store does not answer, or is being rebuilt.
        """
        event = np.array([self._event_of(record)])
        fingerprint = self._writer.fingerprint(event, record)
        keys = keys_of_event(self._passes, event[0])
        for attempt in range(self._attempts):
            # Read once: another thread may set it meanwhile, and the record must name the store it goes to.
            identity = self._identity
            with _READ.time(), span("read"):
                found = self._answers.look(record.transaction_id, keys)
            if found.answer is not None:
                return _replay(found.answer, fingerprint)
            states: dict[Key, bytes] = {}
            with span("fold"):
                # A copy: the fold fills in what the states know, which another attempt must look up again.
                vector, sequences = self._fold(event.copy(), found.stored, states)
            if sequences is None:
                raise Conflict(_NOT_KEPT)
            decided, answer = self._decide(record, vector, sequences, (fingerprint, identity), away)
            changes = [Change(*key, states[key], version_of(found.stored[key])) for key in keys]
            with _WRITE.time(), span("commit"):
                is_counted = self._answers.commit(record.transaction_id, answer, changes, identity)
            if is_counted:
                metrics.count_decision(decided.outcome, decided.score, vector, self._ages)
                return Scored(answer.body, is_replay=False)
            metrics.CONFLICTS.inc()
            self._look_again(attempt)
        whose = " or ".join(entity_names(self._passes))
        raise EntityBusy(f"too many concurrent transactions of this {whose}; retry after 1 s")

    def together(self) -> AbstractContextManager[None]:
        """See :meth:`fraud.store.answers.Answers.together`."""
        return self._answers.together()

    def find(self, transaction_id: str) -> Answer | None:
        """Look up what was answered."""
        return self._answers.find(transaction_id)

    def _fold(
        self, event: Floats, stored: Mapping[Key, bytes | None], states: dict[Key, bytes]
    ) -> tuple[Floats, dict[str, int] | None]:
        """Fold the primary, then each further entity whose key the transaction has; None: counted before."""
        folds: list[PassFold] | None = getattr(self._local, "folds", None)
        if folds is None:
            folds = self._local.folds = folds_of(self._passes)
        vector = self._empty.copy()
        sequences: dict[str, int] = {}
        for fold in folds:
            found = fold.fold(event, stored, vector, states)
            if found is None:
                return vector, None
            sequences |= found
        if self._passes[-1].combined:
            combine(self._features, vector)
        return vector, sequences

    def _decide(
        self,
        record: Transaction,
        vector: Floats,
        sequences: Mapping[str, int],
        names: tuple[bytes, str],
        away: tuple[Part, ...],
    ) -> tuple[Decided, Answer]:
        fingerprint, identity = names
        decided, at = self._decider.decide(record, vector, away), now()
        log_record = self._writer.record(
            record,
            decided,
            at,
            features=dict(zip(self._names, vector[0].tolist(), strict=True)),
            sequences=sequences,
            store=identity,
        )
        return decided, Answer(fingerprint, self._writer.answer(record, decided, at), log_record)

    def _look_again(self, attempt: int) -> None:
        """Wait a little, and make sure that the store is still the one that was opened."""
        if attempt >= 2:
            time.sleep(random.uniform(0.0, min(PAUSE_S, 1e-4 * 2**attempt)))
        identity = self._store.identity()
        if not identity:
            raise Unavailable("the feature store is being rebuilt")
        self._identity = identity


def _replay(answer: Answer, fingerprint: bytes) -> Scored:
    if not answer.body:
        raise Conflict(_NOT_KEPT)
    if answer.fingerprint != fingerprint:
        raise Conflict("this transaction_id was used for another transaction; send another one")
    metrics.REPLAYS.inc()
    return Scored(answer.body, is_replay=True)
