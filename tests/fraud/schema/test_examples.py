"""The schemas in docs/examples: they are right, the generator fills them, every entity's program compiles."""

from pathlib import Path

import numpy as np
import pytest

from fraud.features.batch import fold_passes
from fraud.features.events import events_of
from fraud.features.kernel import NO_KEY
from fraud.features.passes import passes_of_schema
from fraud.features.snapshot import read_snapshot
from fraud.schema.operations import Op
from fraud.schema.reading import read_schema
from fraud.schema.schema import Schema
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings

EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "examples").glob("*.yaml"))


@pytest.fixture(params=EXAMPLES, ids=lambda file: file.stem)
def schema(request: pytest.FixtureRequest) -> Schema:
    return read_schema(request.param)


def test_there_are_five() -> None:
    assert [file.stem for file in EXAMPLES] == [
        "account-takeover",
        "card-testing",
        "issuer",
        "shop",
        "transfers",
    ]


def test_every_feature_has_its_place(schema: Schema) -> None:
    of_entities = [schema.features_of(entity) for entity in schema.entities]
    parts = [*(feature for features in of_entities for feature in features), *schema.combined]
    assert tuple(parts) == schema.features
    for one, features in zip(passes_of_schema(schema), of_entities, strict=True):
        assert one.plan.features == features


def test_the_generator_fills_every_column(schema: Schema) -> None:
    made = generate(GeneratorSettings(transactions=2_000, users=200, merchants=100), schema)
    events = events_of(schema).of_transactions(made.transactions)
    for fields in schema.key_sets:
        keys = events[:, events_of(schema).layout.column("+".join(field.word for field in fields))]
        assert len(np.unique(keys[keys != 0.0])) > 20


def test_a_state_of_every_entity_can_be_shown(schema: Schema) -> None:
    made = generate(GeneratorSettings(transactions=2_000, users=200, merchants=100), schema)
    passes = passes_of_schema(schema)
    folded = fold_passes(events_of(schema).of_transactions(made.transactions), passes=passes)
    for one in passes:
        key, state = max(folded.states[one.name].items(), key=lambda item: len(item[1]))
        shown = read_snapshot(one.plan, state)
        assert key != NO_KEY
        assert shown.transactions >= len(shown.kept) > 1
        names = {feature.name for feature in one.features if feature.kind.op is Op.COUNT}
        assert names <= set(shown.windows)
