"""The profiles of a synthetic world: what its banks know, and what takeovers change before they buy."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from fraud.contracts import contracts_of
from fraud.schema.reading import default_schema, read_schema
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.files import read, write
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from jobs.profiles.table import read_profiles

SCHEMA = read_schema(Path(__file__).parents[3] / "docs" / "examples" / "account-takeover.yaml")
SETTINGS = GeneratorSettings(transactions=20_000, users=500, merchants=200)


@pytest.fixture(scope="module")
def made() -> DataSet:
    return generate(SETTINGS, SCHEMA)


def test_a_world_without_profiles_in_its_schema_has_none() -> None:
    settings = SETTINGS.model_copy(update={"transactions": 2_000})
    assert generate(settings, default_schema()).profiles is None


def test_every_profile_keeps_its_contract_and_every_entity_has_one_from_the_beginning(made: DataSet) -> None:
    assert made.profiles is not None
    model = contracts_of(SCHEMA).profile
    assert model is not None
    for row in made.profiles.slice(0, 1_500).to_pylist():
        model.model_validate(row)
    first = made.profiles.filter(pc.equal(made.profiles["profile_time"], SETTINGS.start))
    for entity, key in (("card", "card"), ("account", "account"), ("merchant", "merchant_id")):
        known = first.filter(pc.equal(first["entity"], entity))[key].to_pylist()
        assert sorted(known) == sorted(set(made.transactions[key].to_pylist()))


def test_an_account_that_is_taken_over_has_another_address_before_it_buys(made: DataSet) -> None:
    """Many are, within a day; of honest purchases hardly any."""
    assert made.profiles is not None
    pattern = dict(
        zip(*(made.patterns[name].to_pylist() for name in ("transaction_id", "pattern")), strict=True)
    )
    changed: dict[str, list[int]] = {}
    for row in made.profiles.to_pylist():
        if row["entity"] == "account" and "address" in row["profile"]:
            changed.setdefault(row["account"], []).append(row["profile_time"])
    share: dict[bool, list[bool]] = {True: [], False: []}
    for row in made.transactions.select(["transaction_id", "account", "event_time"]).to_pylist():
        after = [(row["event_time"] - time).total_seconds() for time in changed[row["account"]][1:]]
        is_soon = any(0 < s < 86_400 for s in after)
        kind = pattern.get(row["transaction_id"])
        if kind in {None, "account_takeover"}:
            share[kind is not None].append(is_soon)
    assert np.mean(share[True]) > 0.3
    assert np.mean(share[False]) < 0.02


def test_a_data_set_with_profiles_is_written_and_read_whole(made: DataSet, tmp_path: Path) -> None:
    write(made, tmp_path)
    assert read(tmp_path) == made
    found = read_profiles(tmp_path / "profiles.parquet", "", SCHEMA)
    assert len(found) == made.profiles.num_rows  # type: ignore[union-attr]
    write(generate(SETTINGS.model_copy(update={"transactions": 2_000}), default_schema()), tmp_path)
    assert read(tmp_path).profiles is None
