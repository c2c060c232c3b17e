"""The account of a storm: what went in, and what log, tables and feature store have of it.

Holds against each other: what the clients were told (delivered, answered), the records of the topic
``transactions``, the topic ``decisions``, the Delta tables, the served vectors (parity), and the states of
the feature store beside those of a store that is rebuilt from the log.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from fraud.features.codec import transaction_count
from fraud.log.rebuild import rebuild
from fraud.store import open_store
from fraud.tools.demo.ledger import count_delta
from jobs.parity.compare import compare
from jobs.stream.settings import StreamSettings
from tests.deployed import ENTITIES
from tests.fraud.kafka.broker import read_all

EXAMPLES: Final = 3
_MOMENTS: Final = ("processed_at", "epoch")
"""Of a decision: what a micro-batch that runs again may write again."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What the clients know."""

    delivered: set[str]
    undelivered: set[str]
    answered: dict[str, dict[str, Any]]
    refused: dict[str, str]
    unanswered: set[str]
    names: set[str]
    """Sent to the scoring service."""


@dataclass(slots=True)
class Ledger:
    """Counts; ``wrong`` are those that must be 0."""

    counts: dict[str, int]
    wrong: dict[str, int]
    examples: dict[str, list[str]]
    latencies: list[tuple[float, float]] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    away: list[tuple[float, float]] = field(default_factory=list)

    def errors(self) -> list[str]:
        """Name what must be 0 and is not."""
        return [name for name, count in self.wrong.items() if count]

    def table(self) -> str:
        """Write everything, a line each."""
        lines = {name: f"{count:,}" for name, count in {**self.counts, **self.wrong}.items()}
        calm = [found for due, found in self.latencies if not any(a <= due <= b for a, b in self.away)]
        slowest_s = max((end - start for start, end in self.away), default=0.0)
        lines["API latency, from due to answered"] = quantiles([found for _, found in self.latencies])
        lines["API latency, due while all parts ran"] = quantiles(calm)
        lines["kills and pauses"] = f"{self.done.total()}, all ready again after {slowest_s:.0f} s at most"
        lines["which"] = ", ".join(f"{count} x {what}" for what, count in sorted(self.done.items()))
        lines |= {f"  {name}": ", ".join(found) for name, found in self.examples.items() if found}
        lines["result"] = f"wrong: {', '.join(self.errors())}" if self.errors() else "nothing lost or doubled"
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())


def settle(stream: StreamSettings, sent: Sent, topic: int, published: list[bytes], scratch: Path) -> Ledger:
    """Compare; the platform must be stopped.

    Parameters
    ----------
    topic
        Records of the topic ``transactions``.
    published
        Records of the topic ``decisions``.
    scratch
        Folder for the store that is rebuilt.
    """
    delta = count_delta(stream.delta_path)
    decided = decided_in(stream.delta_path)
    from_kafka = decided.keys() - sent.names
    parity = compare(stream.delta_path)
    states, folded = _compare_store(stream, scratch)
    copies = _copies(published)
    lost = {"Kafka": sent.delivered - decided.keys(), "API": sent.answered.keys() - decided.keys()}
    # Answered without the feature store, by the fields alone; the stream counts and decides them.
    handed = {name for name, answer in sent.answered.items() if "store" in answer["degraded"]}
    by_store = sent.answered.keys() - handed
    unlike = {name for name in by_store if _is_unlike(sent.answered[name], decided.get(name))}
    counts = {
        "sent to Kafka": len(sent.delivered | sent.undelivered),
        "  delivered": len(sent.delivered),
        "sent to the API": len(sent.names),
        "  answered": len(sent.answered),
        "  without the store": len(handed),
        "records in Kafka": topic,
        "decided by the stream (Delta)": len(from_kafka),
        "decided by the API (Delta)": len(decided) - len(from_kafka),
        "dead letters, all of repeated ids": delta.dead_letters,
        "decisions published": len(published),
        "vectors compared": parity.transactions,
    }
    wrong = {
        "lost, Kafka": len(lost["Kafka"]),
        "lost, API": len(lost["API"]),
        "not delivered": len(sent.undelivered),
        "not answered": len(sent.unanswered),
        "refused": len(sent.refused),
        "decided twice": parity.repeated_ids + delta.repeated,
        "published with another content": sum(len(found) > 1 for found in copies.values()),
        "not published": len(decided.keys() - copies.keys()),
        "answers unlike the log": len(unlike),
        "Kafka against Delta, records": abs(topic - len(from_kafka) - len(handed) - delta.dead_letters),
        "Delta against Delta, transactions": abs(delta.transactions - delta.decisions)
        + abs(delta.transactions - delta.features),
        "Delta against store, transactions": abs(len(decided) - folded),
        "states unlike those of the log": states,
        "parity, values that differ": sum(found.differing for found in parity.features.values()),
        "parity, missing or overdue": parity.missing + parity.extra + parity.overdue + parity.waiting,
    }
    examples = {
        "lost": sorted(lost["Kafka"] | lost["API"])[:EXAMPLES],
        "refused": list(sent.refused.values())[:EXAMPLES],
        "decided twice": parity.repeated_examples[:EXAMPLES],
        "unlike": sorted(unlike)[:EXAMPLES],
    }
    return Ledger(counts, wrong, examples)


def decided_in(delta: str) -> dict[str, dict[str, Any]]:
    """Read the decisions of the Delta table, by transaction_id."""
    if not DeltaTable.is_deltatable(f"{delta}/decisions"):
        return {}
    found = DeltaTable(f"{delta}/decisions").to_pyarrow_table(columns=["transaction_id", "outcome", "score"])
    return {row["transaction_id"]: row for row in pa.table(found).to_pylist()}


def records_in(bootstrap: str, topic: str) -> list[bytes]:
    """Read a topic from its beginning to its present end."""
    return [message.value() or b"" for message in read_all(bootstrap, topic)]


def _copies(published: list[bytes]) -> dict[str, set[str]]:
    """Collect the contents under which each decision was published."""
    found: dict[str, set[str]] = {}
    for value in published:
        decision = json.loads(value)
        kept = {name: of for name, of in decision.items() if name not in _MOMENTS}
        found.setdefault(decision["transaction_id"], set()).add(json.dumps(kept, sort_keys=True))
    return found


def _is_unlike(answer: dict[str, Any], logged: dict[str, Any] | None) -> bool:
    return logged is not None and any(answer[name] != logged[name] for name in ("outcome", "score"))


def _compare_store(stream: StreamSettings, scratch: Path) -> tuple[int, int]:
    """Count the states unlike those of the log, and the transactions that the users' states have."""
    url = f"lmdb://{scratch}"
    rebuild(stream, url)
    differing = transactions = 0
    with open_store(stream.store) as live, open_store(url) as made:
        for entity in ENTITIES:
            states, wanted = ({key: bytes(of) for key, of in one.scan(entity)} for one in (live, made))
            differing += sum(states.get(key) != wanted.get(key) for key in states.keys() | wanted.keys())
            if entity == ENTITIES[0]:
                transactions = sum(transaction_count(state) for state in states.values())
    return differing, transactions


def quantiles(latencies_ms: list[float]) -> str:
    """Write median, 99th percentile and the longest."""
    if not latencies_ms:
        return "none"
    p50, p99, most = np.percentile(latencies_ms, [50, 99, 100]).tolist()
    return f"p50 {p50:,.1f} ms, p99 {p99:,.1f} ms, longest {most:,.0f} ms"
