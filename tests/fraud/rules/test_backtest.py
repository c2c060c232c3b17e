"""Rules tried on a played stream's log."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake

from fraud.contracts import Outcome
from fraud.decide.columns import Columns
from fraud.decide.compiling import compile_rules
from fraud.decide.engine import RuleHits
from fraud.decide.lists import Definition, ListEvent, ListKind, ListRecord, ListStore
from fraud.decide.overruling import overrule
from fraud.decide.past_lists import PastLists
from fraud.rules.backtest import backtest, held_in, judged
from fraud.rules.effects import EXAMPLES, OUTCOMES, Costs, RuleEffects
from fraud.rules.history import ALWAYS, Range, join_by_identity, open_history
from fraud.rules.words import lines_of
from fraud.schema.arrow import TIME
from fraud.schema.deployed import deployed_schema
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from jobs.stream.settings import StreamSettings
from tests.deployed import FEATURE_NAMES
from tests.fraud.rules.logs import write_log
from tests.load.parity import Played

RULES = b"""\
version: "1"
rules:
  - {name: large, when: 'amount >= 100.0', then: decline, reason: large}
  - {name: busy, when: 'count_1h_by_user >= 2.0', then: review, reason: busy}
  - {name: never, when: 'amount < 0.0', then: approve, reason: never}
"""


LISTED = [
    {"name": "bad_merchant", "when": "in_list(merchant_id, 'bad')", "then": "decline", "reason": "r"},
    # The same by the form that goes row by row.
    {
        "name": "again",
        "when": "merchant_id.matches('.') && in_list(merchant_id, 'bad')",
        "tags": ["t"],
        "reason": "r",
    },
]


def test_hits_are_counted_and_judged_by_the_labels(played: Played) -> None:
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


def test_a_draft_is_tried_like_a_rule_in_shadow(played: Played) -> None:
    live = compile_rules(RULES)
    rule = b"name: large, when: 'amount >= 100.0'"
    draft = compile_rules(RULES.replace(rule, rule + b", state: draft"))
    found = backtest(draft, played.settings.delta_path)
    large, expected = found.of["large"], backtest(live, played.settings.delta_path).of["large"]
    assert (large.hits, large.shadow_hits) == (0, expected.hits)
    assert (large.changed, large.precision) == (expected.changed, expected.precision)
    without = compile_rules(RULES.replace(rule, rule + b", state: retired"))
    assert found.cost == backtest(without, played.settings.delta_path).cost, "it has no effect"
    told = [line for line in lines_of(found) if line.startswith("large:")]
    assert f"{large.shadow_hits:,} of them without effect" in told[0]
    assert {rule.name: rule.state for rule in draft.rules}["large"] == "draft", "outside it is none"


def test_what_an_outcome_costs() -> None:
    costs = Costs(review=5.0, wrong_decline=20.0)
    amounts, is_fraud = np.array([90.0, 90.0]), np.array([True, False])
    found = {outcome: costs.of(outcome, amounts, is_fraud).tolist() for outcome in Outcome}
    assert found[Outcome.APPROVE] == [90.0, 0.0]
    assert found[Outcome.REVIEW] == [5.0, 5.0]
    assert found[Outcome.CHALLENGE] == [1.0, 1.0]
    assert found[Outcome.DECLINE] == [0.0, 20.0]


def shares(delta: str, when: Range = ALWAYS, rules: bytes = RULES) -> RuleEffects:
    return backtest(compile_rules(rules), delta, when=when)


def test_a_range_is_a_part_of_the_whole(played: Played) -> None:
    delta = played.settings.delta_path
    received = DeltaTable(f"{delta}/decisions").to_pyarrow_table()["received_at"].to_pylist()
    middle = sorted(received)[len(received) // 3]
    whole = shares(delta)
    early, late = shares(delta, Range(None, middle)), shares(delta, Range(middle))
    assert early.transactions == sum(at < middle for at in received)
    for name, one in whole.of.items():
        assert early.of[name].hits + late.of[name].hits == one.hits
        assert early.of[name].days + late.of[name].days == one.days
        assert early.of[name].fraud + late.of[name].fraud == one.fraud
    assert sum(whole.of["large"].days.values()) == whole.of["large"].hits
    nothing = shares(delta, Range(max(received) + timedelta(days=1)))
    assert (nothing.transactions, nothing.of["large"].hits) == (0, 0)


def test_rules_that_hold_together_are_told(played: Played) -> None:
    found = shares(played.settings.delta_path)
    large, busy = found.of["large"], found.of["busy"]
    assert large.beside["busy"] == busy.beside["large"] > 0
    assert found.recall(large) is not None
    assert len(large.examples) == EXAMPLES
    newest = [one.received_us for one in large.examples]
    assert newest == sorted(newest, reverse=True)


def test_a_feature_that_was_not_served_comes_from_the_fold(log_copy: StreamSettings) -> None:
    delta = log_copy.delta_path
    wanted = shares(delta).of["busy"]
    served = DeltaTable(f"{delta}/features").to_pyarrow_table()
    received = sorted(served["received_at"].to_pylist())
    late = served.filter(pc.greater_equal(served["received_at"], pa.scalar(received[len(received) // 2])))
    early = served.filter(pc.less(served["received_at"], pa.scalar(received[len(received) // 2])))
    without = early.drop_columns(["count_1h_by_user"])
    table = pa.concat_tables([without, late], promote_options="default")
    write_deltalake(f"{delta}/features", table, mode="overwrite", schema_mode="overwrite")
    assert DeltaTable(f"{delta}/features").to_pyarrow_table()["count_1h_by_user"].null_count > 0
    assert shares(delta).of["busy"] == wanted, "the younger half was served, the older one was not"
    gone = served.drop_columns(["count_1h_by_user"])
    write_deltalake(f"{delta}/features", gone, mode="overwrite", schema_mode="overwrite")
    assert shares(delta).of["busy"] == wanted
    half = Range(received[len(received) // 2])
    assert shares(delta, half).of["busy"].hits < wanted.hits


def test_of_all_combinations_of_rules_the_engine_decides(played: Played) -> None:
    """Each transaction by itself gives what they give together."""
    rules = compile_rules(RULES)
    for part in open_history(played.settings.delta_path, rules.reads).parts():
        found = judged(part, held_in(rules, part), {})
        for row in range(0, part.num_rows, 7):
            held = RuleHits(
                tuple(rule for rule, on in zip(rules.rules, found.live[:, row], strict=True) if on)
            )
            assert overrule(OUTCOMES[found.was[row]], held).outcome is OUTCOMES[found.became[row]]


def test_a_backtest_sees_the_lists_that_each_decision_saw(tmp_path: Path) -> None:
    """An entry that comes in the middle, one that ends, one that goes: the same outcomes as live."""
    made = generate(GeneratorSettings(transactions=400, users=50, merchants=40, seed=4), deployed_schema())
    table, start = made.transactions, datetime(2026, 6, 1, tzinfo=UTC)
    content = {"version": "1", "lists": {"bad": "live"}, "rules": LISTED}
    rules, scores = compile_rules(json.dumps(content).encode()), np.full(400, 0.1)
    received = pa.array([start + timedelta(minutes=at) for at in range(400)], TIME)
    fields = table.append_column("received_at", received)
    values = table["merchant_id"].value_counts().to_pylist()
    one, two, three = (value["values"] for value in sorted(values, key=lambda value: -value["counts"])[:3])
    store, vectors = ListStore(tmp_path / "lists"), np.ones((400, len(FEATURE_NAMES)))
    outcomes, versions = [], []
    kind = Definition(kind=ListKind.TEXT)
    events = {
        0: [ListEvent(list="bad", action="create", by="a", at=start, kind=ListKind.TEXT)],
        100: [kind.event("bad", "add", one, by="a", until=start + timedelta(minutes=300))],
        200: [kind.event("bad", "remove", one, by="a"), kind.event("bad", "add", two, by="a")],
        300: [kind.event("bad", "add", three, by="a", until=start + timedelta(minutes=350))],
    }
    for first in range(0, 400, 50):
        at = (start + timedelta(minutes=first)).timestamp()
        sent = [one.model_dump_json().encode() for one in events.get(first, [])]
        store.apply([ListRecord(store.position + n, raw, at) for n, raw in enumerate(sent)])
        part, rows = fields.slice(first, 50), slice(first, first + 50)
        columns = Columns(part, vectors[rows], FEATURE_NAMES, scores[rows])
        received_s = part["received_at"].cast(pa.int64()).to_numpy() / 1e6
        live = store.view(["bad"], float(received_s.min()), store.position)
        held = rules.holding_columns(columns, part["user_id"].to_pylist(), received_s, live)
        outcomes += [str(overrule(Outcome.APPROVE, one, 0.1).outcome) for one in held]
        versions += [rules.version_with(store.position)] * 50
    assert {"approve", "decline"} == set(outcomes)
    told = {"outcomes": ["approve"] * 400, "labels": {0: True}, "scores": scores}
    whole = write_log(
        tmp_path / "log", table, vectors, since=start, every=timedelta(minutes=1), versions=versions, **told
    )
    by_time = write_log(tmp_path / "old", table, vectors, since=start, every=timedelta(minutes=1), **told)
    for delta in (whole, by_time):
        found = []
        for part in open_history(delta, rules.reads, with_versions=True).parts():
            became = judged(part, held_in(rules, part, PastLists(store)), {}).became
            ids = part["transaction_id"].to_pylist()
            found += [(name, str(OUTCOMES[code])) for name, code in zip(ids, became.tolist(), strict=True)]
        assert dict(found) == dict(zip(table["transaction_id"].to_pylist(), outcomes, strict=True))
    hits = backtest(rules, whole, past=PastLists(store)).of["bad_merchant"].hits
    assert hits == outcomes.count("decline")


@pytest.mark.parametrize("case", ["same order", "another order", "lacks some", "has one twice", "nothing"])
def test_records_side_by_side_are_those_of_a_join(case: str) -> None:
    dice, n = np.random.default_rng(3), 0 if case == "nothing" else 50
    keys = {
        "generation": pa.array(dice.integers(0, 2, n)),
        "epoch": pa.array(dice.integers(0, 3, n)),
        "source_partition": pa.array(dice.integers(0, 2, n).astype(np.int32)),
        "source_offset": pa.array(np.arange(n)),
    }
    left = pa.table(keys | {"a": pa.array(dice.random(n))})
    right = pa.table(keys | {"b": pa.array([f"b{at}" for at in range(n)], pa.string())})
    if case == "another order":
        right = right.take(pa.array(dice.permutation(n)))
    elif case == "lacks some":
        left, right = left.slice(3), right.take(pa.array(dice.permutation(40)))
    elif case == "has one twice":
        right = pa.concat_tables([right, right.slice(0, 1)])
    wanted = left.join(right, list(keys), join_type="inner")
    order = [("source_offset", "ascending")]
    found = join_by_identity(left, right)
    assert found.sort_by(order).to_pylist() == wanted.sort_by(order).to_pylist()
    assert found.column_names == wanted.column_names
