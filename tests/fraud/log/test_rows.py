"""The rows of a micro-batch: what their columns are made of, and whose names they take."""

from dataclasses import fields

import pyarrow as pa
import pytest

from fraud.contracts import Decision, contracts_of
from fraud.contracts.decision import DecisionPart
from fraud.contracts.label import LabelPart
from fraud.decide.experiment import TRIAL_FIELDS, ExperimentRecord
from fraud.decide.overruling import RULED_FIELDS, Ruled
from fraud.errors import BadConfig
from fraud.features.passes import feature_names, passes_of_schema, sequence_names, sides_beside_primary
from fraud.log import rows
from fraud.log.rows import rows_of
from fraud.schema import profiles, results
from fraud.schema.arrow import TIME
from fraud.schema.fields import CORE_NAMES, RESERVED
from fraud.schema.reading import parse_schema

WHOLE = """
format: 1
name: everything
money: {base: EUR}
results: [declined, refunded]
fields:
  card: {type: key, required: true}
  shop: {type: key}
  word: {type: category}
profiles:
  card: {limit: {type: number}}
entities:
  card: {key: card, primary: true, events: 64}
  shop: {key: shop, events: 64}
features:
  - amount
  - {statistic: count, entity: card, window: 1h}
  - {statistic: count, entity: shop, window: 1h}
new: count_1h_by_card
"""


def schema_with(field: str = ""):
    text = WHOLE.replace("  word:", f"  {field}:") if field else WHOLE
    return parse_schema(text.encode(), "everything.yaml")


def test_the_tables_keep_their_columns():
    """A deployment's Delta tables have them: a field that is added comes last in its part."""
    assert [(field.name, field.type) for field in rows.LABEL_FIELDS] == [
        ("label_time", TIME),
        ("is_fraud", pa.bool_()),
        *((name, pa.string()) for name in ("source", "fraud_type", "reason_code")),
        ("disputed_amount", pa.float64()),
        ("disputed_currency", pa.string()),
    ]
    assert [(field.name, field.type) for field in rows.DECISION_FIELDS] == [
        ("outcome", pa.string()),
        ("score", pa.float64()),
        *((name, pa.string()) for name in ("reasons", "model_version")),
        ("is_fallback", pa.bool_()),
        *((name, pa.string()) for name in ("policy_version", "outcome_without_rules", "rules")),
        *((name, pa.string()) for name in ("shadow_rules", "tags", "queue", "segment", "experiment", "arm")),
        ("shadow_score", pa.float64()),
        ("shadow_version", pa.string()),
    ]


def test_records_and_tables_have_the_same_list_of_a_decision_and_of_a_label():
    contracts = contracts_of(schema_with())
    decided = {field.name for field in rows.DECISION_FIELDS}
    assert decided == set(DecisionPart.model_fields)
    assert decided <= set(contracts.scored.model_fields) & set(contracts.decision.model_fields)
    told = {field.name for field in rows.LABEL_FIELDS}
    assert told == set(LabelPart.model_fields)
    assert told <= set(contracts.label.model_fields)


def test_what_rules_and_experiments_give_is_in_a_decision():
    assert set(RULED_FIELDS) <= {field.name for field in fields(Ruled)}
    assert [field.name for field in fields(ExperimentRecord)] == list(TRIAL_FIELDS)


def test_a_field_of_a_schema_takes_no_name_of_the_platform():
    """Two columns of one name could not be told apart: the micro-batch that brings the first would fail."""
    schema = schema_with()
    of, passes = rows_of(schema), passes_of_schema(schema)
    own = {name for field in schema.fields for name in field.names}
    made = {*sequence_names(passes), *feature_names(passes)}
    made |= {side.hash_name for side in sides_beside_primary(passes)}
    columns = {*of.spooled_schema(passes).names, *of.validated.names, *of.handed_names}
    contracts = contracts_of(schema)
    columns |= {*Decision.model_fields, *contracts.label.model_fields, *contracts.scored.model_fields}
    theirs = columns - own - made - {*results.COLUMNS, *profiles.COLUMNS}
    assert theirs <= RESERVED | set(CORE_NAMES)


@pytest.mark.parametrize("name", DecisionPart.model_fields)
def test_a_field_with_the_name_of_a_decision_is_refused(name):
    with pytest.raises(BadConfig, match=f"{name} is a column of the platform; rename the field"):
        schema_with(name)
