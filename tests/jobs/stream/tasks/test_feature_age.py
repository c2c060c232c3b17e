"""Feature age: what the metric says is what the served vectors and the clock of events say."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry

from fraud.runtime.telemetry import AGE_BUCKETS_S
from jobs.stream import metrics
from jobs.stream.tasks.feature_age import age_histogram, count_ages
from tests.deployed import PASSES

NAME = "fraud_stream_feature_age_seconds"
AGES = st.one_of(st.just(math.nan), st.sampled_from(AGE_BUCKETS_S), st.floats(0.0, 1e8))


def table_of(user: list[float], merchant: list[float]) -> pa.Table:
    return pa.table(
        {
            "seconds_since_last_by_user": pa.array(user, pa.float64()),
            "seconds_since_last_by_merchant": pa.array(merchant, pa.float64()),
        }
    )


def sample(registry: CollectorRegistry, suffix: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"{NAME}_{suffix}", labels)


@given(parts=st.lists(st.lists(st.tuples(AGES, AGES, st.booleans()), max_size=30), max_size=4))
def test_the_histogram_holds_each_known_age_of_a_transaction_once(
    parts: list[list[tuple[float, float, bool]]],
) -> None:
    histogram = age_histogram(PASSES)
    registry = CollectorRegistry()
    registry.register(histogram)
    for part in parts:
        is_transaction = np.array([keep for _, _, keep in part], np.bool_)
        table = table_of([u for u, _, _ in part], [m for _, m, _ in part])
        for entity, found in count_ages(table, is_transaction, PASSES).items():
            histogram.add(found, entity)
    for at, entity in enumerate(("user", "merchant")):
        ages = [row[at] for part in parts for row in part if row[2] and not math.isnan(row[at])]
        assert sample(registry, "count", entity=entity) == len(ages)
        assert sample(registry, "sum", entity=entity) == pytest.approx(sum(ages))
        for bound in AGE_BUCKETS_S:
            expected = sum(age <= bound for age in ages)
            assert sample(registry, "bucket", entity=entity, le=str(bound)) == expected


def test_the_job_exports_it() -> None:
    def count() -> float:
        return sample(REGISTRY, "count", entity="user") or 0.0

    before = count()
    found = count_ages(table_of([5.0, math.nan], [math.nan, 7.0]), np.ones(2, np.bool_), PASSES)
    metrics.AGES.add(found["user"], "user")
    assert count() - before == 1.0
