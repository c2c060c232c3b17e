"""Results in a schema: filters by their names, what an entity un-counts, and what is refused with words."""

import pytest

from fraud.errors import BadConfig
from fraud.schema.diff import Effect, compare
from fraud.schema.reading import default_schema, parse_schema

TEXT = """\
format: 1
name: small
fields:
  card: {type: key, required: true}
  shop: {type: key}
  items: {type: number}
  online: {type: flag}
results: [authorised, declined, reversed]
filters:
  no_funds: result == 'declined' && reason_code in ['51', '61']
  many: items > 3
entities:
  card: {key: card, primary: true}
  spending: {key: card, uncount: [reversed, declined]}
  shop: {key: shop}
features:
  - {statistic: [count, share], entity: card, window: 1h, where: declined}
  - {statistic: sum, entity: shop, window: 7d, value: items, where: no_funds}
  - {statistic: sum, entity: spending, window: 7d}
"""
"""A schema without faults, which the tests break in one place each."""


def test_each_result_is_a_filter_and_the_primary_keeps_what_completes_a_result() -> None:
    schema = parse_schema(TEXT.encode(), "small.yaml")
    assert [one.name for one in schema.filters] == ["no_funds", "many", "authorised", "declined", "reversed"]
    assert [bool(one.results) for one in schema.filters] == [True, False, True, True, True]
    card, spending, shop = schema.entities
    assert card.filters == tuple(one.name for one in schema.filters)
    assert card.tells == ("items",)
    assert "items" in card.all_numbers
    assert (card.uncounts, spending.uncounts, shop.uncounts) == (
        ("reversed",),
        ("reversed", "declined"),
        ("reversed",),
    )


@pytest.mark.parametrize(
    ("written", "kept"),
    [("primary: true", 4_096), ("primary: true, events: 100", 100), ("primary: true, events: 65536", 65_536)],
)
def test_the_primary_takes_results_of_many_transactions_where_it_names_no_number(
    written: str, kept: int
) -> None:
    card, *others = parse_schema(TEXT.replace("primary: true", written).encode(), "small.yaml").entities
    assert card.events == kept
    assert [other.events for other in others] == [256, 256]


@pytest.mark.parametrize(
    ("told", "holds", "holds_no_more"),
    [
        (("declined", "51"), {"no_funds", "declined"}, {"authorised"}),
        (("declined", "05"), {"declined"}, {"no_funds", "authorised"}),
        (("declined", None), {"declined"}, {"no_funds", "authorised"}),
        (("authorised", None), {"authorised"}, {"no_funds", "declined"}),
        (("reversed", None), {"reversed"}, set()),
    ],
)
def test_a_result_decides_the_filters_of_its_group_alone(
    told: tuple[str, str | None], holds: set[str], holds_no_more: set[str]
) -> None:
    schema = parse_schema(TEXT.encode(), "small.yaml")
    bits = schema.bits_of_result(*told)
    named = [{one.name for at, one in enumerate(schema.filters) if of >> at & 1} for of in bits]
    assert named == [holds, holds_no_more]


def test_a_schema_without_results_keeps_nothing_for_them() -> None:
    for entity in default_schema().entities:
        assert (entity.results, entity.uncounts, entity.tells) == (False, (), ())
    assert default_schema().results == ()


def test_another_result_needs_states_from_the_log() -> None:
    old = parse_schema(TEXT.encode(), "old.yaml")
    new = parse_schema(
        TEXT.replace("[authorised, declined, reversed]", "[declined, reversed]").encode(), "new.yaml"
    )
    found = {change.what: change.effect for change in compare(old, new)}
    assert found["entity card keeps something else of its events"] is Effect.REBUILD
    assert found["results is different"] is Effect.NOTHING


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "results: [authorised",
            "results: [gone",
            "results.0: no such value 'gone'; write one of authorised",
        ),
        ("uncount: [reversed, declined]", "uncount: [refunded]", "no result 'refunded'"),
        ("result == 'declined' &&", "result == 'refunded' &&", "no result 'refunded'"),
        ("result == 'declined' &&", "result in ['declined', 'reversed'] &&", "reads `result` of one group"),
        (
            "result == 'declined' && reason",
            "reason",
            "reads `result` of one group and, with it, `reason_code`",
        ),
        ("&& reason_code in ['51', '61']", "&& items > 3", "no field of the record; write two filters"),
        ("no_funds: result", "declined: result", "the result of this name is a filter already"),
        ("items: {type: number}", "result: {type: number}", "result is a column of the results"),
        (
            "window: 1h, where: declined",
            "window: 1h, where: reversed",
            "`uncount`, or give the feature to another",
        ),
        ("results: [authorised, declined, reversed]\n", "", "the schema takes no results; name them"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_write_instead(old: str, new: str, words: str) -> None:
    assert old in TEXT
    with pytest.raises(BadConfig) as raised:
        parse_schema(TEXT.replace(old, new, 1).encode(), "small.yaml")
    assert words in str(raised.value)
    assert str(raised.value).startswith("small.yaml:")
