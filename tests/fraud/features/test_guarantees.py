"""What a vector guarantees, case by case; docs/how-it-works.md names each test."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from fraud.features import kernel
from fraud.features.engine import fold_events
from fraud.schema.default import MERCHANT, USER
from fraud.schema.entities import IDLE_US, WINDOWS_US
from fraud.schema.statistics import Family
from fraud.schema.windows import LATENESS_US, window_us
from tests.deployed import FEATURE_NAMES, FEATURES
from tests.fraud.features.streams import events_of, fold_stream, label, long_stream, transaction

T = datetime(2026, 3, 2, 12, 0, 0, 0, UTC)
US = timedelta(microseconds=1)
DAY = timedelta(days=1)
HOW_IT_WORKS = Path(__file__).parents[3] / "docs" / "how-it-works.md"
LATENESS, IDLE = timedelta(microseconds=LATENESS_US), timedelta(microseconds=IDLE_US)
RIPE = "7d"
RIPE_US = {name: window_us(name) for name in ("14d", "30d")}
"""Ages of the near end and of the far ends of the default table's windows of ripe transactions."""
COUNTS = [f"count_{window}_by_{entity}" for entity in ("user", "merchant") for window in ("1h", "24h", "7d")]
RISKS = [f"fraud_share_{window}_by_{entity}" for entity in ("user", "merchant") for window in ("7d", "30d")]


def values(records):
    """By record: its vector as a mapping."""
    vectors, _, _ = fold_stream(records)
    return [dict(zip(FEATURE_NAMES, vector.tolist(), strict=True)) for vector in vectors]


def last(records):
    return values(records)[-1]


def take(vector, names):
    return [vector[name] for name in names]


# --- windows


@pytest.mark.parametrize("window", ["1h", "24h", "7d"])
@pytest.mark.parametrize("entity", ["user", "merchant"])
def test_a_window_is_open_at_its_far_end_and_closed_at_its_near_end(window, entity):
    length = timedelta(microseconds=WINDOWS_US[window])
    name = f"count_{window}_by_{entity}"
    for age, inside in ((length, 0), (length - US, 1), (length + US, 0), (US, 1), (0 * US, 1)):
        assert last([transaction(1, T - age), transaction(2, T)])[name] == inside


def test_a_transaction_is_never_in_its_own_aggregates():
    found = last([transaction(1, T, amount=77.0, place=(1.0, 1.0), device="d")])
    assert take(found, COUNTS) == [0.0] * len(COUNTS)
    assert found["amount_sum_7d_by_user"] == found["merchant_distinct_7d_by_user"] == 0.0
    assert np.isnan(found["amount_max_7d_by_user"])
    assert np.isnan(found["seconds_since_last_by_user"])


def test_an_entity_without_history_has_the_stated_defaults():
    record = transaction(
        1, T, category="fuel", country="DE", channel="chip", device="d", place=(1.0, 2.0), home=(1.0, 2.0)
    )
    found = last([record])
    for feature in FEATURES:
        if feature.entity:
            np.testing.assert_equal(found[feature.name], feature.default, feature.name)
        else:
            assert not np.isnan(found[feature.name])


def test_equal_times_are_ordered_by_arrival():
    found = values([transaction(number, T, amount=10.0 * (number + 1)) for number in range(3)])
    assert [vector["count_1h_by_user"] for vector in found] == [0.0, 1.0, 2.0]
    assert [vector["amount_sum_1h_by_merchant"] for vector in found] == [0.0, 10.0, 30.0]


# --- arrival out of order


def test_a_late_transaction_sees_what_arrived_before_it_and_lies_in_its_window():
    found = last(
        [
            transaction(1, T - timedelta(hours=2), amount=1.0),  # before its window
            transaction(2, T - timedelta(minutes=30), amount=2.0),
            transaction(3, T + timedelta(minutes=30), amount=4.0),  # in its future
            transaction(4, T, amount=8.0),
        ]
    )
    assert found["count_1h_by_user"] == 1.0
    assert found["amount_sum_1h_by_user"] == 2.0
    assert found["amount_sum_24h_by_merchant"] == 3.0
    assert found["seconds_since_last_by_user"] == 1800.0


def test_a_late_transaction_counts_in_windows_of_later_arrivals():
    on_time = [transaction(1, T - timedelta(hours=1)), transaction(2, T)]
    late = transaction(3, T - timedelta(minutes=10), amount=5.0)
    found = last([*on_time, late, transaction(4, T + US)])
    assert found["count_1h_by_user"] == 2.0
    assert found["amount_sum_1h_by_user"] == 15.0


def test_what_has_not_arrived_is_not_seen():
    head = [transaction(1, T), transaction(2, T + timedelta(minutes=1))]
    late = transaction(3, T + timedelta(seconds=30))
    assert values([*head, late])[1] == pytest.approx(values(head)[1], nan_ok=True)


@pytest.mark.parametrize(("age", "seen"), [(LATENESS, 1.0), (LATENESS - US, 1.0), (LATENESS + US, 0.0)])
def test_within_the_lateness_whole_windows_are_seen_and_beyond_it_what_is_still_kept(age, seen):
    """The oldest transaction of the longest window, seen by one that is late by ``age``."""
    oldest, late = T - 30 * DAY + US, T
    found = last([transaction(1, oldest), transaction(2, T + age), transaction(3, late)])
    assert found["count_30d_by_user"] == seen


def test_a_transaction_older_than_all_that_is_remembered_gets_a_vector_and_changes_nothing():
    newest = transaction(1, T + 33 * DAY)
    ancient = transaction(2, T)
    found = values([newest, ancient, transaction(3, T + 33 * DAY + US)])
    assert take(found[1], COUNTS) == [0.0] * len(COUNTS)
    assert found[2]["count_30d_by_user"] == 1.0


# --- duplicates


def test_a_duplicate_has_no_vector_and_changes_nothing():
    first, second = transaction(1, T), transaction(2, T + US)
    copy = first.model_copy(update={"amount": 99.0, "event_time": T + US})
    once, _, states = fold_stream([first, second])
    twice, outcomes, same = fold_stream([first, copy, second])
    assert outcomes.tolist() == [kernel.NEW, kernel.DUPLICATE, kernel.NEW]
    assert np.isnan(twice[1]).all()
    assert twice[[0, 2]].tobytes() == once.tobytes()
    assert same == states


def test_a_duplicate_in_a_later_micro_batch_is_recognised():
    first = transaction(1, T)
    _, _, states = fold_stream([first])
    _, outcomes, after = fold_stream([first], states=states)
    assert outcomes.tolist() == [kernel.DUPLICATE]
    assert after == states


# --- labels


def test_a_label_is_invisible_before_it_arrives_and_visible_after():
    bought = transaction(1, T)
    _, before, _, after = values([bought, transaction(2, T + US), label(bought), transaction(3, T + 2 * US)])
    assert take(before, RISKS) == [0.0] * 4
    assert take(after, RISKS) == [0.5] * 4


def test_a_label_that_repeats_itself_counts_once():
    bought = transaction(1, T)
    found = last([bought, transaction(2, T), label(bought), label(bought), transaction(3, T)])
    assert take(found, RISKS) == [0.5] * 4


def test_a_label_changed_back_is_forgotten():
    bought = transaction(1, T)
    labels = [label(bought), label(bought, is_fraud=False)]
    assert take(last([bought, *labels, transaction(2, T)]), RISKS) == [0.0] * 4
    assert take(last([bought, *labels, label(bought), transaction(2, T)]), RISKS) == [1.0] * 4


def test_a_label_says_the_same_of_a_transaction_already_in_tiles():
    """The merchant keeps 256 transactions one by one; the labelled one is the 257th from the end."""
    times = [T + timedelta(seconds=number) for number in range(257)]
    records = [transaction(number, time, user=number % 2) for number, time in enumerate(times)]
    present = transaction(999, times[-1], user=3)
    found = last([*records, label(records[0]), present])
    assert found["fraud_share_7d_by_merchant"] == 1 / 257
    back = last([*records, label(records[0]), label(records[0], is_fraud=False), present])
    assert back["fraud_share_7d_by_merchant"] == 0.0


@pytest.mark.parametrize(("of", "changes"), [(0, 0.0), (1, 1.0)])
def test_a_label_of_what_the_user_keeps_no_more_changes_no_feature(of, changes):
    """The user keeps 512 of 513: the first is in tiles alone, the second is the oldest kept one."""
    records = [transaction(number, T + timedelta(seconds=number)) for number in range(513)]
    _, _, before = fold_stream(records)
    _, outcomes, after = fold_stream([*records, label(records[of])])
    assert outcomes[-1] == changes
    assert (after == before) == (changes == 0.0)


@pytest.mark.parametrize("days", [0, 33])
def test_a_label_of_an_unknown_or_forgotten_transaction_changes_nothing(days):
    """Unknown: its transaction never came. Forgotten: older than 32 days."""
    stranger = transaction(7, T)
    history = [stranger] if days else []
    later = [transaction(1, T + days * DAY), transaction(2, T + days * DAY)]
    quiet, _, states = fold_stream([*history, *later])
    vectors, outcomes, after = fold_stream([*history, later[0], label(stranger), later[1]])
    assert vectors[-1].tobytes() == quiet[-1].tobytes()
    assert outcomes[len(history) + 1] == 0.0
    assert after == states


def test_a_window_of_ripe_transactions_is_open_at_its_far_end_and_closed_at_its_near_end():
    near = timedelta(microseconds=WINDOWS_US[RIPE])
    for window, age_us in RIPE_US.items():
        far = timedelta(microseconds=age_us)
        for age, inside in ((near - US, 0), (near, 1), (near + US, 1), (far - US, 1), (far, 0)):
            bought = transaction(1, T - age)
            found = last([bought, label(bought), transaction(2, T)])
            assert found[f"fraud_share_{window}_ripe_{RIPE}_by_merchant"] == inside


def test_transactions_that_wait_for_their_label_do_not_dilute_the_share_of_the_ripe():
    bought = [transaction(1, T - 9 * DAY), transaction(2, T - 8 * DAY)]
    waiting = [transaction(number, T - number * timedelta(hours=1)) for number in range(10, 16)]
    found = last([*bought, *map(label, bought), *waiting, transaction(20, T)])
    assert found["fraud_share_30d_by_merchant"] == 0.25
    assert found["fraud_share_30d_ripe_7d_by_merchant"] == found["fraud_share_14d_ripe_7d_by_user"] == 1.0


def test_the_ripe_of_a_busy_merchant_lie_in_tiles_and_count_once_their_day_has_ended():
    """A fraud on the evening of a day, and so many more that it is no longer kept one by one."""
    bought = transaction(1, T.replace(hour=20), user=1)
    crowd = [transaction(n, bought.event_time + n * US, user=2) for n in range(2, 2 + MERCHANT.events)]
    name = "fraud_share_30d_ripe_7d_by_merchant"
    for day, share in ((7, 0.0), (8, 1 / 257)):
        present = transaction(999, T.replace(hour=23) + day * DAY, user=3)
        assert last([bought, *crowd, label(bought), present])[name] == share


def test_the_first_known_fraud_tells_how_long_the_misuse_has_gone_on():
    bought = [transaction(number, T - age * DAY) for number, age in ((1, 31), (2, 20), (3, 1))]
    found = last([*bought, *map(label, bought), transaction(4, T)])
    assert found["seconds_since_first_fraud_30d_by_user"] == 20 * 86_400.0
    assert found["seconds_since_fraud_by_user"] == 86_400.0


def test_a_label_changes_only_the_risk():
    old, new = transaction(1, T - 8 * DAY), transaction(2, T)
    labelled = last([old, label(old), new, label(new), transaction(3, T + US)])
    quiet = last([old, new, transaction(3, T + US)])
    differing = {
        name for name in FEATURE_NAMES if not np.array_equal(labelled[name], quiet[name], equal_nan=True)
    }
    assert differing == {feature.name for feature in FEATURES if feature.family is Family.RISK}


# --- what a transaction does not say


def test_missing_coordinates_are_missing_distances_and_do_not_move_the_last_place():
    here, there = (48.1, 11.5), (48.1, 11.6)
    nowhere, somewhere = values(
        [
            transaction(1, T, place=here),
            transaction(2, T + US),
            transaction(3, T + timedelta(hours=1), place=there),
        ]
    )[1:]
    for name in ("distance_from_home", "distance_from_last_by_user", "speed_from_last_by_user"):
        assert np.isnan(nowhere[name])
    assert somewhere["distance_from_last_by_user"] == pytest.approx(7.43, abs=0.01)
    assert somewhere["speed_from_last_by_user"] == pytest.approx(7.43, abs=0.01)


@pytest.mark.parametrize("column", ["category", "country", "device"])
def test_a_value_not_named_is_neither_first_nor_counted(column):
    records = [transaction(1, T, **{column: "DE"}), transaction(2, T), transaction(3, T, **{column: "DE"})]
    found = values(records)
    assert found[0][f"{column}_is_first_by_user"] == 1.0
    assert np.isnan(found[1][f"{column}_is_first_by_user"])
    assert found[2][f"{column}_is_first_by_user"] == 0.0
    if column != "device":
        assert found[2][f"{column}_distinct_24h_by_user"] == 1.0


def test_missing_is_one_bit_pattern():
    vectors, _, _ = fold_stream(long_stream(3, 200))
    bits = vectors.view(np.uint64)[np.isnan(vectors)]
    assert len(bits)
    assert (bits == np.float64("nan").view(np.uint64)).all()


@pytest.mark.parametrize("seed", range(5))
def test_every_value_of_legal_input_is_finite_or_missing(seed):
    vectors, _, _ = fold_stream(long_stream(seed, 200))
    assert not np.isinf(vectors).any()
    always = [i for i, feature in enumerate(FEATURES) if not feature.missing]
    counted = ~np.isnan(vectors).all(axis=1)
    assert not np.isnan(vectors[counted][:, always]).any()


# --- silence


@pytest.mark.parametrize(("silence", "is_first"), [(IDLE, 0.0), (IDLE + US, 1.0)])
def test_an_idle_entity_starts_anew(silence, is_first):
    found = last([transaction(1, T, device="a"), transaction(2, T + silence, device="a")])
    assert found["device_is_first_by_user"] == is_first
    assert found["merchant_is_first_by_user"] == is_first
    assert found["count_30d_by_user"] == 0.0
    assert np.isnan(found["seconds_since_last_by_user"])


# --- the bounds


def dense(entity, count, step):
    """Events of one entity, ``step`` apart, amounts 1, 2, 3, ... and each of another counterpart."""
    others = {"user": "merchant", "merchant": "user"}
    records = [
        transaction(number, T + number * step, amount=float(number + 1), **{others[entity.name]: number})
        for number in range(count)
    ]
    return events_of(records)


@pytest.mark.parametrize("entity", [USER, MERCHANT], ids=["user", "merchant"])
def test_up_to_the_bound_every_window_is_exact_and_one_more_moves_its_far_end_to_a_tile(entity):
    """Twice as many transactions in every hour as are kept one by one."""
    step = timedelta(microseconds=WINDOWS_US["1h"] // (2 * entity.events))
    names = [feature.name for feature in FEATURES if feature.entity == entity]
    column = names.index(f"count_1h_by_{entity.name}") - len(names)
    events = dense(entity, 5 * entity.events, step)
    counts = fold_events(entity, events, {}).vectors[:, column]
    times = events[:, kernel.E_TIME]
    starts = times - WINDOWS_US["1h"]
    exact = np.arange(len(times)) - np.searchsorted(times, starts, side="right")
    tile = 300_000_000
    tiled = np.arange(len(times)) - np.searchsorted(times, starts // tile * tile, side="left")
    within = np.arange(len(times)) <= entity.events
    assert (counts[within] == exact[within]).all()
    assert (counts[~within] == tiled[~within]).all()
    assert (tiled - exact).max() - 1 < tile / (step / US), "the excess fits into less than one tile"
    assert (tiled > exact).any()


def test_beyond_the_bound_distinct_values_are_those_of_the_kept_transactions():
    events = dense(MERCHANT, 600, timedelta(seconds=1))
    names = [feature.name for feature in FEATURES if feature.entity == MERCHANT]
    found = fold_events(MERCHANT, events, {}).vectors[:, names.index("user_distinct_1h_by_merchant")]
    assert found.tolist() == np.minimum(np.arange(600), MERCHANT.events).tolist()


def test_beyond_the_remembered_values_the_least_recently_seen_counts_as_new():
    remembered = dict(USER.known)["device"]
    devices = [transaction(n, T + n * US, device=f"d{n}") for n in range(remembered + 1)]
    again = [
        transaction(100, T + DAY, device="d1"),
        transaction(101, T + DAY, device="d0"),
    ]
    found = values([*devices, *again])
    assert found[-2]["device_is_first_by_user"] == 0.0
    assert found[-1]["device_is_first_by_user"] == 1.0


# --- the documentation


def test_the_worked_example_of_the_documentation_is_what_the_fold_gives():
    row = r"^\| (\d) \| (\d\d):(\d\d) \| ([\d.]+) \| (\d) \| ([\d.]+) \|$"
    rows = re.findall(row, HOW_IT_WORKS.read_text(), re.MULTILINE)
    records = [
        transaction(int(number), T.replace(hour=int(hour), minute=int(minute)), amount=float(amount))
        for number, hour, minute, amount, *_ in rows
    ]
    told = [(float(count), float(amount)) for *_, count, amount in rows]
    found = [(one["count_1h_by_user"], one["amount_sum_1h_by_user"]) for one in values(records)]
    assert len(rows) == 5
    assert found == told


def test_every_test_that_the_documentation_names_exists():
    text = HOW_IT_WORKS.read_text()
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", text)
    assert len(named) > 20
    assert [name for name in named if f"def {name}(" not in tests] == []
