"""What expressions make of a table's values."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from fraud.schema.expressions import parse_expression
from fraud.tables.evaluate import evaluate


def value(text: str, **columns: object) -> Any:
    """Evaluate an expression over one row."""
    batch = pa.record_batch({name: pa.array([one]) for name, one in columns.items()})
    return evaluate(parse_expression(text), batch, 0)[0].as_py()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "given", "found"),
    [
        ("number(x)", "$1234.50", 1234.5),
        ("number(x, 'point')", "€1,234.50", 1234.5),
        ("number(x, 'comma')", "1.234,50", 1234.5),
        ("number(x)", 7, 7.0),
        ("number(x)", None, None),
        ("number(missing(x, 'N/A', '-'))", "N/A", None),
        ("abs(number(x))", "-12.5", 12.5),
        ("number(x) / 100", "1999", 19.99),
        ("number(x) * 2", "1.5", 3.0),
        ("number(x) / 0", "1", None),
        ("text(x)", 42, "42"),
        ("pad(x, 6)", 93015, "093015"),
        ("map(x, 'Yes' = true, 'No' = false)", "Yes", True),
        ("map(x, 'Yes' = true, 'No' = false)", None, None),
        ("map(x, 1 = true, 0 = false, 2 = null)", 2, None),
        ("map(x, '1' = true, '0' = false)", 1.0, True),
        ("map(x, '1' = true, '0' = false)", " 1 ", True),
        ("map(x, 'A' = 'atm', else = 'other')", "Z", "other"),
        ("map(x, true = 'y', false = 'n')", True, "y"),
        ("when(number(x) < 0, 'refund', 'purchase')", "-1", "refund"),
        ("when(number(x) < 0, 'refund', 'purchase')", "0", "purchase"),
        ("when(x == 'a', 1, 2)", "a", 1.0),
        ("coalesce(x, 'none')", None, "none"),
        ("join(x, '-', x)", 5, "5-5"),
        ("row()", 5, "1"),
    ],
)
def test_values_are_made_as_the_expression_says(text: str, given: object, found: object) -> None:
    assert value(text, x=given) == found


@pytest.mark.parametrize(
    ("text", "given", "found"),
    [
        ("time(x)", "2025-07-01 12:00:00", "2025-07-01 12:00"),
        ("time(x, 'iso', 'Europe/Berlin')", "2025-07-01 12:00:00", "2025-07-01 10:00"),
        ("time(x, 'iso', 'Europe/Berlin')", "2025-07-01 12:00:00+05:00", "2025-07-01 07:00"),
        ("time(x, 'iso', 'Europe/Berlin')", "2025-10-26 02:30", "2025-10-26 00:30"),  # twice: the first
        ("time(x, 'iso', 'Europe/Berlin')", "2025-03-30 02:30", "2025-03-30 01:00"),  # never: the change
        ("time(x, 'day-first')", "03.04.2025 05:06", "2025-04-03 05:06"),
        ("time(x, 'month-first')", "03/04/2025 05:06", "2025-03-04 05:06"),
        ("time(x, 'ms')", 1704067200000, "2024-01-01 00:00"),
        ("time(x, 's')", "1704067200", "2024-01-01 00:00"),
        ("time(x, '%d%b%Y:%H:%M:%S')", "05Feb2024:10:11:12", "2024-02-05 10:11:12"),
        ("time(x, '%Y-%m-%dT%H:%M:%S%z', 'Europe/Berlin')", "2024-01-02T10:00:00+0100", "2024-01-02 09:00"),
        ("steps(x, '1h', '2024-01-01')", "30", "2024-01-02 06:00"),
        ("steps(x, '1s', '2024-01-01T00:00:00+02:00')", 90.5, "2023-12-31 22:01:30.500000"),
        ("time(date(2024, x, 7))", "2", "2024-02-07 00:00"),
    ],
)
def test_times_are_made_as_the_expression_says(text: str, given: object, found: str) -> None:
    assert value(text, x=given) == at(found)


def test_a_date_and_a_clock_are_one_time() -> None:
    assert value("time(join(d, ' ', c), 'day-first', 'Europe/Berlin')", d="31.12.2024", c="23:30:00") == at(
        "2024-12-31 22:30"
    )


@pytest.mark.parametrize(
    ("text", "given", "words"),
    [
        ("number(x)", "1,234.50", r"got '1,234.50'; number\(..., 'point'\)"),
        ("number(x)", "N/A", r"missing\(..., 'N/A'\)"),
        ("map(x, 'Yes' = true)", "maybe", "got 'maybe', which map"),
        ("time(x, '%d%m%Y')", "2024-01-01", "got '2024-01-01', which is not of the form %d%m%Y"),
        ("when(x, 1, 2)", "a", "needs a comparison"),
    ],
)
def test_a_value_that_does_not_fit_is_named(text: str, given: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        value(text, x=given)


def test_rows_are_numbered_over_batches() -> None:
    batch = pa.record_batch({"x": [1, 2]})
    assert evaluate(parse_expression("row()"), batch, 40).to_pylist() == ["41", "42"]
