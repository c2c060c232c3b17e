"""Kinds: a label finds its transaction in every entity that counts its kind."""

from datetime import UTC, datetime, timedelta

import pytest

from fraud.contracts import contracts_of
from fraud.features.batch import fold_passes
from fraud.features.events import events_of, stack_events
from fraud.features.passes import passes_of_schema
from fraud.schema.reading import parse_schema

START = datetime(2026, 3, 1, tzinfo=UTC)
TEXT = """\
format: 1
name: kinds
fields:
  card: {type: key, required: true}
  shop: {type: key}
entities:
  card: {key: card, primary: true, kinds: [refund]}
  shop: {key: shop, kinds: [KINDS]}
features:
  - {statistic: fraud_share, entity: card, window: 7d}
  - {statistic: fraud_share, entity: shop, window: 7d}
"""


@pytest.mark.parametrize(
    ("kinds", "share"),
    [("refund", 1.0), ("refund, reversal", 1.0), ("purchase, refund", 1.0), ("purchase", 0.0)],
)
def test_a_label_of_a_refund_counts_where_refunds_count_also_where_purchases_do_not(
    kinds: str, share: float
) -> None:
    schema = parse_schema(TEXT.replace("KINDS", kinds).encode(), "kinds.yaml")
    contracts, writer = contracts_of(schema), events_of(schema)
    bought = [
        contracts.transaction(
            transaction_id=f"t{number}",
            card="c",
            shop="s",
            amount=1.0,
            kind="refund",
            event_time=START + timedelta(minutes=number),
        )
        for number in range(2)
    ]
    label = contracts.label(transaction_id="t0", card="c", label_time=START, is_fraud=True)
    rows = [writer.of_transaction(bought[0]), writer.of_label(label), writer.of_transaction(bought[1])]
    found = fold_passes(stack_events(rows, writer.layout.width), passes=passes_of_schema(schema))
    assert found.vectors[-1].tolist() == [1.0, share]
