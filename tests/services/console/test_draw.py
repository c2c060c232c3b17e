"""The pictures: every event is drawn once, inside the frame, whatever the history holds."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.console import draw
from services.console.archive import Event

START = datetime(2026, 3, 1, tzinfo=UTC)


def event(at: int, **given: Any) -> Event:
    content: dict[str, Any] = {
        "transaction_id": f"t{at}",
        "event_time": START + timedelta(minutes=at),
        "words": {"merchant_id": "m1"},
        "amount": 10.0,
        **dict.fromkeys(("outcome", "score", "is_fraud")),
        **dict.fromkeys(("latitude", "longitude", "home_latitude", "home_longitude")),
        "is_case": False,
    }
    return Event(**{**content, **given})


def parse(picture: str) -> None:
    """Fail where it is not well formed."""
    ET.fromstring(picture)  # noqa: S314


def numbers(picture: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf'class="dot" .*?{name}="([-\d.]+)"', picture)]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 90_000), st.floats(0.01, 1e7), st.floats(-90, 90), st.floats(-180, 180)),
        min_size=1,
        max_size=20,
    )
)
def test_every_event_is_drawn_inside_the_frame(rows: list[tuple[int, float, float, float]]) -> None:
    events = [
        event(at, amount=amount, latitude=latitude, longitude=longitude)
        for at, amount, latitude, longitude in sorted(rows)
    ]
    for picture, width, height in (
        (str(draw.draw_timeline(events)), 880, 230),
        (str(draw.draw_map(events)), 420, 320),
    ):
        parse(picture)
        x, y = numbers(picture, "cx"), numbers(picture, "cy")
        assert len(x) == len(events)
        assert all(0 <= value <= width for value in x)
        assert all(0 <= value <= height for value in y)


def test_words_of_records_are_never_markup() -> None:
    evil = "</title><script>alert(1)</script>"
    picture = str(draw.draw_timeline([event(0, words={"category": evil, "channel": evil})]))
    assert "<script" not in picture
    parse(picture)


def test_nothing_to_draw_is_no_picture() -> None:
    assert (
        draw.draw_timeline([])
        == draw.draw_map([event(0)])
        == draw.draw_bounds([(None, None, None)], 1.0)
        == ""
    )


@pytest.mark.parametrize("bins", [[0] * 20, [1] * 20, [10**7, *[0] * 19]])
def test_histograms_and_traffic_are_well_formed(bins: list[int]) -> None:
    parse(str(draw.draw_bars(bins)))
    parse(str(draw.draw_traffic([Counter(approve=one) for one in bins])))
    parse(str(draw.draw_bounds([(float(one), -1.0, 1.0) for one in bins], 0.5)))
