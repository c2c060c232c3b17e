"""A state outlives the feature table that it was written under, but not its own layout."""

import numpy as np
import pytest

from fraud.errors import BadState
from fraud.features import kernel
from fraud.features.engine import fold_events
from fraud.features.plan import compile_plan
from fraud.schema.default import MERCHANT, MERCHANT_FEATURES, USER, USER_FEATURES
from tests.fraud.features.streams import SMALL_MERCHANT, SMALL_USER, events_of, long_stream

TABLES = [(USER, USER_FEATURES), (MERCHANT, MERCHANT_FEATURES)]
both = pytest.mark.parametrize(("entity", "features"), TABLES, ids=["user", "merchant"])


@both
def test_the_layout_does_not_depend_on_the_features(entity, features):
    layouts = {compile_plan(entity, chosen).layout for chosen in (features, features[:3], features[::-1])}
    assert len(layouts) == 1


@both
@pytest.mark.parametrize("seed", range(5))
def test_a_feature_that_needs_no_new_state_is_read_from_old_states(entity, features, seed):
    """An old release knew every third feature; the new one continues from its states with all of them."""
    events = events_of(long_stream(seed, 160))
    whole = fold_events(entity, events, {}, features=features)
    old = fold_events(entity, events[:100], {}, features=features[::3])
    new = fold_events(entity, events[100:], old.states, features=features)
    assert old.vectors.tobytes() == whole.vectors[:100, ::3].tobytes()
    assert new.vectors.tobytes() == whole.vectors[100:].tobytes()
    assert {**old.states, **new.states} == whole.states


@both
def test_a_removed_feature_leaves_states_as_they_are(entity, features):
    events = events_of(long_stream(1, 160))
    old = fold_events(entity, events[:100], {}, features=features)
    fewer = fold_events(entity, events[100:], old.states, features=features[:5])
    assert {**old.states, **fewer.states} == fold_events(entity, events, {}).states


@pytest.mark.parametrize(
    ("old", "new"), [(SMALL_USER, USER), (SMALL_MERCHANT, MERCHANT), (MERCHANT, SMALL_MERCHANT)]
)
def test_a_state_of_another_layout_is_refused_with_what_to_do(old, new):
    events = events_of(long_stream(1, 30))
    states = fold_events(old, events, {}).states
    with pytest.raises(BadState, match=r"another layout.*fraud replay rebuild-store"):
        fold_events(new, events, states)


def test_a_state_of_another_entity_is_refused():
    events = events_of(long_stream(1, 30))
    users = fold_events(USER, events, {}).states
    keys = dict(zip(np.unique(events[:, kernel.E_MERCHANT]).tolist(), users.values(), strict=False))
    with pytest.raises(BadState, match="another layout"):
        fold_events(MERCHANT, events, keys)


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state[:-8],
        lambda state: state + bytes(8),
        lambda state: state[:-3],
        lambda state: state[:16],
        lambda state: state[:24] + np.float64(1e9).tobytes() + state[32:],
        lambda state: state[:24] + np.float64(np.nan).tobytes() + state[32:],
    ],
    ids=["cut", "longer", "no whole number", "no header", "more events than fit", "not a number"],
)
def test_a_damaged_state_is_refused(damage):
    events = events_of(long_stream(1, 30))
    states = {key: damage(state) for key, state in fold_events(USER, events, {}).states.items()}
    with pytest.raises(BadState, match=r"damaged.*fraud replay rebuild-store"):
        fold_events(USER, events, states)
