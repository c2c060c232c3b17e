"""Reasons in words: every feature has a sentence, with the usual value where the vector knows it."""

import re

import numpy as np
import pytest

from fraud.features.reasons import _FLAGS, _SENTENCES, reason_text
from fraud.schema.operations import COMBINED
from fraud.schema.statistics import STATISTICS
from tests.deployed import FEATURE_NAMES, FEATURES


def vector_of(**values: float) -> np.ndarray:
    vector = np.full(len(FEATURE_NAMES), np.nan)
    for name, value in values.items():
        vector[FEATURE_NAMES.index(name)] = value
    return vector


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("transaction_amount", 812.0, "The amount is 812; usually 45.2 (average of the last 30 days)"),
        ("hour_of_day", 3.25, "The time is 03:15 UTC"),
        ("day_of_week", 6.0, "The day is a Sunday"),
        ("category_bucket", 22.0, "The category of this transaction raises the score"),
        ("distance_from_home", 1234.0, "1,234 km from the cardholder's home"),
        ("count_1h_by_user", 1.0, "1 transaction of this user in the last hour; usually almost none"),
        ("count_24h_by_user", 32.0, "32 transactions of this user in the last 24 hours; usually 2"),
        (
            "amount_zscore_7d_by_user",
            8.25,
            (
                "The amount is 8.25 standard deviations above the average of this user in the last 7 days; "
                "usually 45.2 (average of the last 30 days)"
            ),
        ),
        (
            "velocity_1h_7d_by_user",
            12.0,
            "This user has 12 times as many transactions per hour in the last hour as in the last 7 days",
        ),
        ("seconds_since_last_by_user", 45.0, "45 seconds since the previous transaction of this user"),
        (
            "user_distinct_1h_by_merchant",
            12.0,
            "12 different users of this merchant in the last hour; in the last 7 days: 15",
        ),
        ("device_is_first_by_user", 1.0, "The first transaction of this user with this device"),
        ("device_is_first_by_user", 0.0, "This user was seen with this device before"),
        (
            "fraud_share_30d_by_merchant",
            0.125,
            "12.5 % of the transactions of this merchant in the last 30 days are known fraud",
        ),
        ("amount_mean_24h_by_user", np.nan, "No transaction of this user in the last 24 hours"),
        ("device_is_first_by_user", np.nan, "The transaction has no device"),
    ],
)
def test_a_value_is_said_in_a_sentence_with_the_usual_one_beside_it(
    name: str, value: float, words: str
) -> None:
    known = vector_of(
        count_30d_by_user=90.0,
        amount_mean_30d_by_user=45.2,
        user_distinct_7d_by_merchant=15.0,
        **{name: value},
    )
    if name == "count_1h_by_user":
        known[FEATURE_NAMES.index("count_30d_by_user")] = 1.0
    assert reason_text(name, value, known) == words


def test_every_statistic_has_a_sentence() -> None:
    combined = {name for name, one in STATISTICS.items() if one.op in COMBINED}
    assert set(_SENTENCES) | set(_FLAGS) | combined == set(STATISTICS)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, 2.0, 1e6, np.nan])
def test_a_sentence_is_whole(feature: object, value: float) -> None:
    text = reason_text(feature.name, value, np.full(len(FEATURE_NAMES), 3.0))  # type: ignore[attr-defined]
    assert re.fullmatch(r"[A-Z0-9].*[\w%)]", text), text
    assert not re.search(r"[{}]|  |\bnan\b|\b1 \w+s\b(?! as)|\d[smhd]\b|verdict", text), text


def test_without_a_vector_no_usual_value_is_named() -> None:
    assert reason_text("count_24h_by_user", 32.0) == "32 transactions of this user in the last 24 hours"
    assert "usually" not in reason_text("count_24h_by_user", 32.0, vector_of())
