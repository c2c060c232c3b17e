"""Random streams of records that reach every corner of the fold with few records."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import strategies as st

from fraud.features.batch import fold_passes
from fraud.features.events import event_of_label, event_of_transaction, stack_events
from fraud.features.passes import passes_of
from fraud.schema.default import MERCHANT, USER
from fraud.schema.entities import Entity
from tests.wire import Label, Transaction

SMALL_USER = Entity(
    "user",
    events=4,
    distinct=USER.distinct,
    known=tuple((name, 2) for name, _ in USER.known),
    places=True,
    deduplicates=True,
)
SMALL_MERCHANT = Entity("merchant", events=3, distinct=MERCHANT.distinct, known=())
ENTITIES = st.sampled_from([(USER, MERCHANT), (SMALL_USER, SMALL_MERCHANT), (SMALL_USER, MERCHANT)])

S = 1_000_000
MIN, H, DAY = 60 * S, 3600 * S, 86_400 * S
STEPS_US = [0, 0, 1, S, MIN, 5 * MIN, 20 * MIN, H - 1, H, H + 1, 6 * H, DAY - 1, DAY, DAY + 1, 3 * DAY]
JUMPS_US = [
    7 * DAY - 1,
    7 * DAY,
    30 * DAY,
    30 * DAY + 1,
    31 * DAY,
    32 * DAY - 1,
    32 * DAY,
    33 * DAY,
    181 * DAY,
]
LATE_US = [1, MIN, H, DAY, 2 * DAY - 1, 2 * DAY, 49 * H, 5 * DAY, 31 * DAY, 32 * DAY, 33 * DAY]
STARTS = [
    datetime(2000, 2, 28, 23, 59, 59, 999_999, UTC),
    datetime(2026, 3, 1, tzinfo=UTC),
    datetime(2090, 1, 1, tzinfo=UTC),
]
PLACES = [
    (48.1, 11.5),
    (48.1, 11.6),
    (-33.9, 151.2),
    (0.0, 179.9),
    (0.0, -179.9),
    (1.0, 180.0),
    (90.0, 0.0),
    (-90.0, 77.0),
    (-1e-7, -1e-7),
    (0.0, 0.0),
]
AMOUNTS = [0.01, 0.004, 1.005, 9.99, 10.0, 25.5, 1234.56, 10_000_000.0, 9_999_999.99]

CHOICES: dict[str, list[Any]] = {
    "kind": ["new"] * 8 + ["again", "label", "label", "unknown label"],
    "user": [0, 1],
    "merchant": [0, 1, 2],
    "step": STEPS_US * 3 + JUMPS_US,
    "late": [0] * 20 + LATE_US,
    "amount": AMOUNTS,
    "category": [None, "grocery", "fuel", "travel"],
    "country": [None, "DE", "AU", "US"],
    "channel": [None, "chip", "online"],
    "device": [None, "a", "b", "c"],
    "place": [None, *PLACES],
    "home": [None, *PLACES],
    "is_fraud": [True, False],
    "of": list(range(1, 13)),
}
_step = st.fixed_dictionaries(
    {
        **{name: st.sampled_from(values) for name, values in CHOICES.items()},
        "amount": st.one_of(st.sampled_from(AMOUNTS), st.floats(0.01, 10_000_000.0)),
    }
)


def transaction(number: int, time: datetime, **of: Any) -> Transaction:
    """Make one transaction; what is not said takes a plain value."""
    latitude, longitude = of.get("place") or (None, None)
    home_latitude, home_longitude = of.get("home") or (None, None)
    return Transaction(
        transaction_id=of.get("identity", f"t{number}"),
        event_time=time,
        user_id=f"u{of.get('user', 0)}",
        merchant_id=f"m{of.get('merchant', 0)}",
        amount=of.get("amount", 10.0),
        category=of.get("category"),
        country=of.get("country"),
        channel=of.get("channel"),
        device_id=of.get("device"),
        latitude=latitude,
        longitude=longitude,
        home_latitude=home_latitude,
        home_longitude=home_longitude,
    )


def label(of: Transaction, *, is_fraud: bool = True) -> Label:
    """Make the label of a transaction."""
    return Label(
        transaction_id=of.transaction_id,
        user_id=of.user_id,
        merchant_id=of.merchant_id,
        event_time=of.event_time,
        label_time=of.event_time,
        is_fraud=is_fraud,
    )


def build(start: datetime, steps: list[dict[str, Any]]) -> list[Transaction | Label]:
    """Turn drawn steps into records in the order of arrival."""
    records: list[Transaction | Label] = []
    made: list[Transaction] = []
    clock = start
    for number, step in enumerate(steps):
        if step["kind"] == "new" or not made:
            clock += timedelta(microseconds=step["step"])
            time = max(clock - timedelta(microseconds=step["late"]), STARTS[0])
            made.append(transaction(number, time, **step))
            records.append(made[-1])
            continue
        past = made[-min(step["of"], len(made))]
        if step["kind"] == "again":
            records.append(past)
        elif step["kind"] == "label":
            records.append(label(past, is_fraud=step["is_fraud"]))
        else:  # before its transaction, or of one that never comes
            records.append(label(past.model_copy(update={"transaction_id": f"t{number + 1}"})))
    return records


def streams(least: int = 1, most: int = 40) -> st.SearchStrategy[list[Transaction | Label]]:
    """Strategy of streams of records in the order of arrival."""
    return st.builds(build, st.sampled_from(STARTS), st.lists(_step, min_size=least, max_size=most))


def long_stream(seed: int, length: int, *, late: bool = True) -> list[Transaction | Label]:
    """Make a stream too long for hypothesis; bursts stay within an hour, so that windows fill."""
    dice = random.Random(seed)
    choices = {**CHOICES, "step": [*STEPS_US, *STEPS_US[:7] * 4, *JUMPS_US[: seed % 10]]}
    if not late:
        choices["late"] = [0]
    steps = [{name: dice.choice(values) for name, values in choices.items()} for _ in range(length)]
    for step in steps:
        if dice.random() < 0.5:
            step["amount"] = round(dice.lognormvariate(3.5, 1.0) + 0.01, 2)
    return build(STARTS[seed % 3], steps)


def shuffle_between_entities(keys: np.ndarray, seed: int) -> np.ndarray:
    """Order rows again at random, but for those of one entity, which stay as they came."""
    rows = {key: list(np.flatnonzero(keys == key)) for key in set(keys.tolist())}
    dice = random.Random(seed)
    turns = dice.sample(keys.tolist(), len(keys))
    return np.array([rows[key].pop(0) for key in turns])


def events_of(records: list[Transaction | Label]) -> np.ndarray:
    return stack_events(
        [event_of_transaction(r) if isinstance(r, Transaction) else event_of_label(r) for r in records]
    )


def fold_stream(records, user=USER, merchant=MERCHANT, states=({}, {})):
    """Fold records through both passes; returns vectors, outcomes, and both passes' states."""
    before = {"user": states[0], "merchant": states[1]}
    found = fold_passes(events_of(records), before, passes=passes_of((user, merchant)))
    after = tuple({**before[name], **found.states[name]} for name in ("user", "merchant"))
    return found.vectors, found.outcomes, after
