"""Rules that are found for planted frauds, and not for those that have ended."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from fraud.decide.compiling import compile_rules
from fraud.decide.engine import RuleState
from fraud.errors import BadInput
from fraud.features.batch import compute_features
from fraud.schema.deployed import deployed_schema
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from jobs.rules.suggest import SuggestionLimits, suggest
from tests.deployed import FEATURE_NAMES
from tests.fraud.rules.logs import write_log

ROWS = 6_000
START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START + timedelta(days=400)


@pytest.fixture(scope="module")
def delta(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A log with two kinds of missed fraud, one of which ends before the later part."""
    data = generate(GeneratorSettings(transactions=ROWS, users=300, merchants=100, seed=3), deployed_schema())
    table, dice = data.transactions, np.random.default_rng(1)
    vectors = compute_features(table).vectors
    amount = table["amount"].to_numpy()
    bursts = vectors[:, FEATURE_NAMES.index("count_24h_by_user")]
    lasting = (amount > 120.0) & (bursts >= 2.0)
    ended = (amount > 50.0) & (amount < 80.0) & (np.arange(ROWS) < 0.6 * ROWS)
    is_fraud = (lasting & (dice.random(ROWS) < 0.9)) | (ended & (dice.random(ROWS) < 0.9))
    outcomes = np.where(dice.random(ROWS) < 0.05, "decline", "approve").tolist()
    return write_log(
        tmp_path_factory.mktemp("log"),
        table,
        vectors,
        since=START,
        every=timedelta(minutes=10),
        scores=dice.beta(1.0, 12.0, ROWS),
        outcomes=outcomes,
        labels={at: bool(is_fraud[at]) for at in range(ROWS) if is_fraud[at] or at % 3 == 0},
    )


def test_a_planted_fraud_is_found_and_told_by_later_data(delta: str) -> None:
    found = suggest(delta, wanted=SuggestionLimits(most=5, min_precision=0.3), now=NOW)
    assert found.rules
    best = found.rules[0]
    assert "amount >" in best.when
    assert "_by_user" in best.when
    assert best.later.precision is not None
    assert best.later.precision > 0.6
    assert best.recall > 0.5
    assert best.later.cost < 0.0
    assert not any("amount <= " in one.when for one in found.rules), "that fraud has ended"
    assert found.tried > len(found.rules), "it was a candidate"


def test_what_is_suggested_is_a_file_of_drafts(delta: str) -> None:
    text = suggest(delta, wanted=SuggestionLimits(most=2), now=NOW).as_file()
    rules = compile_rules(text.encode()).rules
    assert 1 <= len(rules) <= 2
    assert {rule.state for rule in rules} == {RuleState.DRAFT}
    assert "# on later data: " in text


def test_too_few_frauds_are_said(tmp_path: Path) -> None:
    data = generate(GeneratorSettings(transactions=600, users=60, merchants=50, seed=3), deployed_schema())
    vectors = compute_features(data.transactions).vectors
    n = data.transactions.num_rows
    empty = write_log(
        tmp_path,
        data.transactions,
        vectors,
        since=START,
        every=timedelta(minutes=10),
        scores=np.zeros(n),
        outcomes=["approve"] * n,
        labels={0: True},
    )
    with pytest.raises(BadInput, match="only 1 frauds were approved"):
        suggest(empty, now=NOW)
