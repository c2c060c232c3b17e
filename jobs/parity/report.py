"""The report of a parity run: as JSON, as Prometheus text, and as a table."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge
from rich.table import Table

from jobs.parity.compare import Parity


def as_dict(parity: Parity, tolerance: float) -> dict[str, Any]:
    """Lay the account out for JSON; an infinite difference is null there, with its count beside it."""
    counts = asdict(parity)
    features = counts.pop("features")
    for found in features.values():
        found["greatest"] = found["greatest"] if math.isfinite(found["greatest"]) else None
    errors = parity.errors(tolerance)
    return {
        **counts,
        "versions": dict(parity.versions),
        "older_versions": parity.older_versions,
        "tolerance": tolerance,
        "is_equal": not errors,
        "errors": errors,
        "features": features,
    }


def write_json(parity: Parity, tolerance: float, file: Path) -> None:
    """Write the account as one JSON document."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(as_dict(parity, tolerance), indent=1) + "\n")


def as_gauges(parity: Parity) -> CollectorRegistry:
    """Lay the account out for Prometheus."""
    registry = CollectorRegistry()
    difference = Gauge(
        "fraud_parity_difference",
        "Greatest absolute difference of served and recomputed values, in the feature's unit.",
        ["feature"],
        registry=registry,
    )
    differing = Gauge(
        "fraud_parity_differing_values",
        "Served values whose bits differ from the recomputed ones.",
        ["feature"],
        registry=registry,
    )
    for name, found in parity.features.items():
        difference.labels(name).set(found.greatest)
        differing.labels(name).set(found.differing)
    versions = Gauge(
        "fraud_parity_version_vectors",
        "Compared vectors by version of the feature table that served them.",
        ["features_version"],
        registry=registry,
    )
    for version, count in parity.versions.items():
        versions.labels(version).set(count)
    for name, text, value in (
        ("greatest_difference", "Greatest absolute difference over all features.", parity.greatest),
        ("compared_transactions", "Transactions whose vector was compared.", parity.transactions),
        ("waiting_transactions", "Transactions counted after one that the log lacks.", parity.waiting),
        ("missing_vectors", "Transactions without a served vector.", parity.missing),
        ("extra_vectors", "Served vectors without a transaction.", parity.extra),
        ("repeated_rows", "Rows beyond the first of the same record.", parity.repeated),
        ("repeated_ids", "Transactions decided although their id was counted before.", parity.repeated_ids),
        ("overdue_transactions", "Transactions whose vector has been unknown for too long.", parity.overdue),
    ):
        Gauge(f"fraud_parity_{name}", text, registry=registry).set(value)
    return registry


def as_tables(parity: Parity, window: str, seconds: float) -> list[Table]:
    """Lay the account out for a reader: the counts, and the features that differ."""
    counts = Table(title=f"parity: {window}, {seconds:.1f} s", title_justify="left", show_header=False)
    values = sum(found.compared for found in parity.features.values())
    differing = sum(found.differing for found in parity.features.values())
    for words, value in (
        ("transactions folded", parity.folded),
        ("transactions compared", parity.transactions),
        ("waiting for the log", parity.waiting),
        ("values compared", values),
        ("values that differ", differing),
        ("missing vectors", parity.missing),
        ("extra vectors", parity.extra),
        ("rows stored more than once", parity.repeated),
        ("transactions decided twice", parity.repeated_ids),
    ):
        counts.add_row(words, f"{value:,}")
    for version, count in parity.older_versions.items():
        counts.add_row(f"served with features {version}", f"{count:,}")
    counts.add_row("greatest difference", f"{parity.greatest:g}")
    if not differing:
        return [counts]
    features = Table(title="features that differ", title_justify="left")
    for column in ("feature", "greatest difference", "differing", "compared"):
        features.add_column(column, justify="left" if column == "feature" else "right")
    worst_first = sorted(parity.features.items(), key=lambda item: -item[1].greatest)
    for name, found in worst_first:
        if found.differing:
            features.add_row(name, f"{found.greatest:g}", f"{found.differing:,}", f"{found.compared:,}")
    return [counts, features]
