"""The data report: figures against hand counts, and what it says of leaks, gaps and repeats."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.contracts.priced import priced_table
from fraud.money import NO_RATES, Rate
from fraud.money.rates import ALWAYS
from fraud.schema.arrow import TIME
from fraud.schema.reading import DEFAULT, default_schema, parse_schema
from jobs.init import labels, measure
from jobs.init.currencies import currency_words
from jobs.init.report import write_report
from jobs.init.strength import strength_of
from jobs.init.table_data import DAY_US, Data, in_order

START = datetime(2025, 1, 1, tzinfo=UTC)
ROWS = 900


def table_of(**columns: object) -> pa.Table:
    """Write a row every hour, a fraud every 30th; columns may be exchanged."""
    times = [START + timedelta(hours=at) for at in range(ROWS)]
    is_fraud = [at % 30 == 1 for at in range(ROWS)]
    found: dict[str, object] = {
        "transaction_id": [f"t{at}" for at in range(ROWS)],
        "event_time": pa.array(times, TIME),
        "user_id": [f"u{at % 30}" for at in range(ROWS)],
        "merchant_id": [f"m{at % 7}" for at in range(ROWS)],
        "amount": [1.0 + at % 11 for at in range(ROWS)],
        "channel": ["chip"] * ROWS,
        "is_fraud": pa.array(is_fraud),
        "label_time": pa.array(
            [time + timedelta(days=2 + (at % 3 == 0)) for at, time in enumerate(times)], TIME
        ),
    }
    return pa.table({**found, **columns})


def data_of(**columns: object) -> Data:
    return in_order(table_of(**columns), default_schema())


def test_labels_and_their_delay_are_counted() -> None:
    data = data_of(is_fraud=pa.array([None if at % 9 == 0 else at % 30 == 1 for at in range(ROWS)]))
    rows = {row["what"]: row["value"] for row in labels.labels(data)}
    frauds = sum(at % 30 == 1 and at % 9 != 0 for at in range(ROWS))
    assert (rows["fraud"], rows["not known"]) == (str(frauds), "100")
    assert rows["honest"] == str(ROWS - 100 - frauds)
    assert (rows["label delay, median"], rows["label delay, longest"]) == ("2.0 days", "3.0 days")


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (["EUR", "JPY", "EUR"], "in 2 currencies (EUR, JPY) and are added up as if they were in one"),
        (["USD", None, "USD"], ""),
        (["USD", "points", "XXX"], ""),
    ],
)
def test_amounts_of_several_currencies_are_named_with_what_to_write(
    codes: list[str | None], words: str
) -> None:
    table = table_of(currency=pa.array(codes * (ROWS // 3)))
    found = currency_words(table, default_schema())
    assert [words in one and "`money: {base: EUR}`" in one for one in found] == ([True] if words else [])
    in_euro = parse_schema(DEFAULT.read_bytes() + b"\nmoney: {base: EUR}\n", "money.yaml")
    assert currency_words(table, in_euro) == []


def test_the_report_adds_amounts_up_in_the_base_currency(tmp_path: Path) -> None:
    schema = parse_schema(DEFAULT.read_bytes() + b"\nmoney: {base: JPY}\n", "money.yaml")
    rates = NO_RATES.with_([Rate("USD", "JPY", ALWAYS, Decimal(150))])
    table = priced_table(table_of(currency=pa.array(["USD"] * ROWS)), schema, rates)
    write_report(table, schema, tmp_path / "data.html", "cards")
    whole = 150 * sum(1 + at % 11 for at in range(ROWS))
    assert f"{whole:,} JPY in all" in (tmp_path / "data.html").read_text()


def test_a_gap_is_found_with_its_ends_and_regular_times_have_none() -> None:
    assert measure.gaps(data_of()) == []
    times = [START + timedelta(hours=at + (72 if at >= 500 else 0)) for at in range(ROWS)]
    (gap,) = measure.gaps(data_of(event_time=pa.array(times, TIME)))
    assert gap == {"from": "2025-01-21 19:00:00", "to": "2025-01-24 20:00:00", "hours": 73.0}


def test_repeats_are_counted_by_kind() -> None:
    ids = [f"t{max(at, 2)}" for at in range(ROWS)]  # t2 three times, of three users
    rows = {row["what"]: row["rows"] for row in measure.repeats(data_of(transaction_id=ids))}
    assert list(rows.values()) == [2, 2, 0]
    same = table_of().slice(0, 1).set_column(0, "transaction_id", pa.array(["other"]))
    both = in_order(pa.concat_tables([table_of(), same]), default_schema())
    assert [row["rows"] for row in measure.repeats(both)] == [0, 0, 1]


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(-1, 3), st.booleans()), min_size=1, max_size=60))
def test_what_came_in_the_30_days_before_is_what_a_loop_finds(rows: list[tuple[int, int, bool]]) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    times = np.asarray([row[0] * DAY_US for row in rows], np.int64)
    codes = np.asarray([row[1] for row in rows], np.int64)
    is_fraud = np.asarray([row[2] for row in rows], np.bool_)
    before, fraud_before = measure.seen_before(times, codes, is_fraud)
    for at, (day, code, _) in enumerate(rows):
        earlier = [row for row in rows[:at] if row[1] == code >= 0 and day - row[0] <= 30]
        assert before[at] == bool(earlier)
        assert fraud_before[at] == any(row[2] for row in earlier)


def test_a_column_that_knows_the_label_is_named_and_noise_is_not() -> None:
    fraud = np.asarray(table_of()["is_fraud"].to_numpy())
    assert strength_of(pa.array(np.where(fraud, "closed", "open")), fraud) == 1.0
    assert strength_of(pa.array(np.where(fraud, -5.0, np.arange(ROWS) * 1.0)), fraud) == 1.0
    noise = pa.array(np.random.default_rng(3).normal(size=ROWS))
    assert strength_of(noise, fraud) < 0.65
    assert np.isnan(strength_of(noise, fraud & (np.arange(ROWS) < 300)))


def test_a_column_that_moves_is_told_from_one_that_does_not() -> None:
    data = data_of(channel=["chip" if at < ROWS / 2 else "online" for at in range(ROWS)])
    assert measure.moved(data, "channel") > 1
    assert measure.moved(data, "amount") < 0.05
    assert np.isnan(measure.moved(data, "transaction_id"))


def test_the_report_says_what_to_look_at_and_escapes_what_the_table_holds(tmp_path: Path) -> None:
    is_fraud = [at % 30 == 1 for at in range(ROWS)]
    table = table_of(channel=["<b>stolen</b>" if fraud else "chip" for fraud in is_fraud])
    said = write_report(table, default_schema(), tmp_path / "data.html", "mine.csv", {"note": "empty"})
    html = (tmp_path / "data.html").read_text()
    assert "channel tells fraud by itself (1.000): is it known before the decision?" in said
    assert any(words.startswith("fraud gathers on user_id: 30 times") for words in said), said
    assert "90 % of the labels come within 3 days: --label-gap-days 3" in said
    assert "&lt;b&gt;stolen" in html
    assert "<b>stolen" not in html
    assert html.count("<img") == 6
    assert "http" not in html.split("</style>")[1]


@pytest.mark.parametrize("columns", [["is_fraud", "label_time"], ["label_time"]])
def test_a_table_without_labels_has_a_report_too(tmp_path: Path, columns: list[str]) -> None:
    said = write_report(
        table_of().drop_columns(columns), default_schema(), tmp_path / "data.html", "mine.csv"
    )
    words = "no column says when a label" if "is_fraud" not in columns else "no fraud is labelled"
    assert any(words in one for one in said), said


def test_a_table_of_one_row_has_a_report(tmp_path: Path) -> None:
    write_report(table_of().slice(0, 1), default_schema(), tmp_path / "data.html", "mine.csv")
