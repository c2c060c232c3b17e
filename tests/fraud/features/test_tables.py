"""Any table: the kernel computes whatever a schema may declare, with the laws of the default table."""

import os
import random

import numpy as np
import pytest

from fraud.errors import BadConfig, BadState
from fraud.features import kernel
from fraud.features.batch import fold_passes
from fraud.features.combine import combine
from fraud.features.engine import fold_plan
from fraud.features.passes import Passes, features_of
from fraud.features.plan import Plan, compile_plan
from fraud.schema.default import USER
from fraud.schema.entities import Entity
from fraud.schema.features import Feature
from fraud.schema.statistics import STATISTICS
from tests.fraud.features.oracle import assert_equal_to_oracle, replay_seen
from tests.fraud.features.tables import (
    FILTERS,
    NUMBERS,
    START,
    TIMES,
    UNITS,
    Drawn,
    all_features,
    draw_stream,
    draw_table,
    rows_of,
)
from tests.fraud.features.tables import EventLayout as Layout

SEEDS = range(int(os.environ.get("FRAUD_TEST_TABLES", "60")))
"""How many tables are drawn; a longer run asks for more."""


def fold_all(passes: Passes, events: np.ndarray, states: dict[str, dict] | None = None):
    """Fold through all passes; returns vectors, outcomes and states."""
    before = states or {one.name: {} for one in passes}
    found = fold_passes(events, before, passes=passes)
    after = {name: {**before[name], **of} for name, of in found.states.items()}
    return found.vectors, found.outcomes, after


def draw(seed: int, n: int = 90) -> tuple[Drawn, list]:
    dice = random.Random(seed)
    drawn = draw_table(dice)
    return drawn, draw_stream(dice, drawn, n)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_feature_of_a_random_table_equals_the_oracle(seed):
    drawn, records = draw(seed)
    vectors, _, _ = fold_all(drawn.passes, rows_of(records, drawn.layout))
    features = list(features_of(drawn.passes))
    tables = [(entity, list(of)) for entity, of in drawn.tables]
    expected = replay_seen(records, tables, UNITS, drawn.layout.of_results)
    assert_equal_to_oracle(features, vectors, expected, f"seed {seed}, ")


@pytest.mark.parametrize("seed", list(SEEDS)[:20])
def test_micro_batches_of_a_random_table_give_the_same_bits(seed):
    drawn, records = draw(seed, 150)
    passes, events = drawn.passes, rows_of(records, drawn.layout)
    whole, outcomes, states = fold_all(passes, events)
    parts, part_outcomes, carried, first = [], [], None, 0
    dice = random.Random(seed)
    while first < len(events):
        last = first + dice.choice([1, 1, 2, 5, 40])
        vectors, part, carried = fold_all(passes, events[first:last], carried)
        parts.append(vectors)
        part_outcomes.append(part)
        first = last
    assert np.vstack(parts).tobytes() == whole.tobytes()
    assert np.concatenate(part_outcomes).tobytes() == outcomes.tobytes()
    assert carried == states


@pytest.mark.parametrize("seed", list(SEEDS)[:10])
def test_where_a_field_stands_in_an_event_changes_neither_states_nor_vectors(seed):
    drawn, records = draw(seed)
    dice = random.Random(seed)
    of = drawn.layout
    shuffled = [tuple(dice.sample(names, len(names))) for names in (of.keys, of.numbers, of.filters)]
    filters = (("new", "..."), *shuffled[2])
    names, told = of.of_results, of.profiles
    other = Layout(
        ("further", *shuffled[0]),
        shuffled[1],
        of.times,
        filters,
        zone=of.zone,
        of_results=names,
        refunds=of.refunds,
        profiles=told,
        by_side=of.by_side,
        told_zone=of.told_zone,
    )
    vectors, _, states = fold_all(drawn.passes, rows_of(records, of))
    same, _, others = fold_all(Drawn(other, drawn.tables).passes, rows_of(records, other))
    assert same.tobytes() == vectors.tobytes()
    assert others == states


def test_the_drawn_tables_know_every_statistic():
    drawn = [draw_table(random.Random(seed)) for seed in SEEDS]
    known = {feature.statistic for of in drawn for _, features in of.tables for feature in features}
    assert known == set(STATISTICS) - {"ratio", "difference", "greatest"}


def test_a_statistic_has_words_for_every_feature():
    layout = Layout(("card", "merchant"), NUMBERS, TIMES, FILTERS)
    entity = Entity(
        "card",
        4,
        ("merchant",),
        (("merchant", 2),),
        places=True,
        deduplicates=True,
        measures=(("", ""), ("items", "online"), ("", "night")),
    )
    for feature in all_features(entity, layout):
        words = (feature.name, feature.description, feature.unit, feature.missing, feature.exactness)
        assert "{" not in "".join(words)
        assert words[3] or feature.default == feature.default or feature.entity is None


# --- rows that do not name the entity


def test_events_without_the_key_change_nothing_and_have_no_vector():
    drawn, records = draw(5)
    entity, features = drawn.tables[0]
    plan, events = compile_plan(entity, features, drawn.layout), rows_of(records, drawn.layout)
    dice = np.random.default_rng(3)
    is_missing = dice.random(len(events)) < 0.4
    events[is_missing, plan.key_column] = 0.0
    folded = fold_plan(plan, events, {})
    alone = fold_plan(plan, events[~is_missing], {})
    assert np.isnan(folded.vectors[is_missing]).all()
    assert np.isnan(folded.sequences[is_missing]).all()
    assert (folded.outcomes[is_missing] == kernel.NEW).all()
    assert folded.vectors[~is_missing].tobytes() == alone.vectors.tobytes()
    assert folded.states == alone.states
    assert 0.0 not in folded.states


def test_a_batch_in_which_nobody_names_the_entity_is_folded():
    plan = compile_plan(USER)
    events = np.zeros((1000, plan.events.width))
    folded = fold_plan(plan, events, {})
    assert folded.states == {}
    assert np.isnan(folded.vectors).all()


# --- states


def state_of(entity: Entity, layout: Layout) -> tuple[Plan, dict]:
    events = np.zeros((1, layout.width))
    events[0, [kernel.E_TIME, kernel.E_ID]] = START, 7.0
    events[0, kernel.E_ID + 1 :] = 1.0
    plan = compile_plan(entity, (), layout)
    return plan, fold_plan(plan, events, {}).states


ONLINE = Entity("card", 4, (), (), deduplicates=True, measures=(("items", "online"),))
LAYOUT = Layout(("card", "device"), NUMBERS, TIMES, FILTERS)


@pytest.mark.parametrize(
    ("entity", "layout"),
    [
        (Entity("card", 5, (), (), deduplicates=True, measures=(("items", "online"),)), LAYOUT),
        (Entity("card", 4, (), (), deduplicates=True, measures=(("items", "night"),)), LAYOUT),
        (Entity("card", 4, (), (), deduplicates=True, measures=(("points", "online"),)), LAYOUT),
        (
            Entity("card", 4, (), (), deduplicates=True, windows=("1h",), measures=(("items", "online"),)),
            LAYOUT,
        ),
        (
            Entity("card", 4, (), (), deduplicates=True, kept=("device",), measures=(("items", "online"),)),
            LAYOUT,
        ),
        (ONLINE, Layout(("card",), NUMBERS, TIMES, (("online", "channel == 'web'"),))),
        (ONLINE, Layout(("card",), (("items", 100.0),), TIMES, FILTERS)),
        (ONLINE, Layout(("card",), NUMBERS, TIMES, FILTERS, minor_units=1.0)),
    ],
    ids=[
        "events",
        "filter",
        "number",
        "windows",
        "kept",
        "filter's meaning",
        "number's unit",
        "amount's unit",
    ],
)
def test_a_state_that_holds_something_else_is_refused(entity, layout):
    _, states = state_of(ONLINE, LAYOUT)
    plan, _ = state_of(entity, layout)
    events = np.ones((1, layout.width))
    with pytest.raises(BadState, match=r"another layout.*fraud replay rebuild-store"):
        fold_plan(plan, events, states)


# --- what a table cannot have

PLACELESS = Entity("card", 4, ("device",), (), deduplicates=True, windows=("1h", "24h"))


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        (Feature("count", PLACELESS, "2h"), "does not keep '2h'; add it to its `windows`"),
        (Feature("sum", PLACELESS, "1h", value="items"), "add it to its `measures`"),
        (Feature("min", PLACELESS, "1h"), "add it to its `measures`"),
        (Feature("sum", PLACELESS, "1h", where="online"), "add it to its `measures`"),
        (Feature("share", PLACELESS, "1h"), "share needs a `where`"),
        (Feature("last", PLACELESS, value="items"), "add it to its `numbers`"),
        (Feature("median", PLACELESS, "1h", where="online"), "add it to its `filters`"),
        (Feature("same", PLACELESS, "1h", column="card"), "add it to its `kept`"),
        (Feature("is_first", PLACELESS, column="device"), "add it to its `known`"),
        (Feature("distinct", PLACELESS, "1h", column="card"), "add it to its `distinct`"),
        (Feature("distance_last", PLACELESS), "set its `places`"),
        (Feature("hour", value="items"), "takes no `value`"),
        (Feature("since_fraud", PLACELESS, where="online"), "takes no `where`"),
        (Feature("since_last", PLACELESS, value="items"), "takes no `value`"),
        (Feature("since_last", PLACELESS, where="online"), "add it to its `filters`"),
        (Feature("age", column="card"), "'card' is not a time; there are opened_at"),
        (Feature("number", value="device"), "'device' is not a number; there are items"),
        (Feature("bucket", column="colour"), "no column 'colour'"),
        (Feature("ripe_fraud_share", PLACELESS, "30d", "7d"), "within 24h"),
        (Feature("percentile", PLACELESS, "1h", percent=0), "from 1 to 100"),
        (Feature("ratio", of=("a", "b")), "combines other features"),
    ],
    ids=lambda value: getattr(value, "statistic", ""),
)
def test_a_feature_that_cannot_be_is_refused_with_its_name(feature, words):
    with pytest.raises(BadConfig, match=words) as raised:
        compile_plan(PLACELESS, (feature,), LAYOUT)
    assert feature.name in str(raised.value)


@pytest.mark.parametrize(
    ("entity", "words"),
    [
        (Entity("card", 0, (), ()), "at least 1 is needed"),
        (Entity("card", 70_000, (), ()), "at most 65536 are possible"),
        (Entity("card", 4, tuple("abcdefghi"), ()), "9 columns of distinct values; at most 8 are possible"),
        (
            Entity("card", 4, (), tuple((name, 1) for name in "abcdefghi")),
            "remembered values; at most 8 are possible",
        ),
        (Entity("card", 4, ("device",), (), kept=("device",)), "twice"),
        (Entity("card", 4, (), (), windows=("24h", "1h")), "must grow"),
        (Entity("card", 4, (), (), windows=("60m", "1h")), "must grow"),
        (Entity("card", 4, (), (), windows=("91d",)), "from 1m to 90d"),
        (Entity("card", 4, (), (), windows=("1w",)), "from 1m to 90d"),
        (Entity("card", 4, (), (), windows=()), "1 to 12 windows"),
        (Entity("iban", 4, (), ()), "no column 'iban'; there are card, device"),
        (Entity("card", 4, (), (), measures=(("items", "weekend"),)), "no filter 'weekend'"),
        (Entity("card", 4, (), (), measures=(("device", ""),)), "'device' is not a number"),
    ],
    ids=lambda value: "" if isinstance(value, Entity) else value,
)
def test_an_entity_that_cannot_be_is_refused(entity, words):
    with pytest.raises(BadConfig, match=words):
        compile_plan(entity, (), LAYOUT)


def test_events_of_another_width_are_refused():
    with pytest.raises(BadConfig, match="events have 14 columns; the plan is compiled for 15"):
        fold_plan(compile_plan(ONLINE, (), LAYOUT), np.ones((1, 14)), {})


# --- what is made of other features


def test_combined_features_are_computed_last():
    names = ("transaction_amount", "hour_of_day", "day_of_week")
    features = (
        *(Feature(kind) for kind in ("amount", "hour", "weekday")),
        Feature("ratio", of=names[:2]),
        Feature("difference", of=names[:2]),
        Feature("greatest", of=names),
        Feature("ratio", of=("transaction_amount_minus_hour_of_day", "day_of_week"), called="pace"),
    )
    nan = np.nan
    vectors = np.array(
        [[10.0, 4.0, 3.0, *[nan] * 4], [10.0, 0.0, 0.0, *[nan] * 4], [nan, 4.0, nan, *[nan] * 4], [nan] * 7]
    )
    combine(features, vectors)
    assert features[-1].name == "pace"
    np.testing.assert_array_equal(vectors[:, 3], [2.5, nan, nan, nan])
    np.testing.assert_array_equal(vectors[:, 4], [6.0, 10.0, nan, nan])
    np.testing.assert_array_equal(vectors[:, 5], [10.0, 10.0, 4.0, nan])
    np.testing.assert_array_equal(vectors[:, 6], [2.0, nan, nan, nan])


def test_a_combined_feature_reads_only_what_stands_before_it():
    features = (Feature("ratio", of=("transaction_amount", "hour_of_day")), Feature("amount"))
    with pytest.raises(BadConfig, match=r"reads 'transaction_amount', which is not a feature above"):
        combine(features, np.zeros((1, 2)))
