"""Labels count by their window, and none that is too young ever does."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.errors import BadInput
from jobs.performance.read import join, read_decided
from tests.deployed import SCHEMA
from tests.jobs.performance.worlds import at, decisions, labels, write

ROWS = [
    ("a", "u", 0.0, 10.0, "decline", 0.9, "1"),
    ("b", "v", 1.0, 20.0, "approve", 0.1, "1"),
    ("c", "u", 2.0, 30.0, "review", None, None),
    ("d", "w", 20.0, 40.0, "approve", 0.2, "2"),
]
LABEL_ROWS = [
    ("a", 0.0, 3.0, True),
    ("b", 1.0, 10.0, True),
    ("c", 2.0, 4.0, True),
    ("c", 2.0, 12.0, False),  # taken back
    ("x", 2.0, 3.0, True),  # of a transaction that was not decided here
]
US = 1_000_000


def read(told=LABEL_ROWS, days: float = 40.0):
    return join(decisions(ROWS), labels(told), SCHEMA, as_of_us=int(at(days).timestamp() * US))


def test_a_label_counts_in_the_windows_that_it_came_in() -> None:
    decided = read()
    assert decided.is_fraud(1).tolist() == [False, False, False, False]
    assert decided.is_fraud(7).tolist() == [True, False, True, False]
    assert decided.is_fraud(14).tolist() == [True, True, False, False]
    assert decided.version.tolist() == ["1", "1", "none", "2"]
    assert decided.is_flagged.tolist() == [True, False, True, False]
    assert np.isnan(decided.score[2])


def test_a_decision_that_is_there_twice_counts_once() -> None:
    decided = join(
        decisions([*ROWS, ROWS[0]]), labels(LABEL_ROWS), SCHEMA, as_of_us=int(at(40.0).timestamp() * US)
    )
    assert len(decided.event_us) == len(ROWS)
    assert decided.is_fraud(7).sum() == 2


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.01, 90.0), st.booleans()), max_size=12))
def test_what_comes_after_the_window_changes_nothing(late) -> None:
    further = [(ROWS[k][0], ROWS[k][2], ROWS[k][2] + 7.0 + by, is_fraud) for k, by, is_fraud in late]
    assert read([*LABEL_ROWS, *further]).is_fraud(7).tolist() == read().is_fraud(7).tolist()


def test_what_was_not_known_yet_is_not_read(tmp_path) -> None:
    delta = write(tmp_path, decisions(ROWS), labels(LABEL_ROWS))
    early = read_decided(delta, {}, SCHEMA, as_of=at(3.5), days=90)
    assert len(early.event_us) == 3, "the fourth is made later"
    assert early.is_fraud(7).tolist() == [True, False, False]
    assert early.matured_until(7) < early.event_us[0], "and none is old enough"


def test_a_label_dated_into_the_future_makes_nothing_old_enough(tmp_path) -> None:
    delta = write(tmp_path, decisions(ROWS), labels([*LABEL_ROWS, ("d", 20.0, 900.0, True)]))
    decided = read_decided(delta, {}, SCHEMA, as_of=None, days=900, now=at(22.0))
    assert decided.as_of_us == int(at(22.0).timestamp() * US)
    assert not decided.is_fraud(900)[3]
    quiet = read_decided(delta, {}, SCHEMA, as_of=None, days=900, now=at(1000.0))
    assert quiet.as_of_us == int(at(900.0).timestamp() * US)


def test_a_platform_without_labels_has_none(tmp_path) -> None:
    decided = read_decided(write(tmp_path, decisions(ROWS)), {}, SCHEMA, as_of=None, days=90)
    assert decided.is_fraud(30).sum() == 0
    assert decided.as_of_us == int(at(20.0).timestamp() * US)


def test_a_platform_without_decisions_is_told_so(tmp_path) -> None:
    with pytest.raises(BadInput, match="no Delta table decisions"):
        read_decided(str(tmp_path), {}, SCHEMA, as_of=None, days=90)
    delta = write(tmp_path, decisions(ROWS))
    with pytest.raises(BadInput, match="no decision"):
        read_decided(delta, {}, SCHEMA, as_of=at(0.0) - timedelta(days=1), days=5)


def test_a_label_given_today_on_traffic_of_long_ago_makes_nothing_old_enough(tmp_path) -> None:
    delta = write(tmp_path, decisions(ROWS), labels([*LABEL_ROWS, ("d", 20.0, 900.0, True)]))
    decided = read_decided(delta, {}, SCHEMA, as_of=None, days=90, now=at(2000.0))
    assert decided.as_of_us < int(at(111.0).timestamp() * US)
