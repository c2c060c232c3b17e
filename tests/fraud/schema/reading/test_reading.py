"""The schema's file: the packaged one is the default; what is wrong is said with its place and a way out."""

import pickle
from pathlib import Path

import pytest

from fraud.errors import BadConfig
from fraud.features.passes import passes_of_schema
from fraud.schema.reading import DEFAULT, default_schema, parse_schema, read_schema
from fraud.schema.schema import Schema

SMALL = """\
format: 1
name: small
fields:
  card: {type: key, required: true}
  email: {type: key}
  items: {type: number, scale: 1}
  opened: {type: time}
filters:
  many: items >= 3
entities:
  card: {key: card, primary: true}
  email: {key: email}
features:
  - amount
  - {statistic: count, entity: card, window: [1h, 7d]}
  - {statistic: distinct, entity: email, field: card, window: 24h}
"""
"""A schema without faults, which the tests break in one place each."""


def columns_of(schema: Schema) -> dict[str, slice]:
    """By entity: its columns of the vector."""
    return {one.name: slice(one.first, one.end) for one in passes_of_schema(schema)}


def test_the_packaged_schema_is_the_default_and_reads_as_one_object() -> None:
    schema = default_schema()
    assert read_schema(None) is schema
    assert pickle.loads(pickle.dumps(schema)) is schema  # noqa: S301
    assert [entity.name for entity in schema.entities] == ["user", "merchant"]
    assert schema.key_names == ("user_id", "merchant_id")
    assert len(schema.feature_names) == len(set(schema.feature_names)) == 88
    assert columns_of(schema) == {"user": slice(0, 55), "merchant": slice(55, 88)}


def test_the_vector_is_ordered_by_entity_whatever_the_order_in_the_file() -> None:
    text = SMALL.replace("  - amount\n", "") + "  - amount\n"
    schema = parse_schema(text.encode(), "small.yaml")
    assert schema.feature_names == (
        "count_1h_by_card",
        "count_7d_by_card",
        "transaction_amount",
        "card_distinct_24h_by_email",
    )
    assert columns_of(schema) == {"card": slice(0, 3), "email": slice(3, 4)}


def test_the_version_changes_with_the_features_and_not_with_words_for_people() -> None:
    of = lambda text: parse_schema(text.encode(), "s.yaml")  # noqa: E731
    small = of(SMALL)
    assert of(SMALL.replace("name: small", "name: other")).version == small.version
    longer = of(SMALL.replace("[1h, 7d]", "[1h, 24h]"))
    assert longer.version != small.version
    assert longer.features_version != small.features_version
    other = of(SMALL.replace("items >= 3", "items >= 4"))
    assert other.version != small.version


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "type: key, required: true",
            "type: keys, required: true",
            "s.yaml:4:16: fields.card.type: no such value 'keys'; did you mean key?",
        ),
        (
            "{key: email}",
            "{key: email, primary: true}",
            "12:10: entities.email: card and email are both primary",
        ),
        (", primary: true", "", "entities: no entity is primary; write primary: true for exactly one"),
        (
            "items >= 3",
            "itemz >= 3",
            "9:9: filters.many: no field 'itemz' (character 1); did you mean items?",
        ),
        ("items >= 3", "card < 3", "filters.many: card is a key: compare it with == or !=, not <"),
        (
            "items >= 3",
            "items == 'x'",
            "filters.many: \"'x'\" at character 10: items is a number: write a number",
        ),
        (
            "  - amount\n",
            "  - {statistic: ripe_fraud_share, entity: card, window: 7d, base: 7d}\n",
            "features.0.window: 7d reaches no further back than the base, 7d; write a longer window",
        ),
        (
            "[1h, 7d]",
            "[1h, 91d]",
            "features.1.window: 91d is longer than 90d, the longest window that is kept",
        ),
        (
            "[1h, 7d]",
            "[1h, 7]",
            "features.1.window.1: '7' is no window; write minutes, hours or days, e.g. 30m, 24h or 7d",
        ),
        (
            "statistic: count, entity: card, window: [1h, 7d]",
            "statistic: velocity, entity: card, window: 1h, base: 91d",
            "features.1.base: 91d is longer than 90d, the longest window that is kept; write 90d or less",
        ),
        (
            "card: {type: key, required: true}",
            "card: key",
            "write names with values here, `name: value`, e.g. of type, ",
        ),
        ("type: time}", "required: true}", "fields.opened.type: type is missing; write type: ..."),
        (
            "  items:",
            "  Items:",
            "fields.Items: 'Items' is no name; write up to 40 small letters, digits and _",
        ),
        (
            "entity: email, field",
            "entity: zz, field",
            "features.2.entity: no entity 'zz'; write one of card, email",
        ),
        ("field: card, window", "field: crd, window", "features.2.field: no field 'crd'; did you mean card?"),
        (
            "statistic: count",
            "statistic: cuont",
            "15:17: features.1.statistic: no statistic 'cuont'; did you mean count?",
        ),
        (
            "entity: email, field",
            "entity: mail, field",
            "features.2.entity: no entity 'mail'; did you mean email?",
        ),
        (
            "field: card, window",
            "field: items, window",
            "features.2.field: items is a number; name a category or key here",
        ),
        ("field: card, window: 24h", "window: 24h", "features.2: distinct needs field; write field: ..."),
        (
            "- amount",
            "- {statistic: amount, window: 1h}",
            "features.0.window: amount takes no window; leave it out",
        ),
        (
            "- amount",
            "- amount\n  - amount",
            "features.1: transaction_amount is declared twice; leave one out",
        ),
        ("items:", "is_fraud:", "fields.is_fraud: is_fraud is a column of the platform; rename the field"),
        ("items:", "amount:", "fields.amount: every schema has this field; leave it out"),
        (
            "  items:",
            "  card_id: {type: key}\n  items:",
            "features would call it card, as card; rename one of them",
        ),
        (
            "type: key, required: true",
            "type: key",
            "entities.card.key: card may be missing; write required: true",
        ),
        ("name: small", "nane: small", "2:7: nane: there is no such setting; did you mean name?"),
        (
            "key: email}",
            "key: email, evnts: 16}",
            "entities.email.evnts: there is no such setting; did you mean events?",
        ),
        (
            "entity: email, field",
            "entity: [email, card], field",
            "features.2.entity: write one name here, not the list email, card; or write",
        ),
        ("scale: 1", "scale: 9", "fields.items.scale: "),
        ("type: time", "type: time, scale: 2", "fields.opened.scale: a time has no decimals; leave it out"),
        ("type: time", "type: time, pattern: '('", "fields.opened.pattern: no regular expression: "),
        (
            "type: time",
            "type: time, pattern: '(?=a)b'",
            "fields.opened.pattern: records cannot be checked by it (error: look-around",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(old: str, new: str, said: str) -> None:
    assert SMALL.count(old) == 1, "the case breaks one place"
    with pytest.raises(BadConfig) as caught:
        parse_schema(SMALL.replace(old, new).encode(), "s.yaml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("s.yaml:")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"the schema .*none\.yaml cannot be read: No such file"):
        read_schema(tmp_path / "none.yaml")


def test_the_packaged_file_is_in_the_package() -> None:
    assert DEFAULT.is_file()
