"""What results, profiles, kinds and currencies bring: average precision with and without their features.

    uv run python -m tests.load.results_and_profiles --out told.json
    uv run python -m tests.load.results_and_profiles --world paid

World ``told``: the generator's default data, with the results and profiles that it makes. World ``paid``: the
same with verifications, withdrawals, refunds and reversals, each amount in its shop's currency, folded in the
base. The packaged features, then with more: same rows, trees and split by time, intervals over users, and the
gain of each on the same resamples. A process of its own under the extended schema.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from fraud.learn.examples import build_examples, divide
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import read_tables
from fraud.money import write_rates
from fraud.schema.deployed import RATES_FILE, RATES_VARIABLE, VARIABLE, deployed_schema
from fraud.schema.reading import DEFAULT, default_schema
from fraud.synthetic import files
from fraud.synthetic.generate import generate
from fraud.synthetic.payments import rates_of
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.bench.machine import describe_machine
from fraud.tools.bench.quality_world import RESAMPLES, score_plain
from fraud.watch.bootstrap import NAMES, Scored, interval, resample
from tests.deployed import FEATURE_NAMES

RESULTS: Final = ["authorised", "declined", "reversed"]
FILTERS: Final = {"wrong_data": "result == 'declined' && reason_code in ['14', '54', '82']"}
PROFILES: Final[dict[str, Any]] = {
    "user": {
        "address": {"type": "category"},
        "credit_limit": {"type": "number", "scale": 2},
        "customer_since": {"type": "time"},
        "segment": {"type": "category"},
    },
    "merchant": {"risk_class": {"type": "category"}},
}
OF_RESULTS: Final[list[dict[str, Any]]] = [
    {
        "statistic": ["count", "share"],
        "entity": "user",
        "where": "declined",
        "window": ["10m", "1h", "24h", "7d"],
    },
    {"statistic": "count", "entity": "user", "where": "wrong_data", "window": ["10m", "1h", "24h"]},
    {"statistic": ["count", "share"], "entity": "merchant", "where": "declined", "window": ["1h", "24h"]},
]
OF_PROFILES: Final[list[dict[str, Any]]] = [
    {"statistic": "profile_share", "entity": "user", "profile": "credit_limit"},
    {
        "statistic": "profile_changed",
        "entity": "user",
        "profile": ["address", "credit_limit"],
        "window": "24h",
    },
    {"statistic": "profile_since", "entity": "user", "profile": ["address", "credit_limit"]},
    {"statistic": "profile_age", "entity": "user", "profile": "customer_since"},
    {"statistic": "profile_bucket", "entity": "user", "profile": "segment"},
    {"statistic": "profile_bucket", "entity": "merchant", "profile": "risk_class"},
]
OF_KINDS: Final[list[dict[str, Any]]] = [
    {
        "statistic": ["count", "share"],
        "entity": "user",
        "where": "check",
        "window": ["10m", "1h", "24h", "7d"],
    },
    {"statistic": ["count", "share"], "entity": "merchant", "where": "check", "window": ["1h", "24h"]},
    {"statistic": "count", "entity": "returns", "window": ["24h", "7d"]},
]
OF_CURRENCIES: Final[list[dict[str, Any]]] = [
    {"statistic": "is_usual", "entity": "user", "field": "currency", "window": "30d"},
    {"statistic": "is_first", "entity": "user", "field": "currency"},
    {"statistic": "distinct", "entity": "user", "field": "currency", "window": ["24h", "7d"]},
]
PLAIN, WITH_RESULTS, WITH_PROFILES, WITH_BOTH = "packaged", "with results", "with profiles", "with both"
WITH_KINDS, WITH_CURRENCIES, WITH_PAID = "with kinds", "with currencies", "with kinds and currencies"
TOLD, PAID = "told", "paid"
PARTS: Final = {
    TOLD: (PLAIN, WITH_RESULTS, WITH_PROFILES, WITH_BOTH),
    PAID: (PLAIN, WITH_KINDS, WITH_CURRENCIES, WITH_PAID),
}
BASE: Final = "EUR"


def extended(world: str) -> str:
    """Write the packaged schema with what a world has, and its features; nothing is un-counted."""
    document = yaml.safe_load(DEFAULT.read_text())
    if world == PAID:
        document["entities"]["user"]["remember"]["currency"] = 16
        document["entities"]["returns"] = {"key": "user_id", "kinds": ["refund", "reversal"]}
        document |= {"name": PAID, "money": {"base": BASE}, "filters": {"check": "kind == 'verification'"}}
        document["features"] += OF_KINDS + OF_CURRENCIES
        return str(yaml.safe_dump(document, sort_keys=False))
    for entity in document["entities"].values():
        entity["uncount"] = []
    document |= {"name": TOLD, "results": RESULTS, "filters": FILTERS, "profiles": PROFILES}
    document["features"] += OF_RESULTS + OF_PROFILES
    return str(yaml.safe_dump(document, sort_keys=False))


def columns_of(part: str) -> list[int]:
    """Find the columns of a part of the features."""
    packaged = default_schema().feature_names
    features = deployed_schema().features
    of_profiles = {one.name for one in features if one.profile}
    of_currencies = {one.name for one in features if "currency" in one.name}
    names = {
        PLAIN: set(packaged),
        WITH_RESULTS: set(FEATURE_NAMES) - of_profiles,
        WITH_PROFILES: set(packaged) | of_profiles,
        WITH_BOTH: set(FEATURE_NAMES),
        WITH_KINDS: set(FEATURE_NAMES) - of_currencies,
        WITH_CURRENCIES: set(packaged) | of_currencies,
        WITH_PAID: set(FEATURE_NAMES),
    }[part]
    return [at for at, name in enumerate(FEATURE_NAMES) if name in names]


def measure(parts: Sequence[str], threads: int) -> dict[str, Any]:
    """Generate, compute, train on each part, and measure on the same test."""
    world = GeneratorSettings(kinds=deployed_schema().name == PAID)
    with TemporaryDirectory(prefix="told-") as folder:
        files.write(generate(world, deployed_schema()), Path(folder))
        settings = TrainSettings(data=folder, vectors="computed", threads=threads)
        examples = build_examples(read_tables(settings), vectors="computed")
    split = divide(examples, settings)
    scored = {}
    for part in parts:
        at = columns_of(part)
        train, test = (replace(one, vectors=one.vectors[:, at]) for one in (split.train, split.test))
        scored[part] = Scored(score_plain(train, test, settings, ()), 0.5)
    found = resample(scored, split.test, RESAMPLES, settings.seed)
    at_auc = NAMES.index("pr_auc")
    values = {part: found[part][:, at_auc] for part in parts}
    return {
        "machine": describe_machine().words,
        "train": len(split.train),
        "test": len(split.test),
        "frauds": int(split.test.is_fraud.sum()),
        "pr_auc": {part: str(interval(values[part])) for part in parts},
        "gain": {part: str(interval(values[part] - values[parts[0]])) for part in parts[1:]},
        "features": {part: len(columns_of(part)) for part in parts},
    }


def main() -> int:
    """Measure under the extended schema, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", choices=PARTS, default=TOLD)
    parser.add_argument("--parts", help="Some of the world's, with commas between; default all.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    parts = given.parts.split(",") if given.parts else PARTS[given.world]
    if deployed_schema().name != given.world:
        with TemporaryDirectory(prefix="told-") as folder:
            schema, rates = Path(folder) / "schema.yaml", Path(folder) / RATES_FILE
            schema.write_text(extended(given.world))
            write_rates(rates, rates_of(GeneratorSettings(), BASE))
            command = [sys.executable, "-m", "tests.load.results_and_profiles", *sys.argv[1:]]
            more = {VARIABLE: str(schema), RATES_VARIABLE: str(rates)}
            return subprocess.run(command, env={**os.environ, **more}, check=False).returncode
    found = measure(parts, given.threads)
    text = json.dumps(found, indent=2)
    sys.stdout.write(text + "\n")
    if given.out:
        given.out.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
