"""Labels and results by transaction_id: looked up among the answers and in the tables, and sent on.

Reads the store and the Delta table ``transactions``; writes the topics ``labels``, ``results`` and
``dead-letters`` (a kept one whose transaction never became known).
"""

import base64
import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson
from pydantic import ValidationError

from fraud.contracts import (
    DEAD_LETTERS,
    LABELS,
    RESULTS,
    DeadLetter,
    Label,
    Result,
    bounds_of,
    check_future,
    contracts_of,
)
from fraud.contracts.columns import names_of
from fraud.contracts.label import LabelPart
from fraud.contracts.models import make_model
from fraud.contracts.wire import EventTime, Identifier
from fraud.errors import BadRecord, Unavailable
from fraud.http.access import ANYONE
from fraud.http.problems import Problem, of_record
from fraud.kafka.producer import Record, Sender
from fraud.schema.schema import Schema
from services.scoring import metrics
from services.scoring.feedback.lookup import TransactionLookup, keys_of
from services.scoring.feedback.pending import PendingLabel, PendingLabels
from services.scoring.feedback.requests import SOURCE, Detail, NoticeRequest, with_keys
from services.scoring.feedback.results import ResultRequest, named_result_of, result_of
from services.scoring.records import now
from services.scoring.scorer import Scorer
from services.scoring.settings import ScoringSettings

MOST_A_LOOK: Final = 500
"""Transactions whose kept labels are looked at together."""
Keys = Mapping[str, Any]
log = logging.getLogger(__name__)


class LabelRequest(LabelPart, NoticeRequest):
    """A label of one transaction; without ``label_time``, it became known now."""

    source: Detail | None = None
    """Where the label comes from; it follows the client's name in the stored source."""
    event_time: EventTime | None = None
    """Of the transaction, like its keys (the schema's). The primary entity's key suffices, and is needed only
    where the transaction is neither among the answers nor in the tables."""


@lru_cache(maxsize=64)
def label_request_of(schema: Schema) -> type[LabelRequest]:
    """Make the model of a schema's labels as they come."""
    found: type[LabelRequest] = with_keys("LabelRequest", LabelRequest, schema)
    found.money = schema.money
    return found


@lru_cache(maxsize=64)
def _named_label_of(schema: Schema) -> type[LabelRequest]:
    """Make the model of such a request with the whole source."""
    found: type[LabelRequest] = make_model(
        "Named", label_request_of(schema), {"source": (Identifier | None, None)}
    )
    return found


Notice = LabelRequest | ResultRequest
"""What is said of an earlier transaction."""


class Labels:
    """Takes labels and results.

    Parameters
    ----------
    scorer
        Knows the transactions.
    kafka
        Takes what is sent.
    settings
        Of the service: where it looks transactions up, and which labels it keeps.
    schema
        Of the transactions.
    """

    def __init__(self, scorer: Scorer, kafka: Sender, settings: ScoringSettings, schema: Schema) -> None:
        self._schema, self._keys = schema, keys_of(schema)
        self._send_keys = f"send its {schema.primary_key.name} with it"
        self._scorer, self._kafka = scorer, kafka
        self._bounds = bounds_of(schema, settings.most_ahead_s)
        self._keep_s = settings.pending_days * 86_400.0
        self._tables = (
            TransactionLookup(settings.delta, settings.delta_options, settings.delta_timeout_s, self._keys)
            if settings.delta
            else None
        )
        self._pending = (
            PendingLabels(settings.pending_file, settings.max_pending, time.time(), schema.primary_key.name)
            if settings.labels_pending
            else None
        )
        self._lock = threading.Lock()
        """Held while labels are sent: those of one transaction go in order."""

    def take(self, request: Notice, client: str = ANYONE.name) -> str | None:
        """Send a label or result on: ``accepted``, or None: call :meth:`take_unknown`, which takes longer.

        Parameters
        ----------
        client
            Who sends it: the source begins with this name, so that no client can send labels as another one.

        Raises
        ------
        Problem
            422, when it is dated into the future, or its keys are not the transaction's.
        Unavailable
            When Kafka or the store does not answer; send it again.
        """
        self._refuse_future(request)
        keys = self._keys_of(request)
        if keys is None:
            return None
        self._send_after_kept(self._named(request, client), keys)
        return "accepted"

    def take_unknown(self, request: Notice, client: str = ANYONE.name) -> str:
        """Take a label or result of a transaction that the store does not know: ``accepted`` or ``pending``.

        Raises
        ------
        Problem
            404, when the tables do not know it either, and labels are not kept; 409, when they know several.
        Unavailable
            When the tables or Kafka do not answer, or too many labels are kept.
        """
        found = self._tables.keys_of([request.transaction_id]) if self._tables else {}
        known = found.get(request.transaction_id, [])
        if len(known) > 1:
            raise Problem(409, f"{len(known)} transactions have this id; {self._send_keys}")
        if known:
            self._send_after_kept(self._named(request, client), known[0])
            return "accepted"
        if self._pending is None:
            where = "it is not in the tables either" if self._tables else "its answer is not kept any more"
            raise Problem(404, f"no transaction of this id was scored here, or {where}: {self._send_keys}")
        timed = self._named(request, client)
        self._pending.keep(request.transaction_id, timed.model_dump_json().encode(), time.time())
        metrics.LABELS_PENDING.set(len(self._pending))
        return "pending"

    def resolve(self, at_s: float | None = None) -> int:
        """Send on kept labels and results that are due and whose transactions are known; returns how many.

        Parameters
        ----------
        at_s
            Unix time, seconds; now by default.
        """
        if self._pending is None:
            return 0
        at_s = time.time() if at_s is None else at_s
        due = self._pending.due(at_s, MOST_A_LOOK)
        known = self._look_up(due)
        sent = 0
        for transaction_id, keys in known.items():
            with self._lock:
                sent += self._send_kept(transaction_id, keys)
        unknown = [one for one in due if one not in known]
        for transaction_id in unknown:
            with self._lock:
                self._expire(transaction_id, at_s)
        self._pending.put_off(unknown, at_s)
        metrics.LABELS_PENDING.set(len(self._pending))
        return sent

    def close(self) -> None:
        """Close the file of the kept labels."""
        if self._pending is not None:
            self._pending.close()

    def _look_up(self, transaction_ids: list[str]) -> dict[str, Keys]:
        """Find the keys of transactions: in the store, and of the rest at once in the tables."""
        known = {one: keys for one in transaction_ids if (keys := self._keys_of_answer(one)) is not None}
        rest = [one for one in transaction_ids if one not in known]
        if not rest or self._tables is None:
            return known
        try:
            found = self._tables.keys_of(rest)
        except Unavailable as error:
            log.warning("kept labels wait on: %s", error)
            return known
        return known | {one: keys[0] for one, keys in found.items() if len(keys) == 1}

    def _send_after_kept(self, request: Notice, keys: Keys) -> None:
        """Send a notice; an older one of its transaction may be kept, and the last one that is sent holds."""
        with self._lock:
            self._send_kept(request.transaction_id, keys)
            self._send(self._record(request, keys))

    def _send_kept(self, transaction_id: str, keys: Keys) -> int:
        if self._pending is None:
            return 0
        kept = self._pending.of(transaction_id)
        for one in kept:
            try:
                record = self._record(self._kept(one.request), keys)
            except ValidationError as error:  # of an older version
                what = topic_of(one.request).removesuffix("s")
                self._bury(one, f"invalid_{what}", f"the {what} does not fit its contract: {error}")
                continue
            self._send(record)
            self._pending.remove(one)
        return len(kept)

    def _expire(self, transaction_id: str, at_s: float) -> None:
        for one in self._pending.of(transaction_id) if self._pending else ():
            if one.kept_at_s + self._keep_s <= at_s:
                days = self._keep_s / 86_400.0
                words = f"no single transaction of the id {transaction_id} became known in {days:g} days"
                self._bury(one, "unknown_transaction", words)

    def _bury(self, one: PendingLabel, reason: str, detail: str) -> None:
        """Make a dead letter of a kept label or result."""
        topic = topic_of(one.request)
        letter = DeadLetter(
            topic=topic,
            partition=-1,
            offset=one.id,
            received_at=datetime.fromtimestamp(one.kept_at_s, UTC),
            reason=reason,
            detail=detail,
            raw=base64.b64encode(one.request),
            processed_at=now(),
            epoch=-1,
        )
        message = Record(DEAD_LETTERS, f"{topic}--1-{one.id}", letter.model_dump_json().encode())
        if not self._kafka.deliver([message]).is_complete:
            raise Unavailable(f"Kafka did not accept the dead letter of one of the pending {topic}")
        metrics.LABELS_EXPIRED.labels(reason).inc()
        if self._pending is not None:
            self._pending.remove(one)

    def _refuse_future(self, request: Notice) -> None:
        """Refuse, also where it would be kept, what carries a time of the future."""
        try:
            check_future(request, now(), self._bounds)
        except BadRecord as error:
            raise of_record(error) from error

    def _keys_of(self, request: Notice) -> Keys | None:
        """Find the keys of a transaction: those of its answer, else those of the request.

        Raises
        ------
        Problem
            422, when the request names others than the answer.
        """
        given = {name: value for name in self._keys if (value := getattr(request, name)) is not None}
        keys = self._keys_of_answer(request.transaction_id)
        if keys is None:
            return given or None
        for name, value in given.items():
            if value != keys[name]:
                words = "the transaction that was scored here has another one"
                raise Problem(422, f"{name}: {words}", [{"field": name, "message": words}])
        return keys

    def _keys_of_answer(self, transaction_id: str) -> Keys | None:
        found = self._scorer.find(transaction_id)
        if found is None:
            return None
        scored = orjson.loads(found.record)
        return {
            **{name: scored[name] for name in self._keys},
            "event_time": datetime.fromisoformat(scored["event_time"]),
        }

    def _send(self, notice: Label | Result) -> None:
        topic = RESULTS if isinstance(notice, Result) else LABELS
        record = Record(topic, self._schema.primary_of(notice), notice.model_dump_json().encode())
        if not self._kafka.deliver([record]).is_complete:
            raise Unavailable(f"Kafka did not accept the {topic.removesuffix('s')}; send it again")

    def _kept(self, request: bytes) -> Notice:
        named = named_result_of if topic_of(request) == RESULTS else _named_label_of
        return named(self._schema).model_validate_json(request)

    def _record(self, request: Notice, keys: Keys) -> Label | Result:
        if isinstance(request, ResultRequest):
            return result_of(request, keys, self._schema)
        told = {name: getattr(request, name) for name in names_of(LabelPart)}
        told["label_time"] = request.label_time or now()
        return contracts_of(self._schema).label(
            transaction_id=request.transaction_id,
            **keys,
            **told,
        )

    def _named(self, request: Notice, client: str) -> Notice:
        """Give a request its whole source, and the time of now where it has none."""
        source = source_of(client, request.source)
        if isinstance(request, ResultRequest):
            told = {"source": source, "result_time": request.result_time or now()}
            return named_result_of(self._schema)(**request.model_dump() | told)
        time_ = request.label_time or now()
        return _named_label_of(self._schema)(**request.model_dump() | {"source": source, "label_time": time_})


def source_of(client: str, detail: str | None = None) -> str:
    """Name who sent a label, and where it says that it comes from.

    Examples
    --------
    >>> source_of("gateway", "chargeback"), source_of("gateway")
    ('api:gateway:chargeback', 'api:gateway')
    """
    return f"{SOURCE}{client}" + (f":{detail}" if detail else "")


def topic_of(kept: bytes) -> str:
    """Tell what a kept request is, by the topic that it goes to.

    Examples
    --------
    >>> topic_of(b'{"transaction_id":"t-1","is_fraud":true}'), topic_of(b'{"result":"declined"}')
    ('labels', 'results')
    """
    return RESULTS if "result" in orjson.loads(kept) else LABELS
