"""A schema's file decides what its entities keep: each feature that it asks for can be computed."""

import numpy as np

from fraud.features.events import events_of
from fraud.features.plan import compile_plan
from fraud.schema.entities import Entity
from fraud.schema.reading import default_schema, parse_schema

OWN = b"""
format: 1
name: shop
fields:
  card_id: {type: key, required: true}
  email: {type: key}
  terminal: {type: key}
  mcc: {type: category}
  items: {type: number}
  weight: {type: number, scale: 3}
  is_online: {type: flag}
  opened_at: {type: time}
filters:
  online: is_online == true
entities:
  card: {key: card_id, primary: true, events: 32}
  mail: {key: email}
  spot: {key: [card_id, terminal]}
features:
  - {statistic: amount}
  - {statistic: number, value: weight}
  - {statistic: age, field: opened_at}
  - {statistic: [sum, mean, min], entity: card, window: [30m, 90d], value: items, where: online}
  - {statistic: share, entity: card, window: 2h, where: online}
  - {statistic: [is_usual, same], entity: card, window: 7d, field: mcc}
  - {statistic: trend, entity: mail, window: 1h, base: 7d, value: weight}
  - {statistic: last, entity: mail, value: items}
  - {statistic: [median, percentile], entity: mail, window: 24h, percent: 90}
  - {statistic: distinct, entity: mail, window: 24h, field: card_id}
  - {statistic: count, entity: spot, window: 10m}
  - {statistic: ripe_fraud_share, entity: spot, window: 60d, base: 14d}
"""


def test_the_packaged_schema_keeps_what_the_default_table_keeps():
    schema = default_schema()
    assert schema.entities == (
        Entity(
            "user",
            events=512,
            distinct=("merchant", "category", "country"),
            known=(("merchant", 128), ("category", 32), ("country", 16), ("device", 16)),
            places=True,
            deduplicates=True,
            hands_on=("merchant",),
        ),
        Entity("merchant", events=256, distinct=("user",), known=()),
    )
    assert schema.features_version == "6f9ff535573f", "a model that fits no table any more"


def test_every_feature_of_an_own_file_is_compiled():
    schema = parse_schema(OWN, "shop.yaml")
    layout = events_of(schema).layout
    card, mail, spot = schema.entities
    assert card.windows == ("30m", "2h", "7d", "90d")
    assert card.measures == (("items", "online"), ("", "online"))
    assert (card.kept, card.key_name) == (("mcc", "email", "card+terminal"), "card")
    assert card.hands_on == ("email", "card+terminal"), "a label may leave them out"
    assert mail.hands_on == spot.hands_on == ()
    assert (mail.windows, mail.numbers, mail.measures) == (("1h", "24h", "7d"), ("items",), (("weight", ""),))
    assert (spot.windows, spot.key_name) == (("10m", "60d"), "card+terminal")
    names = []
    for entity in schema.entities:
        plan = compile_plan(entity, schema.features_of(entity), layout)
        names += [feature.name for feature in plan.features]
        assert np.isfinite(plan.layout)
    assert names == list(schema.feature_names)
    assert "items_mean_30m_by_card_where_online" in names
