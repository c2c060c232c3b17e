"""Draws entities, primary first, with their features, and records that lack some of their keys."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from fraud.features.passes import Passes, passes_of
from fraud.schema.entities import Entity
from fraud.schema.features import Feature
from tests.fraud.features.tables import handing_on
from tests.wire import Label, Transaction

START = datetime(2026, 3, 1, tzinfo=UTC)
REQUIRED = ("user", "merchant")
OPTIONAL = ("device", "country", "category", "channel")
KEYS: dict[str, list[str | None]] = {
    "user_id": ["u0", "u1", "u2"],
    "merchant_id": ["m0", "u1"],
    "device_id": [None, "DE", "d1"],
    "country": [None, "DE", "FR"],
    "category": [None, "food"],
    "channel": [None, "chip", "online"],
}


@st.composite
def drawn_passes(draw: st.DrawFn, most: int = 4, kept: tuple[int, ...] = (3, 40)) -> Passes:
    """Draw 1 to ``most`` entities over the columns of an event, with a few features each.

    ``kept`` are the numbers of events that they may keep: the primary knows the ids of those alone.
    """
    primary = draw(st.sampled_from(REQUIRED))
    rest = [name for name in (*REQUIRED, *OPTIONAL) if name != primary]
    names = [primary, *draw(st.lists(st.sampled_from(rest), max_size=most - 1, unique=True))]
    entities = [draw(_entity(name, kept, is_primary=name == primary)) for name in names]
    if draw(st.booleans()):
        account = draw(_entity("account", kept, is_primary=False))
        sides = draw(st.sampled_from([("user", "merchant"), ("device", "country")]))
        account = replace(account, sides=(("out", sides[0]), ("in", sides[1])))
        entities.insert(draw(st.integers(1, len(entities))), account)
    columns = [column for entity in entities[1:] for column in entity.key_names]
    entities[0] = handing_on(entities[0], list(dict.fromkeys(columns)))
    features = [Feature("amount"), Feature("bucket", column="channel")]
    return passes_of(entities, [*features, *(f for entity in entities for f in features_of(entity))])


@st.composite
def _entity(draw: st.DrawFn, name: str, kept: tuple[int, ...], *, is_primary: bool) -> Entity:
    others = [column for column in (*REQUIRED, *OPTIONAL) if column != name]
    distinct = draw(st.lists(st.sampled_from(others), max_size=2, unique=True))
    known = draw(st.lists(st.sampled_from(others), max_size=2, unique=True))
    return Entity(
        name,
        events=draw(st.sampled_from(kept)),
        distinct=tuple(distinct),
        known=tuple((column, 2) for column in known),
        deduplicates=is_primary,
    )


def features_of(entity: Entity) -> list[Feature]:
    """Make features of every kind that an entity keeps what is needed for, on each side."""
    return [replace(feature, side=side) for side in entity.side_names for feature in _features_of(entity)]


def _features_of(entity: Entity) -> list[Feature]:
    return [
        Feature("count", entity, "1h"),
        Feature("mean", entity, "24h"),
        Feature("std", entity, "7d"),
        Feature("zscore", entity, "30d"),
        Feature("velocity", entity, "1h", "7d"),
        Feature("since_last", entity),
        Feature("same_amount", entity, "24h"),
        Feature("fraud_share", entity, "30d"),
        Feature("since_fraud", entity),
        *(Feature("distinct", entity, "24h", column=column) for column in entity.distinct),
        *(Feature("is_first", entity, column=column) for column, _ in entity.known),
    ]


@st.composite
def drawn_records(draw: st.DrawFn, most: int = 25, days: int = 40) -> list[Transaction | Label]:
    """Draw transactions in the order of arrival, late ones, duplicates, and labels of some, also twice."""
    found: list[Transaction | Label] = []
    transactions: list[Transaction] = []
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(["new"] * 6 + ["again", "label", "label"])) if transactions else "new"
        if kind == "new":
            transactions.append(_transaction(draw, len(transactions), days))
            found.append(transactions[-1])
        elif kind == "again":
            found.append(draw(st.sampled_from(transactions)))
        else:
            of, is_fraud, is_dated = (
                draw(st.sampled_from(transactions)),
                draw(st.booleans()),
                draw(st.booleans()),
            )
            found.append(label_of(of, is_fraud=is_fraud, is_dated=is_dated))
    return found


def _transaction(draw: st.DrawFn, i: int, days: int) -> Transaction:
    keys: dict[str, Any] = {name: draw(st.sampled_from(values)) for name, values in KEYS.items()}
    minutes = draw(st.sampled_from([0, 1, 30, 59, 60, 61, 24 * 60, 9 * 24 * 60, days * 24 * 60]))
    return Transaction(
        transaction_id=f"t{i}",
        event_time=START + timedelta(minutes=minutes, seconds=i),
        amount=draw(st.sampled_from([1.0, 9.99, 250.0])),
        **keys,
    )


def label_of(record: Transaction, *, is_fraud: bool, is_dated: bool = True) -> Label:
    """Make a label of a transaction, without its other keys; without its time unless ``is_dated``."""
    names = {"transaction_id", "user_id", "merchant_id"} | ({"event_time"} if is_dated else set())
    return Label(**record.model_dump(include=names), label_time=record.event_time, is_fraud=is_fraud)
