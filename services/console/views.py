"""From records to what the templates show: words, numbers, pictures."""

import json
import math
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment

from fraud.contracts import Decision, Outcome
from fraud.decide.experiment import read_experiment, read_stop
from fraud.errors import BadConfig
from fraud.model.overview import ModelVersion
from fraud.schema.fields import Field
from fraud.schema.schema import Schema
from services.console import draw
from services.console.archive import Event, money_words, shown_of
from services.console.live import SLOTS, Live, now

SHOWN_METRICS: Final = (
    ("pr_auc", "PR-AUC"),
    ("roc_auc", "ROC-AUC"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("brier", "Brier score"),
)
MEASURED: Final = {
    "precision": "precision",
    "recall": "recall",
    "pr_auc": "PR-AUC",
    "amount_caught": "amount caught",
}
"""What matured labels tell: metric of the performance job, and its words."""
MOST_DRIFT: Final = 24


def add_filters(env: Environment) -> None:
    """Give the templates our filters and drawings."""
    env.filters["moment"] = moment
    env.globals["draw_score"] = draw.draw_score
    env.filters["number"] = number
    env.trim_blocks = env.lstrip_blocks = True


def moment(at: datetime) -> str:
    """Write a time, UTC.

    Examples
    --------
    >>> moment(datetime(2026, 3, 1, 12, 5, tzinfo=UTC))
    '1 Mar 2026 12:05:00'
    """
    at = at.astimezone(UTC)
    return f"{at.day} {at:%b %Y %H:%M:%S}"


def number(value: float | None) -> str:
    """Write a figure.

    Examples
    --------
    >>> number(0.81234), number(30250.0), number(None), number(math.nan)
    ('0.812', '30,250', '-', '-')
    """
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def row(decision: Decision, live: Live, schema: Schema) -> dict[str, Any]:
    """Say a decision in one row."""
    label = live.label(decision.transaction_id)
    keys = [getattr(decision, name) for name in schema.key_names]
    return {
        "id": decision.transaction_id,
        "user": keys[0],
        "merchant": keys[1] if len(keys) > 1 else None,
        "amount": money_words(decision.amount, getattr(decision, "currency", None) or schema.base_currency),
        "outcome": str(decision.outcome),
        "queue": decision.queue,
        "score": decision.score,
        "reason": decision.reasons[0].text if decision.reasons else _without_reason(decision),
        "at": decision.processed_at,
        "label": None if label is None else ("fraud" if label.is_fraud else "honest"),
    }


def pulse(live: Live) -> dict[str, Any]:
    """Say what continues now."""
    slots = live.traffic()
    minute = sum(sum(slot.values()) for slot in slots[-7:-1])
    recent = live.recent(300)
    waits = [(one.processed_at - one.received_at).total_seconds() * 1e3 for one in recent]
    total = sum(live.outcomes.values())
    stopped = total - live.outcomes[Outcome.APPROVE]
    return {
        "per_minute": minute,
        "decided": total,
        "stopped": stopped,
        "stopped_share": stopped / total if total else 0.0,
        "fallbacks": sum(one.is_fallback for one in recent),
        "wait_ms": statistics.median(waits) if waits else None,
        "traffic": draw.draw_traffic(slots),
        "minutes": SLOTS // 6,
    }


def case(
    decision: Decision, history: Sequence[Event], live: Live, trouble: str, schema: Schema
) -> dict[str, Any]:
    """Say a case."""
    here = next((event for event in history if event.is_case), None)
    ids = [one.transaction_id for one in live.open_alerts()]
    place = ids.index(decision.transaction_id) if decision.transaction_id in ids else -1
    label = live.label(decision.transaction_id)
    known = None if label is None else ("fraud" if label.is_fraud else "honest")
    if known is None and here is not None and here.is_fraud is not None:
        known = "fraud" if here.is_fraud else "honest"
    before = [event for event in history if event.event_time < decision.event_time]
    amounts = [event.amount for event in before]
    usual = money_words(statistics.median(amounts), schema.base_currency) if amounts else "no history"
    return {
        "decision": decision,
        "row": row(decision, live, schema),
        "label": known,
        "label_by": label.source if label else None,
        "here": here,
        "history": list(reversed(history))[:40],
        "timeline": draw.draw_timeline(history, schema.base_currency),
        "map": draw.draw_map(history),
        "trouble_case": trouble,
        "previous": ids[place - 1] if place > 0 else None,
        "next": ids[place + 1] if place + 1 < len(ids) else None,
        "facts": {
            "transactions before": f"{len(before)}",
            "usual amount (median)": usual,
            **_others(before, shown_of(schema)),
            "known frauds": f"{sum(event.is_fraud is True for event in before)}",
            "time to decide": _wait(decision),
            **_by_rules(decision),
        },
        "kind_of": draw.kind_of,
        "shown": shown_of(schema),
    }


def _by_rules(decision: Decision) -> dict[str, str]:
    """Say what rules had to do with a decision; nothing where they had nothing."""
    found = {
        "rules": ", ".join(decision.rules),
        "rules in shadow": ", ".join(decision.shadow_rules),
        "tags": ", ".join(decision.tags),
        "queue": decision.queue,
        "segment": decision.segment,
        "version of the rules": decision.policy_version,
    }
    return {name: words for name, words in found.items() if words}


def _others(events: Sequence[Event], shown: Sequence[Field]) -> dict[str, str]:
    """Count with how many of the next entity (merchants, receivers ...) there was something."""
    if not shown:
        return {}
    return {f"{shown[0].word}s": f"{len({event.words[shown[0].name] for event in events})}"}


def model(
    versions: Sequence[ModelVersion], figures: dict[str, Any], live: Live, troubles: list[str]
) -> dict[str, Any]:
    """Say how the model does."""
    tables: list[dict[str, Any]] = [
        {
            "alias": one.alias,
            "version": one.version,
            "at": one.created_at,
            "metrics": {words: _metric(one.metrics, name) for name, words in SHOWN_METRICS},
            "gate": one.tags.get("gate"),
        }
        for one in versions
    ]
    scores = [
        {"version": version, "n": sum(bins), "picture": draw.draw_bars(bins)}
        for version, bins in sorted(live.scores.items())
    ]
    drift = [
        (name, labels["feature"], value)
        for name, labels, value in figures["drift"]
        if "feature" in labels and math.isfinite(value)
    ]
    by_name: dict[str, list[tuple[str, float]]] = {}
    for name, feature, value in sorted(drift, key=lambda one: -one[2]):
        by_name.setdefault(name, []).append((feature, value))
    return {
        "versions": tables,
        "metric_names": [
            words for _, words in SHOWN_METRICS if any(one["metrics"][words] is not None for one in tables)
        ],
        "scores": scores,
        "drift": {name: found[:MOST_DRIFT] for name, found in by_name.items()},
        "drift_figures": [one for one in figures["drift"] if not one[1]],
        "performance": performance(figures["performance"]),
        "parity": [one for one in figures["parity"] if not one[1]],
        "troubles": troubles,
    }


def performance(figures: Sequence[tuple[str, dict[str, str], float]]) -> list[tuple[str, list[float | None]]]:
    """Lay out the figures of all decisions: what is told of, and the metrics in the order of ``MEASURED``.

    Examples
    --------
    >>> labels = {"metric": "recall", "window": "7d", "version": "all"}
    >>> performance([("fraud_performance_ratio", labels, 0.8)])
    [('after 7 days', [None, 0.8, None, None])]
    """
    rows: dict[str, dict[str, float]] = {}
    for name, labels, value in figures:
        if labels.get("version") != "all" or "metric" not in labels:
            continue
        if name == "fraud_performance_ratio":
            rows.setdefault(f"after {labels['window'].removesuffix('d')} days", {})[labels["metric"]] = value
        elif name == "fraud_performance_estimated_ratio":
            rows.setdefault("estimate of the newest", {})[labels["metric"]] = value
    return [(words, [found.get(metric) for metric in MEASURED]) for words, found in rows.items()]


def experiment(file: Path | None, state: Path | None) -> dict[str, Any]:
    """Say how the experiment stands."""
    found: dict[str, Any] = {"definition": None, "stop": None, "state": None, "words": ""}
    if file is None or not file.exists():
        found["words"] = "No experiment is defined: the champion decides for everybody."
        return found
    try:
        definition = read_experiment(file)
    except BadConfig as error:
        found["words"] = f"The definition is refused: {error}"
        return found
    found["definition"], found["stop"] = definition, read_stop(file, definition)
    is_on = definition.start <= now() < definition.stop and found["stop"] is None
    found["is_running"] = is_on
    try:
        content = json.loads(state.read_text(encoding="utf-8")) if state else None
    except (OSError, ValueError):
        content = None
    if content is None or content["experiment"] != definition.id:
        found["words"] = "No analysis has run yet; `fraud experiment report` makes one."
        return found
    for one in content["metrics"]:
        values = list(zip(one["difference"], one["lower"], one["upper"], strict=True))
        one["picture"] = draw.draw_bounds(values, one["at_most"])
        one["now"], one["low"], one["high"] = values[-1]
    found["state"] = content
    return found


def _metric(metrics: dict[str, float], name: str) -> float | None:
    """Find a metric by its name, alone or after what it was measured on."""
    named = [key for key in metrics if key == name or key.endswith(("_" + name, "." + name, "/" + name))]
    return metrics[min(named, key=len)] if named else None


def _without_reason(decision: Decision) -> str:
    if decision.outcome is Outcome.APPROVE:
        return "nothing unusual"
    return "decided without the model" if decision.is_fallback else "the score alone"


def _wait(decision: Decision) -> str:
    wait_s = (decision.processed_at - decision.received_at).total_seconds()
    return f"{wait_s * 1e3:,.0f} ms" if wait_s < 10 else f"{wait_s:,.1f} s"
