"""An account that sends and receives has one history: what that means, case by case."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fraud.contracts import contracts_of
from fraud.errors import BadConfig
from fraud.features.batch import fold_passes
from fraud.features.events import events_of
from fraud.features.hashing import hash_text
from fraud.features.layout import layout_of
from fraud.features.passes import feature_names, passes_of, passes_of_schema
from fraud.features.plan import compile_plan
from fraud.features.snapshot import read_snapshot
from fraud.schema.default import USER
from fraud.schema.entities import Entity
from fraud.schema.features import Feature
from fraud.schema.reading import parse_schema

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXT = """
format: 1
name: transfers
fields:
  sender: {type: key, required: true}
  receiver: {type: key}
  device: {type: key}
  channel: {type: category}
filters:
  sent: side == 'out'
  received: side == 'in'
  received_online: side == 'in' && channel == 'online'
results: [reversed]
entities:
  sender: {key: sender, primary: true}
  account: {sides: {out: sender, in: receiver}}
features:
  - amount
  - {statistic: [count, sum], entity: account, side: [out, in], window: 24h}
  - {statistic: [count, sum], entity: account, side: [out, in], where: received, window: 24h}
  - {statistic: [count, sum], entity: account, side: [out, in], where: sent, window: 24h}
  - {statistic: sum, entity: account, side: out, where: received_online, window: 24h}
  - {statistic: since_last, entity: account, side: out, where: received}
  - {statistic: distinct, entity: account, side: [out, in], field: [sender, receiver], window: 24h}
  - {statistic: is_first, entity: account, side: out, field: receiver}
  - {statistic: same, entity: account, side: in, field: sender, window: 24h}
  - {statistic: fraud_share, entity: account, side: [out, in], window: 24h}
  - statistic: ratio
    of: [amount_sum_24h_by_sender_account_where_sent, amount_sum_24h_by_sender_account_where_received]
    name: passed_on
"""
SCHEMA = parse_schema(TEXT.encode(), "transfers.yaml")
PASSES = passes_of_schema(SCHEMA)
CONTRACTS = contracts_of(SCHEMA)
NAMES = feature_names(PASSES)


def transfer(sender: str, receiver: str | None, amount: float, minute: float, **more: Any) -> Any:
    """Make a transfer; its id tells what it is."""
    name = more.pop("name", f"{sender} {receiver} {amount} {minute}")
    time = START + timedelta(minutes=minute)
    return CONTRACTS.transaction(
        transaction_id=name, sender=sender, receiver=receiver, amount=amount, event_time=time, **more
    )


def label(of: Any) -> Any:
    """Call a transfer fraud, by its id and its sender alone."""
    return CONTRACTS.label(
        transaction_id=of.transaction_id, sender=of.sender, label_time=of.event_time, is_fraud=True
    )


def reversal(of: Any) -> Any:
    assert CONTRACTS.result is not None
    return CONTRACTS.result(
        transaction_id=of.transaction_id, sender=of.sender, result_time=of.event_time, result="reversed"
    )


def events(*records: Any) -> np.ndarray:
    of = events_of(SCHEMA)
    make = {
        CONTRACTS.transaction: of.of_transaction,
        CONTRACTS.label: of.of_label,
        CONTRACTS.result: of.of_result,
    }
    return np.array([make[type(record)](record) for record in records])


def vectors(*records: Any) -> list[dict[str, float]]:
    """Fold records in the order of arrival."""
    found = fold_passes(events(*records), passes=PASSES).vectors
    return [dict(zip(NAMES, vector, strict=True)) for vector in found.tolist()]


def last(*records: Any) -> dict[str, float]:
    return vectors(*records)[-1]


def test_what_an_account_received_is_seen_when_it_sends_a_moment_later() -> None:
    """In one batch: the same account stands on the other side two records before."""
    _, first, second = vectors(
        transfer("b", "a", 100.0, 0), transfer("a", "c", 60.0, 30), transfer("a", "d", 30.0, 45)
    )
    assert first["amount_sum_24h_by_sender_account_where_received"] == 100.0
    assert first["seconds_since_last_by_sender_account_where_received"] == 1_800.0
    assert first["amount_sum_24h_by_sender_account_where_sent"] == 0.0
    assert second["passed_on"] == 0.6
    assert second["count_24h_by_sender_account"] == 2.0
    assert second["count_24h_by_sender_account_where_received"] == 1.0


def test_what_a_receiver_sent_before_is_seen_on_its_side() -> None:
    found = last(transfer("a", "b", 40.0, 0), transfer("c", "a", 10.0, 5))
    assert found["amount_sum_24h_by_receiver_account_where_sent"] == 40.0
    assert found["count_24h_by_receiver_account_where_received"] == 0.0
    assert found["count_24h_by_sender_account"] == 0.0


def test_of_a_transfer_to_oneself_neither_side_sees_the_other() -> None:
    """It is one transaction of its account: it counts as sent and as received, and once without a filter."""
    first, second = vectors(transfer("a", "a", 25.0, 0), transfer("a", "b", 5.0, 1))
    for side in ("sender", "receiver"):
        assert first[f"count_24h_by_{side}_account"] == 0.0
        assert first[f"count_24h_by_{side}_account_where_received"] == 0.0
    assert second["count_24h_by_sender_account"] == 1.0
    assert second["count_24h_by_sender_account_where_sent"] == 1.0
    assert second["amount_sum_24h_by_sender_account_where_received"] == 25.0
    assert second["sender_distinct_24h_by_sender_account"] == 0.0
    assert second["receiver_distinct_24h_by_sender_account"] == 0.0


def test_a_transfer_without_a_receiver_counts_on_the_sending_side_alone() -> None:
    first, second = vectors(transfer("a", None, 7.0, 0), transfer("a", "b", 5.0, 1))
    assert all(np.isnan(value) for name, value in first.items() if "receiver_account" in name)
    assert second["count_24h_by_sender_account_where_sent"] == 1.0


def test_a_repeated_transfer_changes_neither_account() -> None:
    twice = [transfer("a", "b", 9.0, 0, name="t")] * 2
    found = last(*twice, transfer("b", "a", 1.0, 1))
    assert found["count_24h_by_sender_account_where_received"] == 1.0
    assert found["count_24h_by_receiver_account_where_sent"] == 1.0


@pytest.mark.parametrize("receiver", ["b", "a"], ids=["two accounts", "itself"])
def test_a_label_reaches_the_accounts_on_both_sides(receiver: str) -> None:
    """Though it names the sender alone: the primary knows the receiver."""
    fraud = transfer("a", receiver, 9.0, 0)
    found = last(fraud, label(fraud), transfer(receiver, "c", 1.0, 1))
    assert found["fraud_share_24h_by_sender_account"] == 1.0
    found = last(fraud, label(fraud), transfer("c", "a", 1.0, 1))
    assert found["fraud_share_24h_by_receiver_account"] == 1.0


@pytest.mark.parametrize("receiver", ["b", "a"], ids=["two accounts", "itself"])
def test_a_reversal_takes_a_transfer_out_of_both_accounts(receiver: str) -> None:
    gone = transfer("a", receiver, 9.0, 0)
    found = last(gone, reversal(gone), transfer(receiver, "a", 1.0, 1))
    assert found["amount_sum_24h_by_sender_account_where_received"] == 0.0
    assert found["count_24h_by_receiver_account_where_sent"] == 0.0


def test_a_transfer_that_comes_late_counts_at_its_own_time_for_both_accounts() -> None:
    late = transfer("b", "a", 50.0, -60)
    before, after = vectors(transfer("a", "c", 1.0, 0), late, transfer("a", "c", 1.0, 1))[::2]
    assert before["amount_sum_24h_by_sender_account_where_received"] == 0.0
    assert after["amount_sum_24h_by_sender_account_where_received"] == 50.0
    assert after["seconds_since_last_by_sender_account_where_received"] == 61 * 60.0
    (_, earlier) = vectors(transfer("a", "c", 1.0, 0), late)
    assert earlier["count_24h_by_receiver_account_where_sent"] == 0.0  # that is after it


def test_an_account_is_not_among_those_that_it_deals_with() -> None:
    found = last(
        transfer("b", "a", 1.0, 0),
        transfer("c", "a", 1.0, 1),
        transfer("a", "d", 1.0, 2),
        transfer("a", "d", 1.0, 3),
    )
    assert found["sender_distinct_24h_by_sender_account"] == 2.0
    assert found["receiver_distinct_24h_by_sender_account"] == 1.0
    assert found["receiver_is_first_by_sender_account"] == 0.0
    assert found["same_sender_count_24h_by_receiver_account"] == 2.0 - 1.0


def test_a_filter_may_read_the_side_and_the_record() -> None:
    online = transfer("b", "a", 8.0, 0, channel="online")
    found = last(online, transfer("b", "a", 4.0, 1), transfer("a", "c", 1.0, 2, channel="online"))
    assert found["amount_sum_24h_by_sender_account_where_received_online"] == 8.0


def test_a_table_gives_the_rows_of_its_records() -> None:
    """The filters of both sides are evaluated on columns as they are on a record."""
    records = [transfer("b", "a", 8.0, 0, channel="online"), transfer("a", "a", 4.0, 1)]
    table = pa.Table.from_pylist([record.model_dump() for record in records])
    found = events_of(SCHEMA).of_transactions(table)
    np.testing.assert_array_equal(found, events(*records))


def test_a_state_shows_both_sides() -> None:
    found = fold_passes(events(transfer("b", "a", 8.0, 0), transfer("a", "c", 3.0, 1)), passes=PASSES)
    shown = read_snapshot(PASSES[1].plan, found.states["account"][hash_text("a")])
    assert shown.transactions == 2
    assert shown.windows["amount_sum_24h_by_sender_account_where_received"] == 8.0
    assert shown.windows["amount_sum_24h_by_receiver_account_where_sent"] == 3.0


def test_keys_of_several_fields_meet_by_their_values() -> None:
    """A bank that both sides share is no name of the account alone, and is kept."""
    text = TEXT.replace("{out: sender, in: receiver}", "{out: [channel, sender], in: [channel, receiver]}")
    lines = [line for line in text.splitlines() if "_account" not in line and "ratio" not in line]
    text = "\n".join(line for line in lines if "name: passed_on" not in line)
    more = "\n  - {statistic: distinct, entity: account, side: out, field: channel, window: 24h}\n"
    schema = parse_schema((text + more).encode(), "joined.yaml")
    of, records = (
        events_of(schema),
        [
            transfer("b", "a", 8.0, 0, channel="x"),
            transfer("b", "a", 8.0, 1, channel="y"),
            transfer("a", "c", 1.0, 2, channel="x"),
        ],
    )
    rows = np.array([of.of_transaction(record) for record in records])
    passes = passes_of_schema(schema)
    found = dict(zip(feature_names(passes), fold_passes(rows, passes=passes).vectors[-1], strict=True))
    assert found["amount_sum_24h_by_out_account_where_received"] == 8.0
    assert found["channel_distinct_24h_by_out_account"] == 1.0


def test_a_state_of_an_entity_with_one_side_is_of_another_layout() -> None:
    account = PASSES[1].entity
    one_sided = replace(account, sides=(), key="sender")
    assert compile_plan(one_sided, (), layout_of(SCHEMA)).layout != PASSES[1].plan.layout


def test_a_primary_with_two_sides_is_refused() -> None:
    primary = Entity("account", 8, (), (), deduplicates=True, sides=(("out", "user"), ("in", "merchant")))
    with pytest.raises(BadConfig, match="the primary, account, has two sides"):
        passes_of((primary,), ())


def test_a_feature_of_no_side_is_refused() -> None:
    account = Entity("account", 8, (), (), sides=(("out", "user"), ("in", "merchant")))
    with pytest.raises(BadConfig, match="count reads the side '' of account, which has no such side"):
        passes_of((USER, account), (Feature("count", account, "1h"),))
