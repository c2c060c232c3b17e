"""Time-to-live: the driver forgets what has been idle by event time, and nothing else."""

import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from fraud.errors import Fenced, Unavailable
from fraud.features.passes import entity_names, passes_of
from fraud.schema.default import MERCHANT, USER
from fraud.schema.features import Feature
from fraud.store import Epoch, FeatureStore, open_store
from jobs.stream.expiry import Expiry
from tests.deployed import ENTITIES, PASSES

DAY_US = 86_400e6
NOW_US = 20_000 * DAY_US  # in 2024, behind the clock


def state(newest_us: float) -> bytes:
    return struct.pack("<2d", 0.0, newest_us)


def summary(newest_event_us: float | None) -> dict[str, Any]:
    return {"newest_event_us": newest_event_us}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeatureStore]:
    with open_store(f"lmdb://{tmp_path / 'store'}") as opened:
        yield opened


@pytest.fixture
def expiry(store: FeatureStore) -> Expiry:
    token = store.acquire("test")
    for kind in ENTITIES:
        ages = {float(days): state(NOW_US - days * DAY_US) for days in (1, 211, 212, 213, 400)}
        store.write(kind, ages, Epoch(1, 0), token)
    return Expiry(store, token, PASSES)


def keys(store: FeatureStore) -> list[list[float]]:
    return [sorted(entry.key for entry in store.entries(kind)) for kind in ENTITIES]


def expired(kind: str) -> float:
    return REGISTRY.get_sample_value("fraud_stream_expired_entities_total", {"entity": kind}) or 0.0


def test_nothing_is_forgotten_before_event_time_is_known(store: FeatureStore, expiry: Expiry) -> None:
    expiry.see([summary(None), summary(None)])
    assert expiry.run() == 0
    assert [len(found) for found in keys(store)] == [5, 5]


def test_entities_idle_for_more_than_212_days_of_event_time_are_forgotten(
    store: FeatureStore, expiry: Expiry
) -> None:
    before = [expired(kind) for kind in ENTITIES]
    expiry.see([summary(NOW_US - 9 * DAY_US), summary(None), summary(NOW_US)])
    assert expiry.run() == 4
    assert keys(store) == [[1.0, 211.0, 212.0]] * 2
    assert [expired(kind) for kind in ENTITIES] == [count + 2 for count in before]


def test_an_entity_of_longer_windows_is_kept_longer(tmp_path: Path) -> None:
    card = replace(USER, name="card", key="user", windows=("1h", "24h", "90d"))
    passes = passes_of((card, MERCHANT), [Feature("count", card, "90d"), Feature("count", MERCHANT, "1h")])
    with open_store(f"lmdb://{tmp_path / 'store'}", entity_names(passes)) as store:
        token = store.acquire("test")
        for entity in store.entities:
            ages = {float(days): state(NOW_US - days * DAY_US) for days in (211, 213, 271, 273)}
            store.write(entity, ages, Epoch(1, 0), token)
        expiry = Expiry(store, token, passes)
        expiry.see([summary(NOW_US)])
        assert expiry.run() == 1 + 3
        left = [sorted(entry.key for entry in store.entries(entity)) for entity in store.entities]
        assert left == [[211.0, 213.0, 271.0], [211.0]]


def test_event_time_never_goes_back(store: FeatureStore, expiry: Expiry) -> None:
    expiry.see([summary(NOW_US)])
    expiry.see([summary(NOW_US - 300 * DAY_US), summary(None)])
    expiry.see([])
    assert expiry.run() == 4
    assert keys(store) == [[1.0, 211.0, 212.0]] * 2


def test_an_event_time_ahead_of_the_clock_counts_as_now(store: FeatureStore, expiry: Expiry) -> None:
    token = store.acquire("test")
    store.write("user", {7.0: state(time.time() * 1e6)}, Epoch(1, 1), token)
    expiry = Expiry(store, token, PASSES)
    expiry.see([summary(time.time() * 1e6 + 10_000 * DAY_US)])
    expiry.run()
    assert keys(store)[0] == [7.0]


def test_a_driver_that_was_taken_over_is_told_so(store: FeatureStore, expiry: Expiry) -> None:
    store.acquire("newer driver")
    expiry.see([summary(NOW_US)])
    with pytest.raises(Fenced, match="newer driver"):
        expiry.run()


def test_a_store_that_does_not_answer_is_left_for_the_next_time() -> None:
    class Away:
        def expire(self, *_: object) -> int:
            raise Unavailable("the feature store does not answer")

    expiry = Expiry(Away(), 1, PASSES)  # type: ignore[arg-type]  a store that is unavailable answers nothing
    expiry.see([summary(NOW_US)])
    assert expiry.run() == 0
