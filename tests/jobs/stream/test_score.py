import httpx
import numpy as np
import pytest

from fraud.contracts import Outcome
from fraud.decide.policy import FALLBACK_RULES, decide_without_model
from fraud.features import FEATURE_NAMES
from fraud.model.client import ModelClient, ModelClientSettings
from jobs.stream.score import score


def away(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def test_without_a_model_every_transaction_gets_the_documented_fallback() -> None:
    vectors = np.full((3, len(FEATURE_NAMES)), np.nan)
    vectors[1, FEATURE_NAMES.index("transaction_amount")] = 500.0
    vectors[2, FEATURE_NAMES.index("transaction_amount")] = 499.99
    with ModelClient(ModelClientSettings(deadline_s=0.2), transport=httpx.MockTransport(away)) as client:
        verdicts = score(client, vectors)
    assert verdicts.is_fallback
    assert verdicts.outcomes == [Outcome.APPROVE, Outcome.REVIEW, Outcome.APPROVE]
    assert [reason.code for reason in verdicts.reasons[1]] == ["fallback_transaction_amount"]
    assert verdicts.probability == [None, None, None]


@pytest.mark.parametrize("rule", FALLBACK_RULES, ids=lambda rule: rule.feature)
def test_each_fallback_rule_holds_from_its_limit_on(rule: object) -> None:
    limit = rule.limit  # type: ignore[attr-defined]
    vectors = np.full((2, len(FEATURE_NAMES)), np.nan)
    vectors[:, FEATURE_NAMES.index(rule.feature)] = [limit, np.nextafter(limit, -np.inf)]  # type: ignore[attr-defined]
    assert [outcome for outcome, _ in decide_without_model(vectors)] == [Outcome.REVIEW, Outcome.APPROVE]


def test_no_transactions_need_no_model() -> None:
    with ModelClient(ModelClientSettings(), transport=httpx.MockTransport(away)) as client:
        assert score(client, np.empty((0, len(FEATURE_NAMES)))).outcomes == []
