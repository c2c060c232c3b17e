"""Follows the topics ``decisions`` and ``labels``, and keeps what people look at now."""

import heapq
import logging
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fraud.contracts import DECISIONS, LABELS, Decision, Label, Outcome, contracts_of, parse_record
from fraud.errors import BadRecord, Unavailable
from fraud.kafka.reader import Message, Position, Reader
from fraud.schema.schema import Schema
from services.console import metrics
from services.console.following import ANSWER_S, TopicFollower
from services.console.settings import ConsoleSettings

RETRY_MAX_S: Final = 5.0
SLOT_S: Final = 10
"""Seconds that the chart of the traffic counts together."""
SLOTS: Final = 60
SCORES: Final = 20
"""Bins of the score's histogram."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KnownLabel:
    """What somebody said of a transaction."""

    is_fraud: bool
    source: str | None
    at: datetime

    @classmethod
    def of(cls, label: Label) -> "KnownLabel":
        """Take it from a label."""
        return cls(label.is_fraud, label.source, label.label_time)


class Live:
    """The newest decisions, alerts and labels; filled by a thread, read by pages.

    Parameters
    ----------
    kept
        Alerts held, the newest.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._alerts: dict[str, tuple[int, Decision]] = {}
        self._by_age: list[tuple[datetime, str]] = []
        """Heap of the alerts, the oldest first."""
        self._recent: OrderedDict[str, Decision] = OrderedDict()
        self._labels: dict[str, KnownLabel] = {}
        """Those on the alerts that are held."""
        self._others: OrderedDict[str, KnownLabel] = OrderedDict()
        """The newest of the rest: a label can come before its decision is read."""
        self._traffic: dict[int, Counter[str]] = {}
        self.scores: dict[str, list[int]] = {}
        """Histogram of the scores since the start, by model version."""
        self.outcomes: Counter[str] = Counter()
        self.number = 0
        """Grows with each alert and label: what a page has seen is below it."""
        self.trouble = "connecting to Kafka"
        """Why nothing comes; empty: it does."""

    def take_decision(self, decision: Decision) -> None:
        """Take a decision in; one published again changes nothing."""
        with self._lock:
            id_ = decision.transaction_id
            if id_ in self._recent or id_ in self._alerts:
                return
            self._recent[id_] = decision
            if len(self._recent) > max(self._kept, 500):
                self._recent.popitem(last=False)
            self.outcomes[decision.outcome] += 1
            self._count(decision)
            if decision.score is not None:
                bins = self.scores.setdefault(decision.model_version or "", [0] * SCORES)
                bins[min(int(decision.score * SCORES), SCORES - 1)] += 1
            if decision.outcome is not Outcome.APPROVE:
                self.number += 1
                self._alerts[id_] = (self.number, decision)
                if id_ in self._others:
                    self._labels[id_] = self._others.pop(id_)
                # At the start one partition comes after the other: the first to come need not be the oldest.
                heapq.heappush(self._by_age, (decision.processed_at, id_))
                if len(self._alerts) > self._kept:
                    oldest = heapq.heappop(self._by_age)[1]
                    del self._alerts[oldest]
                    self._labels.pop(oldest, None)
        metrics.DECISIONS.inc()

    def take_label(self, label: Label) -> None:
        """Take a label in; the newest counts."""
        with self._lock:
            self.number += 1
            if label.transaction_id in self._alerts:
                self._labels[label.transaction_id] = KnownLabel.of(label)
                return
            self._others[label.transaction_id] = KnownLabel.of(label)
            self._others.move_to_end(label.transaction_id)
            if len(self._others) > 20 * self._kept:
                self._others.popitem(last=False)

    def alerts(self, after: int = 0) -> list[Decision]:
        """List the alerts, the newest first."""
        with self._lock:
            found = [decision for number, decision in self._alerts.values() if number > after]
        return _newest_first(found)

    def open_alerts(self) -> list[Decision]:
        """List the alerts without a label, the newest first."""
        with self._lock:
            found = [one for _, one in self._alerts.values() if one.transaction_id not in self._labels]
        metrics.OPEN.set(len(found))
        return _newest_first(found)

    def recent(self, n: int) -> list[Decision]:
        """List the newest decisions."""
        with self._lock:
            found = list(self._recent.values())
        return _newest_first(found)[:n]

    def find(self, transaction_id: str) -> Decision | None:
        """Find a decision that is held."""
        with self._lock:
            alert = self._alerts.get(transaction_id)
            return alert[1] if alert else self._recent.get(transaction_id)

    def label(self, transaction_id: str) -> KnownLabel | None:
        """Find what was said of a transaction."""
        with self._lock:
            return self._labels.get(transaction_id) or self._others.get(transaction_id)

    def traffic(self) -> list[Counter[str]]:
        """Count the decisions of the last ten minutes by outcome, in slots of ten seconds."""
        newest = int(time.time()) // SLOT_S
        with self._lock:
            by_slot = {slot: Counter(counts) for slot, counts in self._traffic.items()}
        return [by_slot.get(slot, Counter()) for slot in range(newest - SLOTS + 1, newest + 1)]

    def _count(self, decision: Decision) -> None:
        slot = int(decision.processed_at.timestamp()) // SLOT_S
        self._traffic.setdefault(slot, Counter())[decision.outcome] += 1
        if len(self._traffic) > 4 * SLOTS:
            del self._traffic[min(self._traffic)]


class Follower(TopicFollower):
    """Reads Kafka from a little before now."""

    def __init__(self, settings: ConsoleSettings, live: Live, schema: Schema) -> None:
        super().__init__(settings, "follower", RETRY_MAX_S)
        self._settings, self._live, self._contracts = settings, live, contracts_of(schema)
        self._next: dict[Position, int] = {}
        """Offset that comes next, by partition; empty until something has arrived."""

    @property
    def is_stopping(self) -> bool:
        """Whether the console ends."""
        return self._watch.is_stopping

    def _succeed(self) -> None:
        self._live.trouble = ""
        metrics.IS_LIVE.set(1)

    def _fail(self, error: BaseException) -> None:
        self._live.trouble = _trouble(error)
        metrics.IS_LIVE.set(0)

    def _begin(self, reader: Reader) -> None:
        reader.begin(self._next or self._positions(reader))

    def _leave(self, reader: Reader) -> None:
        self._next = dict(reader.next)

    def _positions(self, reader: Reader) -> dict[Position, int]:
        """Find where to begin: the newest decisions, and all labels since the first of them."""
        decisions, since_ms = {}, []
        for at, bounds in reader.bounds(DECISIONS).items():
            decisions[at] = max(bounds.first, bounds.end - self._settings.look_back)
            if decisions[at] < bounds.end:
                reader.begin({at: decisions[at]})
                first = next(reader.take(ANSWER_S, most=1), None)
                since_ms.append(first.timestamp()[1] if first is not None else 0)
        return decisions | reader.since(reader.bounds(LABELS), min(since_ms, default=0))

    def _take(self, message: Message) -> None:
        try:
            if message.topic() == DECISIONS:
                self._live.take_decision(parse_record(self._contracts.decision, message.value()))
            else:
                self._live.take_label(parse_record(self._contracts.label, message.value()))
        except BadRecord as error:
            log.warning("a record of %s cannot be shown: %s", message.topic(), error)


def _trouble(error: BaseException) -> str:
    """Say for people why nothing comes."""
    if isinstance(error, Unavailable):
        return str(error)
    return f"the console failed to read Kafka ({type(error).__name__}) and tries again; its log says why"


def _newest_first(decisions: list[Decision]) -> list[Decision]:
    """Sort by the time of the decision: partitions come one after the other at the start."""
    return sorted(decisions, key=lambda one: one.processed_at, reverse=True)


def now() -> datetime:
    """Tell the time, UTC."""
    return datetime.now(UTC)
