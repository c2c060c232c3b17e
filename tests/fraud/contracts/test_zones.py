"""Local time: offsets of zones, daylight saving included; a table's are those of its records."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.contracts.zones import check_zone, offset_us, offsets_us
from fraud.errors import BadInput

ZONES = ["Europe/Berlin", "America/New_York", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"]
SPRING = datetime(2026, 3, 29, 1, tzinfo=UTC)  # 01:59:59 in Berlin is followed by 03:00:00
AUTUMN = datetime(2026, 10, 25, 1, tzinfo=UTC)  # 02:59:59 by 02:00:00


@pytest.mark.parametrize(("change", "before", "after"), [(SPRING, 1, 2), (AUTUMN, 2, 1)])
def test_the_clocks_change_in_the_microsecond_in_which_they_do(
    change: datetime, before: int, after: int
) -> None:
    last = change - timedelta(microseconds=1)
    found = [offset_us("Europe/Berlin", time) // 3_600_000_000 for time in (last, change)]
    assert found == [before, after]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, *ZONES, "+05:45", "-12:00", "Z"]),
            st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
        ),
        min_size=1,
    )
)
def test_a_table_has_the_offsets_of_its_records(drawn: list[tuple[str | None, datetime]]) -> None:
    zones, times = zip(*drawn, strict=True)
    table = pa.table(
        {"zone": pa.array(zones, pa.string()), "event_time": pa.array(times, pa.timestamp("us", "UTC"))}
    )
    found = offsets_us(table, "zone").tolist()
    assert found == [offset_us(zone, time) for zone, time in drawn]
    for (zone, time), offset in zip(drawn, found, strict=True):
        if zone in ZONES:
            local = time.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            assert local == time.replace(tzinfo=None) + timedelta(microseconds=offset)


@pytest.mark.parametrize(
    "zone", ["Berlin", "+2", "+25:00", "../../etc/passwd", "", "Europe/Berlin ", "+\u0660\u0662:00"]
)
def test_a_zone_that_is_not_known_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="must be a zone such as Europe/Berlin"):
        check_zone(zone)
    table = pa.table({"zone": [zone], "event_time": pa.array([SPRING], pa.timestamp("us", "UTC"))})
    with pytest.raises(BadInput, match="column zone"):
        offsets_us(table, "zone")
