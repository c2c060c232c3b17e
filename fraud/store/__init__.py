"""The feature store: one state per user, per merchant, per ..., exactly once under replay."""

from fraud.store.answers import Answer, Answers, Change, Claim, Found
from fraud.store.base import FeatureStore
from fraud.store.open import open_store
from fraud.store.records import LATEST, Entry, Epoch, deployed_entities
from fraud.store.watermark import Watermark

__all__ = [
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
    "deployed_entities",
    "open_store",
]
