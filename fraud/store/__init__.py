"""The feature store: one state per user, per merchant, per ..., exactly once under replay."""

from fraud.store.answers import Answer, Answers, Change, Claim, Found
from fraud.store.base import FeatureStore
from fraud.store.open import open_store
from fraud.store.records import DEFAULT_ENTITIES, LATEST, Entry, Epoch
from fraud.store.watermark import Watermark

__all__ = [
    "DEFAULT_ENTITIES",
    "LATEST",
    "Answer",
    "Answers",
    "Change",
    "Claim",
    "Entry",
    "Epoch",
    "FeatureStore",
    "Found",
    "Watermark",
    "open_store",
]
