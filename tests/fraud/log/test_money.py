"""A log that was counted without currencies takes no schema with them, nor the other way round."""

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from fraud.errors import BadConfig
from fraud.log.money import see_that_money_is_the_same
from fraud.schema.reading import DEFAULT, default_schema, parse_schema

WITHOUT = default_schema()
WITH = parse_schema(DEFAULT.read_bytes() + b"\nmoney: {base: EUR}\n", "money.yaml")


def table(folder: Path, *names: str) -> str:
    write_deltalake(str(folder / "transactions"), pa.table({name: [1] for name in names}))
    return str(folder)


def test_a_log_that_is_not_there_yet_and_one_of_the_same_money_are_taken(tmp_path: Path) -> None:
    for schema in (WITHOUT, WITH):
        see_that_money_is_the_same(str(tmp_path / "nothing"), schema)
    see_that_money_is_the_same(table(tmp_path / "with", "amount", "base_minor"), WITH)
    see_that_money_is_the_same(table(tmp_path / "without", "amount"), WITHOUT)


def test_money_that_is_added_or_taken_away_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"counted without currencies, and the schema .* has a part `money`"):
        see_that_money_is_the_same(table(tmp_path / "without", "amount"), WITH)
    with pytest.raises(BadConfig, match=r"counted with currencies.*start another deployment"):
        see_that_money_is_the_same(table(tmp_path / "with", "amount", "base_minor"), WITHOUT)
