"""What the deployed schema gives, by name: the product hands schemas down, tests of one schema need not."""

from typing import Final

from fraud.features.passes import passes_of_schema
from fraud.log.archive import tables_of
from fraud.log.rows import rows_of
from fraud.schema.deployed import deployed_schema

SCHEMA: Final = deployed_schema()
FEATURES: Final = SCHEMA.features
FEATURE_NAMES: Final = SCHEMA.feature_names
FEATURES_VERSION: Final = SCHEMA.features_version
ENTITIES: Final = tuple(entity.name for entity in SCHEMA.entities)
PASSES: Final = passes_of_schema(SCHEMA)
ROWS: Final = rows_of(SCHEMA)
SPOOLED: Final = ROWS.spooled_schema(PASSES)
"""Rows of the spool."""
TABLES: Final = tables_of(PASSES, SCHEMA)
"""Of the log."""
