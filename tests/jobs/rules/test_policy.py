"""`fraud policy suggest` on a generated log: what it writes, and what that is worth later."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from rich.console import Console

from fraud.decide.compiling import compile_rules
from fraud.errors import BadInput
from fraud.rules.backtest import backtest
from fraud.rules.effects import Costs
from fraud.rules.history import Range
from fraud.schema.deployed import deployed_schema
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from jobs.rules.policy import LAST, SuggestedPolicy, suggest_policy, with_segments
from jobs.rules.policy_commands import show
from tests.deployed import FEATURE_NAMES
from tests.fraud.rules.logs import write_log

ROWS = 12_000
START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START + timedelta(days=400)
COSTS = Costs(challenge_left=0.2, challenge_passed=0.1)
RULES = b"""\
version: "5"   # kept
rules:
  - {name: giant, when: 'amount > 2000.0', then: review, reason: giant}
segments:
  - name: old
    when: amount < 5.0
    review: 0.5
    decline: 0.9
# what comes after is kept
lists: {}
"""


@pytest.fixture(scope="module")
def delta(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A log in which the same score means more fraud online, and dearer fraud above 100."""
    data = generate(GeneratorSettings(transactions=ROWS, users=300, merchants=100, seed=3), deployed_schema())
    table, dice = data.transactions, np.random.default_rng(1)
    score = dice.beta(1.0, 8.0, ROWS)
    online = pc.equal(table["channel"], "online").to_numpy()
    is_fraud = dice.random(ROWS) < np.where(online, score, score / 8.0)
    outcomes = np.where(score > 0.6, "decline", np.where(score > 0.3, "review", "approve")).tolist()
    return write_log(
        tmp_path_factory.mktemp("log"),
        table,
        np.full((ROWS, len(FEATURE_NAMES)), 1.0),
        since=START,
        every=timedelta(minutes=5),
        scores=score,
        outcomes=outcomes,
        labels=dict.fromkeys(np.flatnonzero(is_fraud).tolist(), True),
    )


def suggested(
    delta: str, by: tuple[str, ...] = ("channel", "amount:100"), rules: bytes = RULES
) -> SuggestedPolicy:
    return suggest_policy(delta, rules=compile_rules(rules), by=by, capacity=15.0, costs=COSTS, now=NOW)


def test_segments_cost_less_on_later_data_than_one_choice_for_all(delta: str) -> None:
    found = suggested(delta)
    model, common, own = found.choices
    assert own.cost < common.cost < model.cost
    assert own.reviews_a_day <= 15.0
    names = [one.name for one in found.segments]
    assert names[-1] == LAST
    assert any(name.startswith("channel_online") for name in names)
    assert sum(one.cost for one in found.segments) == pytest.approx(own.cost)


def test_the_file_is_the_old_one_with_these_segments(delta: str) -> None:
    found = suggested(delta)
    text = found.content.decode()
    assert "# kept" in text
    assert "# what comes after is kept\nlists: {}" in text
    assert "old" not in text
    rules = compile_rules(found.content)
    assert [rule.name for rule in rules.rules] == ["giant"]
    assert [one.thresholds for one in rules.segments] == [one.thresholds for one in found.segments]
    again = suggested(delta, (), found.content)
    assert again.tried == len(found.segments) - 1, "without --by the segments of the file"


def test_a_backtest_of_the_file_tells_the_same_reviews(delta: str) -> None:
    found = suggested(delta)
    account = backtest(
        compile_rules(found.content),
        delta,
        when=Range(found.split),
        costs=COSTS,
        maturity=timedelta(),
        now=NOW,
    )
    assert max(account.reviews.values()) >= found.choices[-1].busiest > 0
    assert account.cost < 0.0


def test_whoever_would_be_better_off_with_the_models_thresholds_is_told(delta: str) -> None:
    def printed(policy: SuggestedPolicy) -> str:
        console = Console(file=io.StringIO(), width=60)
        show(console, policy)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    found = suggested(delta)
    model, common, own = found.choices
    text = printed(found)
    assert "note" not in text
    for one in (model, common, own):
        assert f"{one.words}: cost {one.cost:,.0f}, reviews a day {one.reviews_a_day:,.1f}," in text
    assert f"{LAST}: transactions" in text
    dear = replace(own, cost=model.cost + 1.0)
    text = printed(replace(found, choices=[model, common, dear]))
    assert f"own thresholds cost no more: {model.cost:,.0f}, with {model.busiest:,} reviews" in text


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("colour", "--by colour: give a field that is a text, or a number with bounds"),
        ("amount", "--by amount: give a field"),
        ("amount:50,x", "bounds are numbers"),
        ("amount:50,20", "bounds must rise"),
        ("amount:nan", "bounds must rise"),
        ("score:0.5", "--by score:0.5: give a field"),
    ],
)
def test_a_wrong_part_is_refused(delta: str, by: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        suggested(delta, (by,))


def test_rules_without_segments_need_parts(delta: str) -> None:
    with pytest.raises(BadInput, match="say what divides the transactions"):
        suggested(delta, (), b"version: a\nrules: []\n")


def test_too_few_frauds_are_said(tmp_path: Path) -> None:
    data = generate(GeneratorSettings(transactions=600, users=60, merchants=50, seed=3), deployed_schema())
    n = data.transactions.num_rows
    empty = write_log(
        tmp_path,
        data.transactions,
        np.full((n, len(FEATURE_NAMES)), 1.0),
        since=START,
        every=timedelta(minutes=10),
        scores=np.zeros(n),
        outcomes=["approve"] * n,
        labels={0: True},
    )
    with pytest.raises(BadInput, match="1 known frauds that the score decides; at least 60"):
        suggested(empty)


def test_a_file_in_braces_is_left_to_people() -> None:
    with pytest.raises(BadInput, match="is written in braces"):
        with_segments(b'{"version": "1", "rules": []}', [])
