"""The part ``profiles`` of a schema: what it may say, what is refused with words, what a change means."""

import pytest

from fraud.errors import BadConfig
from fraud.schema.diff import Effect, compare
from fraud.schema.reading import default_schema, parse_schema
from fraud.schema.schema import Schema

GOOD = """\
format: 1
name: told
fields:
  card: {type: key, required: true}
  shop: {type: key}
  spot: {type: place}
profiles:
  card:
    limit: {type: number, scale: 2}
    home: {type: place}
    word: {type: category}
entities:
  card: {key: card, primary: true}
  shop: {key: shop}
features:
  - {statistic: count, entity: card, window: 1h}
  - {statistic: profile_share, entity: card, profile: limit}
  - {statistic: profile_changed, entity: card, profile: [limit, home], window: [24h, 7d]}
  - {statistic: profile_same, entity: card, profile: word, field: shop}
  - {statistic: profile_distance, entity: card, profile: home}
  - {statistic: profile_is, entity: card, profile: word, equals: [vip, "Gold & more"]}
"""


def read(text: str) -> Schema:
    return parse_schema(text.encode(), "told.yaml")


def test_features_of_a_profile_have_their_names_and_add_no_window() -> None:
    schema = read(GOOD)
    assert schema.feature_names == (
        "count_1h_by_card",
        "amount_over_limit_of_card",
        "limit_changed_24h_of_card",
        "home_changed_24h_of_card",
        "limit_changed_7d_of_card",
        "home_changed_7d_of_card",
        "shop_is_word_of_card",
        "distance_from_home_of_card",
        "word_is_vip_of_card",
        "word_is_gold_more_of_card",
    )
    assert schema.entity("card").windows == ("1h",)
    assert [one.name for one in schema.entity("card").profile] == ["limit", "home", "word"]
    assert schema.entity("shop").profile == default_schema().primary.profile == ()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  card:\n    limit", "  crad:\n    limit", "no entity 'crad'; did you mean card"),
        ("limit: {type: number, scale: 2}", "limit: {type: text}", "a profile has no text; write category,"),
        (
            "limit: {type: number, scale: 2}",
            "limit: {type: zone}",
            "the transactions have no zone; write a field",
        ),
        ("limit: {type: number, scale: 2}", "limit: {type: flag, scale: 2}", "a flag has no decimals"),
        ("limit: {type: number, scale: 2}", "limit: {kind: number}", "profiles.card.limit"),
        ("    word: {type", "    home_latitude: {type", "the profile has two columns home_latitude"),
        (
            "  shop: {type: key}",
            "  shop: {type: key}\n  profile: {type: key}",
            "profile is a column of the profiles",
        ),
        (
            "entity: card, profile: limit}",
            "entity: shop, profile: limit}",
            "shop has no profile; write its fields",
        ),
        (
            "entity: card, profile: limit}",
            "entity: card, profile: limits}",
            "no field 'limits'; did you mean limit",
        ),
        (
            "entity: card, profile: limit}",
            "entity: card, profile: word}",
            "word is a category; name a number",
        ),
        ("entity: card, profile: limit}", "entity: card}", "profile_share needs profile; write profile: ..."),
        ("entity: card, window: 1h}", "entity: card, window: 1h, profile: limit}", "count takes no profile"),
        (', equals: [vip, "Gold & more"]}', "}", "profile_is needs equals; write equals: ..."),
        ('equals: [vip, "Gold & more"]', "equals: [vip, VIP]", "word_is_vip_of_card is declared twice"),
        ('equals: [vip, "Gold & more"]', "equals: [5411]", "equals"),
        ("profile: word, equals", "profile: limit, equals", "limit is a number; name"),
        (
            "  - {statistic: count, entity: card, window: 1h}",
            "  - {statistic: count, entity: card, window: 1h, equals: a}",
            "count takes no equals",
        ),
        ("  spot: {type: place}\n", "", "profile_distance needs the place of a transaction"),
    ],
)
def test_what_cannot_be_is_refused_with_words(old: str, new: str, words: str) -> None:
    assert old in GOOD
    with pytest.raises(BadConfig) as raised:
        read(GOOD.replace(old, new, 1))
    assert words in str(raised.value)
    assert str(raised.value).startswith("told.yaml:")


def test_another_profile_is_another_state_and_other_words_are_not() -> None:
    before = read(GOOD)
    more = read(GOOD.replace("    word:", "    gold: {type: flag}\n    word:"))
    told = read(
        GOOD.replace("limit: {type: number, scale: 2}", "limit: {type: number, scale: 2, description: x}")
    )
    assert Effect.REBUILD in [change.effect for change in compare(before, more)]
    assert [change.effect for change in compare(before, told)] == [Effect.NOTHING]
