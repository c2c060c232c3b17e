from typing import Any

import httpx
import numpy as np
import pytest

from fraud.contracts import Outcome, Thresholds
from fraud.decide.overruling import Ruled
from fraud.decide.policy import decide_without_model
from fraud.model.client import ModelClient, ModelClientSettings, Scores
from jobs.stream.tasks.rules import unexplained
from jobs.stream.tasks.score import Decisions, FeatureWords, explain_further, score
from tests.deployed import FEATURE_NAMES, SCHEMA

WORDS = FeatureWords(SCHEMA, FEATURE_NAMES)


def away(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def test_without_a_model_every_transaction_gets_the_documented_fallback() -> None:
    vectors = np.full((3, len(FEATURE_NAMES)), np.nan)
    vectors[1, FEATURE_NAMES.index("transaction_amount")] = 500.0
    vectors[2, FEATURE_NAMES.index("transaction_amount")] = 499.99
    with ModelClient(ModelClientSettings(deadline_s=0.2), transport=httpx.MockTransport(away)) as client:
        decisions = score(client, vectors, WORDS)
    assert decisions.is_fallback
    assert decisions.outcomes == [Outcome.APPROVE, Outcome.REVIEW, Outcome.APPROVE]
    assert [reason.code for reason in decisions.reasons[1]] == ["fallback_transaction_amount"]
    assert decisions.probability == [None, None, None]


@pytest.mark.parametrize("rule", SCHEMA.fallback, ids=lambda rule: rule.feature)
def test_each_fallback_rule_holds_from_its_limit_on(rule: object) -> None:
    limit = rule.limit  # type: ignore[attr-defined]
    vectors = np.full((2, len(FEATURE_NAMES)), np.nan)
    vectors[:, FEATURE_NAMES.index(rule.feature)] = [limit, np.nextafter(limit, -np.inf)]  # type: ignore[attr-defined]
    assert [outcome for outcome, _ in decide_without_model(vectors)] == [Outcome.REVIEW, Outcome.APPROVE]


def test_no_transactions_need_no_model() -> None:
    with ModelClient(ModelClientSettings(), transport=httpx.MockTransport(away)) as client:
        assert score(client, np.empty((0, len(FEATURE_NAMES))), WORDS).outcomes == []


class Explains:
    """A model of one version, whose reason is always the same feature."""

    def __init__(self, version: str, feature: int) -> None:
        self.version, self.feature, self.asked = version, feature, 0

    def score(self, vectors: Any, reasons_from: float | None = None) -> Scores:
        assert reasons_from == 0.0
        n = len(vectors)
        self.asked += n
        reasons = np.full((n, 3), -1, np.int32)
        reasons[:, 0] = self.feature
        at = Thresholds(review=0.5, decline=0.9)
        return Scores(np.full(n, 0.3), reasons, np.zeros((n, 3)), self.version, "f", at)


def test_what_a_segment_stops_is_explained_by_the_version_that_scored_it() -> None:
    approve, review, decline = Outcome.APPROVE, Outcome.REVIEW, Outcome.DECLINE
    ruled = [
        Ruled(decline, approve, segment="s", by_segment=decline),  # only the segment stopped it
        Ruled(review, review, segment="s", by_segment=review),  # the model asked for its reasons already
        Ruled(approve, approve, segment="s", by_segment=approve),
        Ruled(approve, approve, segment="s", by_segment=review),  # a rule approved it
        Ruled(review, approve),  # a rule alone
        Ruled(review, approve, segment="s", by_segment=review),
    ]
    versions: list[str | None] = ["7", "7", "7", "7", "7", "8"]
    outcomes = [one.outcome for one in ruled]
    decisions = Decisions(outcomes, [[] for _ in ruled], [0.3] * 6, versions, ruled=ruled)
    rows = unexplained(decisions)
    assert rows.tolist() == [0, 5]
    champion, challenger = Explains("7", 0), Explains("8", 1)
    models: Any = [champion, challenger]
    found = explain_further(decisions, models, np.ones((6, len(FEATURE_NAMES))), rows, WORDS)
    codes = [[reason.code for reason in reasons] for reasons in found.reasons]
    assert codes == [[FEATURE_NAMES[0]], [], [], [], [], [FEATURE_NAMES[1]]]
    assert (champion.asked, challenger.asked) == (2, 1)
