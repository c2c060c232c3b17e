"""Results: what is told of an earlier transaction changes what follows, exactly, and in any order."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fraud.contracts import Contracts, Label, Result, Transaction, contracts_of, parse_record
from fraud.errors import BadRecord
from fraud.features import kernel
from fraud.features.batch import FoldedPasses, fold_passes
from fraud.features.codec import newest_us
from fraud.features.events import events_of, stack_events
from fraud.features.passes import feature_names, passes_of_schema
from fraud.schema.reading import parse_schema
from fraud.schema.schema import Schema

TEXT = b"""\
format: 1
name: results
fields:
  card: {type: key, required: true}
  shop: {type: key}
  points: {type: number}
results: [authorised, declined, reversed, refunded]
filters:
  small: amount < 5
  no_funds: result == 'declined' && reason_code in ['51', '61']
  unsure: result != 'authorised' && result != 'declined' || reason_code == '05'
entities:
  card: {key: card, primary: true, events: 64}
  spending: {key: card, events: 64, uncount: [reversed, declined]}
  shop: {key: shop, events: 64}
  all: {key: shop, events: 16, uncount: []}
features:
  - {statistic: [count, sum, mean, std, max], entity: card, window: [1h, 7d]}
  - {statistic: [count, share], entity: card, window: [1h, 7d], where: declined}
  - {statistic: [count, sum], entity: card, window: 7d, where: no_funds}
  - {statistic: distinct, entity: card, field: shop, window: 7d}
  - {statistic: [since_last, since_fraud], entity: card}
  - {statistic: [same_amount, hour_deviation], entity: card, window: 7d}
  - {statistic: fraud_share, entity: card, window: 7d}
  - {statistic: [count, sum, max], entity: spending, window: [1h, 7d]}
  - {statistic: [count, sum, fraud_share], entity: shop, window: 7d}
  - {statistic: sum, entity: shop, window: 7d, where: declined, value: points}
  - {statistic: distinct, entity: shop, field: card, window: 7d}
  - {statistic: [count, share], entity: all, window: 7d, where: reversed}
  - {statistic: count, entity: all, window: 7d, where: refunded}
"""
SCHEMA = parse_schema(TEXT, "results.yaml")
PASSES = passes_of_schema(SCHEMA)
NAMES = feature_names(PASSES)
CONTRACTS: Contracts = contracts_of(SCHEMA)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
Records = list[Transaction | Result | Label]
TOLD: list[list[tuple[str, ...]]] = [
    [],
    [("authorised",)],
    [("declined", "51")],
    [("authorised",), ("declined", "05")],
    [("declined", "51"), ("refunded",)],
    [("refunded",), ("reversed",)],
]
"""Results of one transaction; none takes back one that takes it out of a history, as that is final."""


def bought(number: int, **fields: Any) -> Transaction:
    given = {"card": "c", "shop": "s", "amount": 10.0, "event_time": START + timedelta(minutes=number)}
    return CONTRACTS.transaction(transaction_id=f"t{number}", **given | fields)


def told(of: Transaction | str, result: str, code: str | None = None, **fields: Any) -> Result:
    assert CONTRACTS.result is not None
    name = of if isinstance(of, str) else of.transaction_id
    given = {"card": "c" if isinstance(of, str) else of.card, "result_time": START + timedelta(hours=1)}  # type: ignore[attr-defined]
    return CONTRACTS.result(transaction_id=name, result=result, reason_code=code, **given | fields)


def fold(records: Records, schema: Schema = SCHEMA) -> FoldedPasses:
    writer = events_of(schema)
    rows = [
        writer.of_result(r)
        if isinstance(r, Result)
        else writer.of_label(r)
        if isinstance(r, Label)
        else writer.of_transaction(r)
        for r in records
    ]
    return fold_passes(stack_events(rows, writer.layout.width), passes=passes_of_schema(schema))


def last(records: Records) -> dict[str, float]:
    return dict(zip(NAMES, fold(records).vectors[-1].tolist(), strict=True))


def of_transactions(records: Records) -> np.ndarray:
    """Fold; returns the vectors of the transactions by their bits, each once."""
    found = fold(records)
    kept = [i for i, r in enumerate(records) if isinstance(r, Transaction) and found.outcomes[i] == 0.0]
    return found.vectors[kept].view(np.int64)


def drawn(seed: int, length: int = 30) -> list[Transaction]:
    """Draw transactions of a few cards; fewer than any entity keeps, so that none is in a tile."""
    dice = random.Random(seed)
    return [
        bought(
            number,
            card=dice.choice(["c", "d"]),
            shop=dice.choice(["s", "s", "z", None]),
            amount=dice.choice([1.0, 10.0, 99.5]),
            points=dice.choice([None, 3.0]),
        )
        for number in range(length)
    ]


def test_a_decline_counts_from_the_moment_at_which_it_is_told() -> None:
    one, two = bought(1), bought(2)
    assert last([one, two])["count_1h_by_card_where_declined"] == 0.0
    found = last([one, told(one, "declined", "51"), two])
    assert found["count_1h_by_card_where_declined"] == found["count_7d_by_card_where_no_funds"] == 1.0
    assert (found["count_1h_by_card"], found["count_1h_by_spending"]) == (1.0, 0.0)


def test_a_result_takes_the_place_of_an_earlier_one_of_its_group_alone() -> None:
    one, two = bought(1), bought(2)
    results = [told(one, "declined", "51"), told(one, "refunded"), told(one, "authorised")]
    found = last([one, *results, two])
    assert found["count_1h_by_card_where_declined"] == found["count_7d_by_card_where_no_funds"] == 0.0
    assert found["count_7d_by_all_where_refunded"] == 1.0


@pytest.mark.parametrize("seed", range(6))
def test_what_is_reversed_counts_no_more_as_if_it_had_not_come(seed: int) -> None:
    """But where a feature asks for it: of the entity ``all``."""
    dice = random.Random(seed)
    records = drawn(seed)
    gone = dice.sample(records[:25], 6)
    rest = [record for record in records if record not in gone]
    with_them: Records = []
    for record in records:
        with_them += [record, *([told(record, "reversed")] if record in gone else [])]
    found = [i for i, record in enumerate(with_them) if record in rest]
    asked = [name.endswith("reversed") for name in NAMES]
    vectors, plain = fold(with_them).vectors[found].view(np.int64), of_transactions(list(rest))
    assert (vectors[:, ~np.array(asked)] == plain[:, ~np.array(asked)]).all()
    assert (vectors[:, asked] != plain[:, asked]).any()


@pytest.mark.parametrize("seed", range(6))
def test_a_result_that_comes_before_its_transaction_counts_as_one_that_comes_after(seed: int) -> None:
    dice = random.Random(seed)
    after: Records = []
    before: Records = []
    for record in drawn(seed):
        results = [told(record, *words) for words in dice.choice(TOLD)]
        after += [record, *results]
        before += [*results, record]
    assert (of_transactions(after) == of_transactions(before)).all()


def test_what_is_told_twice_changes_nothing_also_of_a_transaction_in_tiles() -> None:
    """Entity ``all`` keeps 16 one by one; the reversed one is the first of 30."""
    records: Records = [*drawn(3), told("t0", "reversed", card=drawn(3)[0].card)]  # type: ignore[attr-defined]
    once, twice = fold(records), fold([*records, records[-1]])
    assert once.outcomes[-1] != 0.0
    assert twice.outcomes[-1] == 0.0
    assert twice.states == once.states


def test_what_has_left_the_kept_events_is_uncounted_from_tiles_by_amount_and_number() -> None:
    records = [bought(n, shop="s", card=f"c{n % 2}", amount=n + 1.0, points=7.0) for n in range(80)]
    base = fold(list(records))
    names = {name: i for i, name in enumerate(NAMES)}
    probe = bought(99, card="p", shop="s")
    plain = dict(zip(NAMES, fold([*records, probe]).vectors[-1].tolist(), strict=True))
    # The shop keeps 64 of 80: t0 is in its tiles; its card still has it.
    found = last([*records, told(records[0], "declined"), probe])
    assert found["points_sum_7d_by_shop_where_declined"] == 7.0
    found = last([*records, told(records[0], "declined"), told(records[0], "reversed"), probe])
    assert plain["count_7d_by_shop"] - found["count_7d_by_shop"] == 1.0
    assert plain["amount_sum_7d_by_shop"] - found["amount_sum_7d_by_shop"] == 1.0
    assert found["points_sum_7d_by_shop_where_declined"] == 0.0
    assert len(names) == base.vectors.shape[1]


def test_a_label_of_what_was_reversed_changes_nothing_also_in_tiles() -> None:
    """Told before the reversal it goes with its transaction; told after it, it finds none."""
    bought_: Records = [bought(n, card=f"c{n % 2}") for n in range(80)]
    label = CONTRACTS.label(transaction_id="t0", card="c0", label_time=START, is_fraud=True)
    gone = told("t0", "reversed", card="c0")
    for notices, share in (([label], 1 / 80), ([label, gone], 0.0), ([gone, label], 0.0)):
        assert last([*bought_, *notices, bought(99, card="p")])["fraud_share_7d_by_shop"] == share


def test_a_reversed_transaction_that_comes_again_is_still_a_duplicate() -> None:
    one = bought(1)
    found = fold([one, told(one, "reversed"), one])
    assert found.outcomes[-1] == kernel.DUPLICATE


def test_the_65th_transaction_whose_result_waits_is_refused_and_the_64_before_it_count() -> None:
    early = [told(f"t{number}", "declined") for number in range(65)]
    found = fold([*early, told("t3", "refunded")])
    assert found.outcomes.tolist() == [0.0] * 64 + [kernel.NO_ROOM, 0.0]
    for number, declined in ((0, 1.0), (63, 1.0), (64, 0.0)):
        found_last = last([*early, bought(number), bought(99)])
        assert found_last["count_7d_by_card_where_declined"] == declined


def test_results_whose_transactions_did_not_come_within_the_windows_make_room_for_others() -> None:
    """They stand in the table of results; 64 that never come must not keep a card's others out for ever."""
    early = [told(f"never{number}", "declined") for number in range(64)]
    then = START + timedelta(days=10)  # windows of 7 days, and 2 for what comes late
    later = told("t1", "declined", result_time=then)
    assert fold([*early, later]).outcomes[-1] == 0.0
    found = last([*early, later, bought(1, event_time=then), bought(2, event_time=then)])
    assert found["count_7d_by_card_where_declined"] == 1.0
    sooner = told("t1", "declined", result_time=START + timedelta(days=9))
    assert fold([*early, sooner]).outcomes[-1] == kernel.NO_ROOM


def test_a_refused_result_counts_when_it_is_sent_again_after_its_transaction() -> None:
    early = [told(f"t{number}", "declined") for number in range(65)]
    found = last([*early, bought(64), early[64], bought(99)])
    assert found["count_7d_by_card_where_declined"] == 1.0


def test_a_result_of_what_the_card_keeps_no_more_is_refused_and_changes_no_state() -> None:
    """The card keeps 64 of 80; without its time, t0 could be a transaction that is still to come."""
    records: Records = [bought(n, shop=f"s{n % 3}") for n in range(80)]
    found = fold([*records, told("t0", "reversed", event_time=START)])
    assert found.outcomes[-1] == kernel.NOT_KEPT
    assert found.states == fold(records).states
    assert fold([*records, told("t0", "reversed")]).outcomes[-1] == 0.0
    of_kept = told("t40", "reversed", event_time=START + timedelta(minutes=40))
    assert fold([*records, of_kept]).outcomes[-1] not in {0.0, kernel.NOT_KEPT}


def test_an_entity_that_keeps_very_many_takes_results_of_each_exactly() -> None:
    """Beyond 4,096 transactions: what is reversed then is gone as if it had not come, and nothing else is."""
    schema = parse_schema(
        TEXT.replace(b"primary: true, events: 64", b"primary: true, events: 20000"), "many.yaml"
    )
    bought_: Records = [bought(n / 10, shop=f"s{n % 3}", amount=1.0 + n % 7) for n in range(6_000)]
    gone, probe = bought_[:1] + bought_[1_234:1_235] + bought_[5_900:5_901], bought(601)
    told_of = [
        told(one, "reversed", event_time=one.event_time) for one in gone if isinstance(one, Transaction)
    ]
    rest = [one for one in bought_ if one not in gone]
    with_them, without = (
        fold(records, schema).vectors[-1] for records in ([*bought_, *told_of, probe], [*rest, probe])
    )
    of_card = [at for at, name in enumerate(NAMES) if name.endswith("_by_card")]
    assert (with_them[of_card].view(np.int64) == without[of_card].view(np.int64)).all()
    assert dict(zip(NAMES, with_them.tolist(), strict=True))["count_7d_by_card"] == 5_997.0


def test_results_of_old_transactions_take_no_room_from_those_that_come_first() -> None:
    old = [told(f"o{n}", "refunded", event_time=START - timedelta(days=40)) for n in range(100)]
    found = last([bought(1), *old, told("t2", "declined"), bought(2), bought(3)])
    assert found["count_7d_by_card_where_declined"] == 1.0


def test_a_result_that_waits_makes_its_card_as_old_as_itself_so_that_the_store_keeps_it() -> None:
    (state,) = fold([told("t1", "declined")]).states["card"].values()
    assert newest_us(state) == (START + timedelta(hours=1)).timestamp() * 1e6


def test_a_table_of_results_gives_the_rows_of_its_records() -> None:
    results = [
        told("t1", "declined", "51"),
        told("t2", "reversed"),
        told("t3", "authorised", event_time=START),
    ]
    table = pa.Table.from_pylist([record.model_dump(exclude={"schema_version"}) for record in results])
    table = table.set_column(
        table.column_names.index("event_time"),
        "event_time",
        table["event_time"].cast(pa.timestamp("us", tz="UTC")),
    )
    writer = events_of(SCHEMA)
    expected = stack_events([writer.of_result(record) for record in results], writer.layout.width)
    np.testing.assert_array_equal(writer.of_results(table), expected)


# --- refunds of a part


def paid_back(of: Transaction | str, amount: float, minute: int = 60, **fields: Any) -> Result:
    return told(of, "refunded", amount=amount, result_time=START + timedelta(minutes=minute), **fields)


UNFLAGGED = [at for at, name in enumerate(NAMES) if not name.endswith("_where_refunded")]
"""Features that do not look at the flag of a refund itself."""
OF_HISTORY = [at for at in UNFLAGGED if not NAMES[at].startswith("same_amount")]
"""And not at the transaction's own amount."""


@pytest.mark.parametrize("seed", range(6))
def test_a_refund_leaves_of_a_transaction_what_had_been_bought_for_less(seed: int) -> None:
    """Several refunds add up, in any order, before and after their transaction, each told twice."""
    dice = random.Random(seed)
    records = drawn(seed)
    chosen = {id(record) for record in dice.sample([r for r in records[:25] if r.amount > 5], 6)}
    refunded: Records = []
    cheaper: Records = []
    for record in records:
        is_chosen = id(record) in chosen
        cheaper.append(record.model_copy(update={"amount": record.amount - 3.0}) if is_chosen else record)
        refunds = [paid_back(record, 1.0), paid_back(record, 1.5, 61), paid_back(record, 0.5, 62)]
        refunds = dice.sample(refunds, 3) if is_chosen else []
        first = dice.randint(0, len(refunds))
        refunded += [*refunds[:first], record, *refunds, *refunds[:1]]
    found, plain = of_transactions(refunded), of_transactions(cheaper)
    rows = [at for at, record in enumerate(records) if id(record) not in chosen]
    assert (found[np.ix_(rows, UNFLAGGED)] == plain[np.ix_(rows, UNFLAGGED)]).all()
    assert (found[:, OF_HISTORY] == plain[:, OF_HISTORY]).all()
    assert (of_transactions(list(records)) != plain).any()


def test_no_refund_takes_out_more_than_there_is() -> None:
    one = bought(1, amount=10.0)
    found = last([one, paid_back(one, 7.0), paid_back(one, 7.0, 61), bought(2, amount=1.0), bought(3)])
    assert (found["amount_sum_7d_by_card"], found["count_7d_by_card"]) == (1.0, 2.0)
    assert found["amount_max_7d_by_card"] == 1.0


def test_a_refund_without_an_amount_is_a_flag_alone() -> None:
    one = bought(1, amount=10.0)
    found = last([one, told(one, "refunded"), bought(2)])
    assert found["amount_sum_7d_by_card"] == 10.0
    assert found["count_7d_by_all_where_refunded"] == 1.0


def test_a_refund_of_what_is_in_tiles_is_exact_in_sums_and_leaves_the_greatest() -> None:
    """Entity ``shop`` keeps 64 of 80, of which the card of the first keeps it one by one."""
    records = [bought(n, shop="s", card=f"c{n % 2}", amount=n + 2.0) for n in range(80)]
    probe = bought(99, card="p", shop="s")
    plain = last([*records, probe])
    found = last([*records, paid_back(records[0], 1.5), paid_back(records[0], 1.5), probe])
    assert plain["amount_sum_7d_by_shop"] - found["amount_sum_7d_by_shop"] == 1.5
    assert plain["count_7d_by_shop"] == found["count_7d_by_shop"]
    found = last([*records, paid_back(records[0], 1.5), told(records[0], "reversed"), probe])
    assert plain["amount_sum_7d_by_shop"] - found["amount_sum_7d_by_shop"] == 2.0


def test_a_card_remembers_64_refunds_and_refuses_one_more_until_a_transaction_has_left() -> None:
    """The card keeps 64 one by one: of the 66th transaction on, the first have left with their refunds."""
    records: Records = [bought(n) for n in range(64)]
    refunds = [paid_back(f"t{n % 64}", 0.01, n) for n in range(65)]
    assert fold([*records, *refunds]).outcomes[-1] == kernel.NO_ROOM
    assert fold([*records, *refunds[:64], refunds[0]]).outcomes[-1] == 0.0
    later: Records = [bought(n) for n in (64, 65)]
    assert fold([*records, *refunds[:64], *later, paid_back("t9", 0.01, 99)]).outcomes[-1] not in {
        0.0,
        kernel.NO_ROOM,
    }


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"result": "declined", "amount": 1.0}, "amount: only a result refunded has an amount, not declined"),
        ({"amount": 0.0}, "amount: must be above 0"),
        ({"amount": -1.0}, "amount"),
        ({"amount": 1.005}, "an amount has 2 digits, got 3"),
        ({"amount": "1.00"}, "amount"),
        ({"amount": 1.0, "currency": "EUR"}, "the schema has no part `money`"),
    ],
)
def test_a_wrong_refund_is_refused_with_its_field(fields: dict[str, Any], words: str) -> None:
    assert CONTRACTS.result is not None
    given = {"transaction_id": "t", "card": "c", "result": "refunded", "result_time": START.isoformat()}
    with pytest.raises(BadRecord, match=words):
        parse_record(CONTRACTS.result, json.dumps(given | fields).encode())
