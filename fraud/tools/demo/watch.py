"""Follows what the streaming job publishes, and counts every transaction once.

Reads the topics ``decisions`` and ``dead-letters``.
"""

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from fraud.contracts import DEAD_LETTERS, DECISIONS, DeadLetter, Decision, Outcome
from fraud.errors import Unavailable
from fraud.features.kernel import Floats
from fraud.kafka.reader import Reader


@dataclass(slots=True)
class Published:
    """What it has printed so far."""

    decisions: dict[str, Decision] = field(default_factory=dict)
    """By transaction_id."""
    latency_ms: dict[str, float] = field(default_factory=dict)
    """From the broker's append of the transaction to its append of the decision."""
    dead_letters: dict[tuple[str, int, int], DeadLetter] = field(default_factory=dict)
    """By topic, partition and offset of the refused record."""
    repeated: int = 0
    """Records published again by a micro-batch that ran twice; readers skip them."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    """How many of each; counted as they come, because the display reads while the thread writes."""

    def latencies(self) -> Floats:
        """All latencies, in ms, in the order of arrival."""
        return np.fromiter(self.latency_ms.values(), np.float64)


class Watcher:
    """Consumes from now on in a thread of its own; ``with`` starts and ends it."""

    def __init__(self, bootstrap: str) -> None:
        self.seen = Published()
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._reader = Reader(bootstrap, name="fraud-demo")
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def __enter__(self) -> Self:
        self._reader.begin_at_end(DECISIONS, DEAD_LETTERS)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self._reader.close()

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._failure is not None:
            raise Unavailable(f"the Kafka topics cannot be read: {self._failure}") from self._failure

    def _run(self) -> None:
        try:
            for message in self._reader.follow(self._stop.is_set):
                self._take(message)
        except Exception as error:  # noqa: BLE001  handed to the caller by check()
            self._failure = error

    def _take(self, message: Any) -> None:
        seen = self.seen
        if message.topic() == DECISIONS:
            decision = Decision.model_validate_json(message.value())
            seen.repeated += decision.transaction_id in seen.decisions
            taken_ms = message.timestamp()[1] - decision.received_at.timestamp() * 1000.0
            seen.latency_ms.setdefault(decision.transaction_id, taken_ms)
            if decision.transaction_id not in seen.decisions:
                seen.decisions[decision.transaction_id] = decision
                seen.outcomes[decision.outcome] += 1
        else:
            letter = DeadLetter.model_validate_json(message.value())
            key = (letter.topic, letter.partition, letter.offset)
            seen.repeated += key in seen.dead_letters
            seen.dead_letters.setdefault(key, letter)
