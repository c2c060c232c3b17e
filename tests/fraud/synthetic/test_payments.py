"""Kinds and currencies over a world: what is laid over it is legal, and is what a record and a rate say."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from fraud.contracts import contracts_of
from fraud.contracts.priced import base_amounts, priced_table
from fraud.schema.kinds import VERIFICATION
from fraud.schema.reading import parse_schema
from fraud.synthetic.generate import generate
from fraud.synthetic.payments import EUROS, FAR, rates_of
from fraud.synthetic.settings import GeneratorSettings

SETTINGS = GeneratorSettings(transactions=6_000, users=300, merchants=150, kinds=True)
PLAIN = SETTINGS.model_copy(update={"kinds": False})
SCHEMA = parse_schema((Path(__file__).parents[1] / "money" / "payments.yaml").read_bytes(), "payments.yaml")


@pytest.fixture(scope="module")
def world():
    return generate(SETTINGS)


def test_a_thief_asks_for_verifications_before_the_spree(world):
    rows = {row["transaction_id"]: row for row in world.transactions.to_pylist()}
    tested = [one["transaction_id"] for one in world.patterns.to_pylist() if one["pattern"] == "card_testing"]
    tests = [rows[name] for name in tested]
    checks = [row for row in tests if row["kind"] == VERIFICATION]
    assert 0.4 < len(checks) / len(tests) < 0.8
    assert {check["amount"] for check in checks} == {0.0}
    soon = [
        any(
            check["event_time"] < row["event_time"] < check["event_time"] + timedelta(hours=6)
            for row in tests
            if row["user_id"] == check["user_id"]
        )
        for check in checks
    ]
    assert np.mean(soon) > 0.8


def test_what_comes_back_was_paid_before(world):
    paid: dict[tuple[str, str], set[float]] = {}
    back = Counter()
    for row in world.transactions.to_pylist():
        pair = row["user_id"], row["merchant_id"]
        if row["kind"] in {"refund", "reversal"}:
            assert row["amount"] in paid[pair]
            back[row["kind"]] += 1
        paid.setdefault(pair, set()).add(row["amount"])
    assert back["refund"] > back["reversal"] > 0


def test_without_kinds_the_world_is_as_it_was(world):
    plain = generate(PLAIN)
    assert "kind" not in plain.transactions.column_names
    same = [name for name in plain.labels.column_names if name != "disputed_amount"]
    assert plain.labels.select(same).equals(world.labels.select(same))
    same = [name for name in plain.transactions.column_names if name != "amount"]
    assert plain.transactions.select(same).equals(world.transactions.select(same))


def test_amounts_in_currencies_are_legal_and_worth_what_they_were():
    made, plain = generate(SETTINGS, SCHEMA), generate(SETTINGS)
    model = contracts_of(SCHEMA).transaction
    for row in made.transactions.slice(0, 1_500).to_pylist():
        model(**row)
    label, bare = contracts_of(SCHEMA).label, 0
    paid = {row["transaction_id"]: row for row in made.transactions.to_pylist()}
    for row in made.labels.filter(pc.equal(made.labels["source"], "chargeback")).to_pylist():
        label(**row)
        of = paid[row["transaction_id"]]
        bare += not of["amount"]
        told = (of["amount"], of["currency"]) if of["amount"] else (None, None)
        assert (row["disputed_amount"], row["disputed_currency"]) == told
    assert bare, "a verification of 0 has nothing to charge back"
    table = priced_table(made.transactions, SCHEMA, rates_of(SETTINGS, "USD"))
    found = set(pc.unique(table["currency"]).to_pylist())
    assert found > {"EUR", "USD", "GBP"}
    assert len(found & set(FAR)) > 1
    euros = np.asarray(plain.transactions["amount"].to_numpy())
    ratio = base_amounts(table, SCHEMA)[euros > 20] * EUROS["USD"] / euros[euros > 20]
    assert 0.8 < ratio.min() < ratio.max() < 1.25
