"""The rows of a micro-batch: whose names their columns take."""

import pytest

from fraud.contracts import Decision, contracts_of
from fraud.errors import BadConfig
from fraud.features.passes import feature_names, passes_of_schema, sequence_names, sides_beside_primary
from fraud.log import rows
from fraud.log.rows import rows_of
from fraud.schema import profiles, results
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


def test_a_field_of_a_schema_takes_no_name_of_the_platform():
    """Two columns of one name could not be told apart: the micro-batch that brings the first would fail."""
    schema = schema_with()
    of, passes, contracts = rows_of(schema), passes_of_schema(schema), contracts_of(schema)
    own = {name for field in schema.fields for name in field.names}
    made = {*sequence_names(passes), *feature_names(passes)}
    made |= {side.hash_name for side in sides_beside_primary(passes)}
    columns = {*of.spooled_schema(passes).names, *of.validated.names, *of.handed_names}
    columns |= {*Decision.model_fields, *contracts.label.model_fields, *contracts.scored.model_fields}
    theirs = columns - own - made - {*results.COLUMNS, *profiles.COLUMNS}
    assert theirs <= RESERVED | set(CORE_NAMES)


@pytest.mark.parametrize("name", [field.name for field in rows.DECISION_FIELDS])
def test_a_field_with_the_name_of_a_decision_is_refused(name: str):
    with pytest.raises(BadConfig, match=f"{name} is a column of the platform; rename the field"):
        schema_with(name)
