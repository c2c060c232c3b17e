"""The feature store: one state per user and per merchant, exactly once under replay."""

from fraud.store.base import Epoch, FeatureStore, Kind, open_store

__all__ = ["Epoch", "FeatureStore", "Kind", "open_store"]
