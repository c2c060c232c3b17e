"""The world in the words of a schema: every declared column, by the contract, with the same truth."""

import math

import pyarrow.compute as pc

from fraud.contracts import contracts_of
from fraud.features.events import events_of
from fraud.schema.reading import default_schema, parse_schema
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings

SETTINGS = GeneratorSettings(transactions=3_000, users=300, merchants=100)
SHOP = b"""\
format: 1
name: shop
fields:
  card: {type: key, required: true}
  email: {type: key}
  device: {type: key}
  ip: {type: key}
  terminal: {type: key}
  mcc: {type: category}
  entry_mode: {type: category}
  is_card_present: {type: flag}
  billing_country: {type: category, pattern: "[A-Z]{2}"}
  items: {type: number, scale: 1}
  account_opened: {type: time}
  shelf: {type: category, required: true}
  remark: {type: text}
  where: {type: place}
filters:
  abroad: billing_country != 'DE' && is_card_present == false
  many: items >= 3
entities:
  card: {key: card, primary: true}
  pair: {key: [card, terminal]}
features: [amount]
"""


def test_a_schema_s_columns_keep_its_contract_and_the_truth() -> None:
    schema = parse_schema(SHOP, "shop.yaml")
    made, plain = generate(SETTINGS, schema), generate(SETTINGS)
    names = [name for field in schema.fields for name in field.names if name != "kind"]  # all are purchases
    assert made.transactions.column_names == names
    for name in ("transaction_id", "event_time", "amount"):
        assert made.transactions[name] == plain.transactions[name]
    for name in ("transaction_id", "is_fraud", "label_time"):
        assert made.labels[name] == plain.labels[name]
    assert pc.count_distinct(made.transactions["ip"]).as_py() > 100
    model = contracts_of(schema)
    for row in made.transactions.slice(0, 200).to_pylist():
        model.transaction(**row)
    for row in made.labels.slice(0, 200).to_pylist():
        model.label(**row)


def test_a_table_s_events_are_those_of_its_records() -> None:
    schema = parse_schema(SHOP, "shop.yaml")
    table = generate(SETTINGS, schema).transactions.slice(0, 500)
    events, writer = events_of(schema).of_transactions(table), events_of(schema)
    model = contracts_of(schema).transaction
    for row, event in zip(table.to_pylist(), events.tolist(), strict=True):
        one = writer.of_transaction(model(**row))
        assert all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(one, event, strict=True))


def test_the_packaged_schema_changes_nothing() -> None:
    assert generate(SETTINGS, default_schema()) == generate(SETTINGS)
