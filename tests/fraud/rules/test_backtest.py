"""Rules tried on a played stream's log."""

import numpy as np
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from fraud.contracts import Outcome
from fraud.decide.compiling import compile_rules
from fraud.rules.account import Costs
from fraud.rules.backtest import backtest
from tests.load.parity import Played

RULES = b"""\
version: "1"
rules:
  - {name: large, when: 'amount >= 100.0', then: decline, reason: large}
  - {name: busy, when: 'count_1h_by_user >= 2.0', then: review, reason: busy}
  - {name: never, when: 'amount < 0.0', then: approve, reason: never}
"""


def test_hits_are_counted_and_judged_by_the_verdicts(played: Played) -> None:
    found = backtest(compile_rules(RULES), played.settings.delta_path)
    decided = DeltaTable(f"{played.settings.delta_path}/decisions").to_pyarrow_table()
    assert found.transactions == decided.num_rows
    large, busy, never = found.all_rules
    assert large.hits == pc.sum(pc.greater_equal(decided["amount"], 100.0)).as_py()
    assert large.changed == large.hits, "all were approved"
    assert 0 < large.fraud <= large.mature <= large.hits
    assert busy.hits > 0
    assert (never.hits, never.precision) == (0, None)
    assert found.labelled > 0
    assert large.cost == pytest.approx(20.0 * (large.mature - large.fraud) - large.fraud_amount), (
        "all were approved"
    )
    alone = backtest(compile_rules(RULES[: RULES.index(b"  - {name: busy")]), played.settings.delta_path)
    assert alone.cost == pytest.approx(large.cost)
    assert alone.of["large"].cost == large.cost
    assert found.cost != large.cost


def test_what_an_outcome_costs() -> None:
    costs = Costs(review=5.0, wrong_decline=20.0)
    amounts, is_fraud = np.array([90.0, 90.0]), np.array([True, False])
    found = {outcome: costs.of(outcome, amounts, is_fraud).tolist() for outcome in Outcome}
    assert found[Outcome.APPROVE] == [90.0, 0.0]
    assert found[Outcome.REVIEW] == [5.0, 5.0]
    assert found[Outcome.CHALLENGE] == [1.0, 1.0]
    assert found[Outcome.DECLINE] == [0.0, 20.0]
