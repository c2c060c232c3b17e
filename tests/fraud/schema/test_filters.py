"""Filters: one record and a table's columns give the same answer, by three-valued logic."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.schema.fields import Field, FieldType
from fraud.schema.filters import BadCondition, Filter, parse_condition

FIELDS = {
    "channel": Field("channel", FieldType.CATEGORY),
    "items": Field("items", FieldType.NUMBER),
    "present": Field("present", FieldType.FLAG),
    "opened": Field("opened", FieldType.TIME),
}
TYPES = {"channel": pa.string(), "items": pa.float64(), "present": pa.bool_()}


def made(text: str) -> Filter:
    return Filter("f", text, parse_condition(text, FIELDS))


@pytest.mark.parametrize(
    ("text", "record", "holds"),
    [
        ("channel == 'online'", {"channel": "online"}, True),
        ("channel != 'online'", {"channel": None}, False),
        ("!(channel == 'online')", {"channel": None}, False),
        ("channel == 'a' || items > 2", {"channel": None, "items": 3.0}, True),
        ("channel == 'a' && items > 2", {"channel": None, "items": 1.0}, False),
        ("!has(channel)", {"channel": None}, True),
        ("channel in ['a', 'b']", {"channel": "b"}, True),
        ("present == false", {"present": False}, True),
        ('items >= -1.5 && (present == true || channel == "x")', {"items": -1.5, "present": True}, True),
    ],
)  # fmt: skip
def test_a_filter_holds_only_where_it_is_true(text: str, record: dict[str, object], holds: bool) -> None:
    assert made(text).holds(record) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("channel =", "'=' at character 9 has no meaning here"),
        ("channel", "the condition ends too early"),
        ("channel == online", "'online' at character 12: channel is a category: write text in quotes"),
        ("opened == 'x'", "opened is a time, which a filter cannot compare"),
        ("channel == 'a' 'b'", "at character 16: write && or || before it"),
        ("(channel == 'a'", "the end at character 16: write ) here"),
        ("present == 1", "'1' at character 12: present is a flag: write true or false"),
    ],
)
def test_a_condition_that_cannot_be_read_says_why(text: str, said: str) -> None:
    with pytest.raises(BadCondition) as caught:
        parse_condition(text, FIELDS)
    assert said.replace("write text", "write a text") in str(caught.value)


LEAVES = st.sampled_from(
    [
        "channel == 'a'",
        "channel != 'b'",
        "channel in ['a', 'c']",
        "items > 1",
        "items <= 0.5",
        "items in [1, 2]",
        "present == true",
        "present != true",
        "has(channel)",
        "has(items)",
    ]
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda below: st.one_of(
        below.map(lambda one: f"!({one})"),
        st.tuples(below, st.sampled_from(["&&", "||"]), below).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
    ),
    max_leaves=6,
)
RECORDS = st.fixed_dictionaries(
    {
        "channel": st.sampled_from([None, "a", "b", "c"]),
        "items": st.sampled_from([None, 0.0, 0.5, 1.0, 2.0]),
        "present": st.sampled_from([None, True, False]),
    }
)


@given(CONDITIONS, st.lists(RECORDS, min_size=1, max_size=20))
def test_a_table_gives_what_its_records_give(text: str, records: list[dict[str, object]]) -> None:
    filter_ = made(text)
    columns = {name: pa.array([one[name] for one in records], kind) for name, kind in TYPES.items()}
    assert filter_.rows(pa.table(columns)).tolist() == [filter_.holds(one) for one in records]
