"""The guard against records from the future: one rule, for every caller and in whatever form."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.contracts import bounds_of, check_future, without_future
from fraud.contracts.future import MOST_AHEAD_S, AheadBounds, ahead_rows, latest_of
from fraud.errors import BadRecord
from fraud.schema.reading import parse_schema
from fraud.schema.reading.file import DEFAULT
from fraud.settings.stream import GuardSettings
from jobs.stream.settings import StreamSettings
from services.scoring.settings import ScoringSettings
from tests.fraud.features.streams import label, transaction
from tests.wire import Label, Transaction

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")
BOUNDED = parse_schema(
    DEFAULT.read_bytes() + b"future: {by: channel, most_ahead_s: {pos: 30, batch_file: 7200, strict: 0}}\n",
    "bounded.yaml",
)
BOUNDS = bounds_of(BOUNDED)
BY_CHANNEL = [("pos", 30), ("batch_file", 7_200), ("strict", 0), ("online", 300), ("POS", 300), (None, 300)]
OFFSETS_US = st.one_of(
    st.sampled_from([-1, 0, 1, 299_999_999, 300_000_000, 300_000_001, 33 * 86_400_000_000]),
    st.integers(-(8 * 10**14), 2 * 10**15),
)


def is_refused(record: Label, arrival: datetime, most_ahead_s: float) -> bool:
    try:
        check_future(record, arrival, AheadBounds(most_ahead_s))
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
    bounds = AheadBounds(bound_s)
    assert ahead_rows(table, bounds, NOW).tolist() == expected
    assert ahead_rows(arrived, bounds, NOW + timedelta(days=99)).tolist() == expected
    kept, left_out = without_future(arrived, bounds)
    assert (kept.num_rows, left_out) == (expected.count(False), expected.count(True))
    bound = timedelta(seconds=bound_s)
    assert [latest_of(one) > NOW + bound for one in labels] == expected


TIMES = ("event_time", "label_time")


def test_the_bound_itself_is_accepted_and_a_microsecond_more_is_not() -> None:
    just = NOW + timedelta(seconds=300)
    check_future(transaction(1, just), NOW, AheadBounds())
    with pytest.raises(BadRecord, match="300 s") as found:
        check_future(transaction(1, just + timedelta(microseconds=1)), NOW, AheadBounds())
    assert found.value.reason == "future_event_time"
    late = label(transaction(1, NOW)).model_copy(update={"label_time": just + timedelta(days=1)})
    with pytest.raises(BadRecord) as found:
        check_future(late, NOW, AheadBounds())
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
    assert ahead_rows(table, AheadBounds(), later).tolist() == [False, False, False]
    assert ahead_rows(table, AheadBounds(), NOW).tolist() == [True, True, False], (
        "nothing has arrived later than now"
    )
    nanoseconds = pa.table({"event_time": pa.array([1], pa.timestamp("ns"))})
    assert np.array_equal(ahead_rows(nanoseconds, AheadBounds(), NOW), [False])


def from_channel(channel: str | None, ahead: timedelta) -> Transaction:
    return transaction(1, NOW + ahead).model_copy(update={"channel": channel})


@pytest.mark.parametrize(("channel", "bound_s"), BY_CHANNEL)
def test_a_transaction_has_the_bound_of_its_source(channel: str | None, bound_s: float) -> None:
    bound = timedelta(seconds=bound_s)
    check_future(from_channel(channel, bound), NOW, BOUNDS)
    own = "" if bound_s == 300 else " (part `future` of the schema, by channel)"
    with pytest.raises(BadRecord) as found:
        check_future(from_channel(channel, bound + timedelta(microseconds=1)), NOW, BOUNDS)
    assert found.value.reason == "future_event_time"
    assert found.value.detail.endswith(f"; at most {bound_s} s are accepted{own}")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([channel for channel, _ in BY_CHANNEL]),
            st.sampled_from([bound for _, bound in BY_CHANNEL]),
            st.sampled_from([-1, 0, 1]),
        ),
        min_size=1,
    )
)
def test_tables_bound_each_row_by_its_source_as_records_are(drawn: list[tuple[str | None, int, int]]) -> None:
    records = [
        from_channel(channel, timedelta(seconds=bound_s, microseconds=more))
        for channel, bound_s, more in drawn
    ]
    of = dict(BY_CHANNEL)
    expected = [bound_s * 10**6 + more > of[channel] * 10**6 for channel, bound_s, more in drawn]
    table = pa.table(
        {
            "event_time": pa.array([one.event_time for one in records], TIME),
            "channel": pa.array([one.channel for one in records], pa.string()),
        }
    )
    assert [latest_of(one) - NOW > timedelta(seconds=of[one.channel]) for one in records] == expected
    assert ahead_rows(table, BOUNDS, NOW).tolist() == expected
    encoded = table.set_column(1, "channel", table["channel"].dictionary_encode())
    assert ahead_rows(encoded, BOUNDS, NOW).tolist() == expected
    default = [bound_s * 10**6 + more > 300 * 10**6 for _, bound_s, more in drawn]
    assert ahead_rows(table.drop_columns(["channel"]), BOUNDS, NOW).tolist() == default, "no source is told"
    for record, is_late in zip(records, expected, strict=True):
        assert is_refused_by(record, BOUNDS) == is_late


def is_refused_by(record: Any, bounds: AheadBounds) -> bool:
    try:
        check_future(record, NOW, bounds)
    except BadRecord:
        return True
    return False


@pytest.mark.parametrize(
    ("event_s", "label_s", "is_late"),
    [(7_200, 300, False), (7_201, 0, True), (0, 301, True), (None, 300, False)],
)
def test_a_label_may_repeat_the_time_of_a_transaction_of_any_source(
    event_s: int | None, label_s: int, *, is_late: bool
) -> None:
    """It does not tell the source; its own time has the bound of the setting."""
    event = None if event_s is None else NOW + timedelta(seconds=event_s)
    told = {"event_time": event, "label_time": NOW + timedelta(seconds=label_s)}
    record = label(transaction(1, NOW)).model_copy(update=told)
    assert is_refused_by(record, BOUNDS) == is_late
    table = pa.table({name: pa.array([value], TIME) for name, value in told.items()})
    assert ahead_rows(table, BOUNDS, NOW).tolist() == [is_late]


def test_a_stricter_setting_holds_for_what_the_schema_does_not_bound() -> None:
    strict = bounds_of(BOUNDED, 10.0)
    assert (strict.least_s, strict.greatest_s) == (0.0, 7_200.0)
    assert is_refused_by(from_channel("online", timedelta(seconds=11)), strict)
    assert not is_refused_by(from_channel("pos", timedelta(seconds=30)), strict)
