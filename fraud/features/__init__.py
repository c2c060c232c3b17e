"""The feature engine: one fold, three callers (stream, service, batch), over what a schema declares."""

from typing import Final

from fraud.schema.deployed import deployed_schema
from fraud.schema.features import Feature

FEATURES: Final = deployed_schema().features
"""Of the deployment's schema, in the vector's order."""
FEATURE_NAMES: Final = deployed_schema().feature_names
FEATURES_VERSION: Final = deployed_schema().features_version

__all__ = ["FEATURES", "FEATURES_VERSION", "FEATURE_NAMES", "Feature"]
