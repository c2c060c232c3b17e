"""The feature engine: one table of definitions, one fold, three callers (stream, service, batch)."""

from fraud.schema.features import FEATURE_NAMES, FEATURES, FEATURES_VERSION, Feature

__all__ = ["FEATURES", "FEATURES_VERSION", "FEATURE_NAMES", "Feature"]
