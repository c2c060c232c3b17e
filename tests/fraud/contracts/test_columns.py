"""Columns of tables are made from the contracts' fields."""

from datetime import datetime
from enum import StrEnum

import pyarrow as pa
import pytest
from pydantic import BaseModel, StrictBool

from fraud.contracts.columns import columns_of, listed_names, names_of
from fraud.contracts.wire import EventTime, Identifier
from fraud.schema.arrow import TIME


class Word(StrEnum):
    A = "a"


class Everything(BaseModel):
    text: Identifier
    perhaps: Identifier | None = None
    word: Word | None = None
    flag: StrictBool
    count: int
    amount: float | None = None
    at: EventTime
    later: EventTime | None = None
    plain: datetime
    names: list[str] = []


class Odd(BaseModel):
    which: dict[str, int]


def test_each_type_of_a_field_has_its_column():
    found = {field.name: field.type for field in columns_of(Everything)}
    assert found == {
        **dict.fromkeys(["text", "perhaps", "word", "names"], pa.string()),
        "flag": pa.bool_(),
        "count": pa.int64(),
        "amount": pa.float64(),
        **dict.fromkeys(["at", "later", "plain"], TIME),
    }
    assert list(found) == list(Everything.model_fields)


def test_fields_can_be_left_out():
    assert [field.name for field in columns_of(Everything, but=[*found_but("flag")])] == ["flag"]
    assert names_of(Everything, but=["text"]) == tuple(Everything.model_fields)[1:]


def found_but(name: str) -> list[str]:
    return [one for one in Everything.model_fields if one != name]


def test_lists_are_known():
    assert listed_names(Everything) == ("names",)


def test_a_field_without_a_column_is_named():
    with pytest.raises(TypeError, match="which"):
        columns_of(Odd)
