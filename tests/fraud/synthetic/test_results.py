"""The results of a synthetic world: what the schema takes, after their transactions, and telling of fraud."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fraud.contracts import contracts_of
from fraud.money import digits_of, exact_amount, to_minor
from fraud.schema.reading import default_schema, parse_schema, read_schema
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.files import read, write
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings

SCHEMA = read_schema(Path(__file__).parents[3] / "docs" / "examples" / "card-testing.yaml")
SETTINGS = GeneratorSettings(transactions=20_000, users=500, merchants=200)


@pytest.fixture(scope="module")
def made() -> DataSet:
    return generate(SETTINGS, SCHEMA)


def test_a_world_without_results_in_its_schema_has_none() -> None:
    settings = SETTINGS.model_copy(update={"transactions": 2_000})
    assert generate(settings, default_schema()).results is None


def test_every_result_keeps_its_contract_and_follows_its_transaction(made: DataSet) -> None:
    assert made.results is not None
    model = contracts_of(SCHEMA).result
    assert model is not None
    for row in made.results.slice(0, 2_000).to_pylist():
        record = model.model_validate(row)
        assert record.event_time is not None
        assert timedelta(0) < record.result_time - record.event_time <= timedelta(hours=1)
    assert set(made.results["result"].to_pylist()) == {"authorised", "declined", "reversed"}
    times = made.results["result_time"].cast("int64").to_numpy()
    assert (np.diff(times) >= 0).all()


def test_thieves_trials_are_declined_far_more_often_than_honest_purchases(made: DataSet) -> None:
    assert made.results is not None
    declined = set(
        made.results.filter(pc.equal(made.results["result"], "declined"))["transaction_id"].to_pylist()
    )
    patterns = dict(
        zip(*(made.patterns[name].to_pylist() for name in ("transaction_id", "pattern")), strict=True)
    )
    tried = [one for one, pattern in patterns.items() if pattern == "card_testing"]
    honest = [one for one in made.transactions["transaction_id"].to_pylist() if one not in patterns]
    share = [len(declined & set(some)) / len(some) for some in (tried, honest)]
    assert share[0] > 10 * share[1] > 0.1


EVERYTHING = parse_schema(
    (Path(__file__).parents[1] / "money" / "everything.yaml").read_bytes(), "everything.yaml"
)


def test_refunds_keep_their_contract_and_pay_back_no_more_than_was_paid() -> None:
    """In the currency of their transactions; the rest of the world is what it was without them."""
    data = generate(SETTINGS.model_copy(update={"kinds": True}), EVERYTHING)
    assert data.results is not None
    is_refund = pc.equal(data.results["result"], "refunded")
    refunds = data.results.filter(is_refund).to_pylist()
    model = contracts_of(EVERYTHING).result
    assert model is not None
    paid = {row["transaction_id"]: row for row in data.transactions.to_pylist()}
    back: Counter[str] = Counter()
    for row in refunds:
        record = model.model_validate({name: value for name, value in row.items() if value is not None})
        of = paid[record.transaction_id]
        assert (record.currency, of["kind"]) == (of["currency"], "purchase")
        assert timedelta(hours=1) <= record.result_time - of["event_time"] <= timedelta(days=10)
        back[record.transaction_id] += to_minor(
            exact_amount(row["amount"]), row["currency"], digits_of(row["currency"])
        )
    whole = {
        name: to_minor(exact_amount(one["amount"]), one["currency"], digits_of(one["currency"]))
        for name, one in paid.items()
        if name in back
    }
    left = {name: amount - back[name] for name, amount in whole.items()}
    assert min(left.values()) == 0
    assert len(refunds) > len(back) > 100
    assert sum(one > 0 for one in left.values()) > len(left) / 3
    assert not set(back) & set(data.patterns["transaction_id"].to_pylist()), "a thief pays nothing back"
    ended = pc.is_in(data.results["result"], value_set=pa.array(["declined", "reversed"]))
    assert not set(back) & set(data.results.filter(ended)["transaction_id"].to_pylist())


def test_a_schema_that_takes_no_refunds_has_the_world_of_before(made: DataSet) -> None:
    refunding = replace(SCHEMA, results=(*SCHEMA.results, "refunded"))
    more = generate(SETTINGS, refunding)
    assert more.transactions.equals(made.transactions)
    assert more.results is not None
    without = more.results.filter(pc.not_equal(more.results["result"], "refunded"))
    assert without.drop_columns(["amount"]).equals(made.results)
    assert more.results["amount"].null_count == without.num_rows


def test_a_data_set_on_disk_keeps_its_results_and_loses_those_of_an_earlier_one(
    made: DataSet, tmp_path: Path
) -> None:
    write(made, tmp_path)
    found = read(tmp_path).results
    assert found is not None
    assert found.num_rows == made.results.num_rows  # type: ignore[union-attr]
    plain = generate(SETTINGS.model_copy(update={"transactions": 2_000}))
    write(plain, tmp_path)
    assert read(tmp_path).results is None
