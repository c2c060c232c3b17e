"""The guard against records from the future: one rule, for every caller and in whatever form."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.contracts import check_future, without_future
from fraud.contracts.future import MOST_AHEAD_S, ahead_rows, latest_of
from fraud.errors import BadRecord
from fraud.settings.stream import GuardSettings
from jobs.stream.settings import StreamSettings
from services.scoring.settings import ScoringSettings
from tests.fraud.features.streams import label, transaction
from tests.wire import Label

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")
OFFSETS_US = st.one_of(
    st.sampled_from([-1, 0, 1, 299_999_999, 300_000_000, 300_000_001, 33 * 86_400_000_000]),
    st.integers(-(8 * 10**14), 2 * 10**15),
)


def is_refused(record: Label, arrival: datetime, most_ahead_s: float) -> bool:
    try:
        check_future(record, arrival, most_ahead_s)
    except BadRecord:
        return True
    return False


@given(st.lists(st.tuples(OFFSETS_US, OFFSETS_US), min_size=1), st.sampled_from([0.0, 300.0, 86_400.0]))
def test_records_and_tables_are_refused_by_the_same_rule(
    offsets: list[tuple[int, int]], bound_s: float
) -> None:
    """A table by its ``received_at``, else at the moment of reading, refuses what the stream refuses."""
    labels = []
    for number, (event_us, label_us) in enumerate(offsets):
        of = transaction(number, NOW + timedelta(microseconds=event_us))
        labels.append(label(of).model_copy(update={"label_time": NOW + timedelta(microseconds=label_us)}))
    expected = [is_refused(one, NOW, bound_s) for one in labels]
    table = pa.table({name: pa.array([getattr(one, name) for one in labels], TIME) for name in TIMES})
    arrived = table.append_column("received_at", pa.array([NOW] * len(labels), TIME))
    assert ahead_rows(table, bound_s, NOW).tolist() == expected
    assert ahead_rows(arrived, bound_s, NOW + timedelta(days=99)).tolist() == expected
    kept, left_out = without_future(arrived, bound_s)
    assert (kept.num_rows, left_out) == (expected.count(False), expected.count(True))
    bound = timedelta(seconds=bound_s)
    assert [latest_of(one) > NOW + bound for one in labels] == expected


TIMES = ("event_time", "label_time")


def test_the_bound_itself_is_accepted_and_a_microsecond_more_is_not() -> None:
    just = NOW + timedelta(seconds=300)
    check_future(transaction(1, just), NOW)
    with pytest.raises(BadRecord, match="300 s") as found:
        check_future(transaction(1, just + timedelta(microseconds=1)), NOW)
    assert found.value.reason == "future_event_time"
    late = label(transaction(1, NOW)).model_copy(update={"label_time": just + timedelta(days=1)})
    with pytest.raises(BadRecord) as found:
        check_future(late, NOW)
    assert found.value.reason == "future_label_time"


def test_all_programs_have_the_same_bound_by_default() -> None:
    found = [GuardSettings().most_ahead_s, ScoringSettings().most_ahead_s, StreamSettings().most_ahead_s]
    assert found == [MOST_AHEAD_S] * 3


def test_a_row_without_its_arrival_arrives_when_it_is_read_and_a_missing_time_is_no_future() -> None:
    later = NOW + timedelta(days=1)
    table = pa.table(
        {
            "event_time": pa.array([later, later, None], TIME),
            "received_at": pa.array([later, None, NOW], TIME),
        }
    )
    assert ahead_rows(table, 300.0, later).tolist() == [False, False, False]
    assert ahead_rows(table, 300.0, NOW).tolist() == [True, True, False], "nothing has arrived later than now"
    nanoseconds = pa.table({"event_time": pa.array([1], pa.timestamp("ns"))})
    assert np.array_equal(ahead_rows(nanoseconds, 300.0, NOW), [False])
