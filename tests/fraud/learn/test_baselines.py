"""The fallback rules as a model to compare with."""

import numpy as np
import pytest

from fraud.learn.baselines import Rules
from fraud.schema.reading import default_schema, parse_schema
from tests.fraud.schema.reading.test_reading import SMALL


@pytest.mark.filterwarnings("error")
def test_the_score_is_the_share_of_the_rules_that_hold_and_0_without_rules() -> None:
    schema = default_schema()
    vectors = np.full((3, len(schema.features)), np.nan)
    first, second = (schema.feature_names.index(rule.feature) for rule in schema.fallback[:2])
    vectors[1, first] = vectors[2, first] = schema.fallback[0].limit
    vectors[2, second] = schema.fallback[1].limit
    share = 1.0 / len(schema.fallback)
    assert Rules(schema).predict_proba(vectors)[:, 1].tolist() == [0.0, share, 2.0 * share]
    without = parse_schema(SMALL.encode(), "small.yaml")
    assert without.fallback == ()
    found = Rules(without).predict_proba(np.zeros((2, len(without.features))))
    assert found.tolist() == [[1.0, 0.0], [1.0, 0.0]]
