"""The schemas in docs/examples: they are right, the generator fills them, every entity's program compiles."""

from pathlib import Path

import numpy as np
import pytest

from fraud.features.events import events_of
from fraud.features.plan import compile_plan
from fraud.schema.reading import read_schema
from fraud.schema.schema import Schema
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings

EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "examples").glob("*.yaml"))


@pytest.fixture(params=EXAMPLES, ids=lambda file: file.stem)
def schema(request: pytest.FixtureRequest) -> Schema:
    return read_schema(request.param)


def test_there_are_three() -> None:
    assert [file.stem for file in EXAMPLES] == ["issuer", "shop", "transfers"]


def test_every_feature_has_its_place(schema: Schema) -> None:
    of_entities = [schema.features_of(entity) for entity in schema.entities]
    parts = [*(feature for features in of_entities for feature in features), *schema.combined]
    assert tuple(parts) == schema.features
    for entity, features in zip(schema.entities, of_entities, strict=True):
        plan = compile_plan(entity, features, events_of(schema).layout)
        assert len(plan.features) == len(features)


def test_the_generator_fills_every_column(schema: Schema) -> None:
    made = generate(GeneratorSettings(transactions=2_000, users=200, merchants=100), schema)
    events = events_of(schema).of_transactions(made.transactions)
    for fields in schema.keys:
        keys = events[:, events_of(schema).layout.column("+".join(field.word for field in fields))]
        assert len(np.unique(keys[keys != 0.0])) > 20
