"""Tables as people bring them: read as meant, with the guess told, or refused with the flag that helps."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraud.errors import BadInput
from fraud.tables import TIME, check_mapping, open_source, parse_columns, parse_reading

CASES = Path(__file__).parent / "cases"
LABEL = {"is_fraud": pa.bool_(), "label_time": TIME}
FIRST, SECOND = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 2, tzinfo=UTC)
MORNING, NIGHT = datetime(2025, 1, 2, 10, tzinfo=UTC), datetime(2025, 2, 13, 22, 30, tzinfo=UTC)
SIMULATED = [
    "transaction_id=trans_num",
    "event_time=trans_date_trans_time",
    "user_id=cc_num",
    "merchant_id=merchant",
    "amount=amt",
]
PLACES = ["latitude=merch_lat", "longitude=merch_long", "home_latitude=lat", "home_longitude=long"]


def read(
    path: str | Path, columns: list[str] | None = None, how: list[str] | None = None
) -> tuple[pa.Table, list[str]]:
    """Read a table as a command does; also what it tells."""
    told: list[str] = []
    names = parse_columns(columns) or {}
    source = open_source(
        "transactions", CASES / path, columns=names, reading=parse_reading(how), also=LABEL, tell=told.append
    )
    check_mapping(names, [source])
    return source.table(told.append), told


def test_a_mapping_of_places_goes_before_the_guess() -> None:
    table, told = read("simulated_layout.csv", [*SIMULATED, *PLACES])
    assert told == []
    assert table["latitude"].to_pylist() == [32.75, 40.25]
    assert table["longitude"].to_pylist() == [-79.5, -104.75]
    assert table["home_latitude"].to_pylist() == [33.5, 39.5]
    assert table["home_longitude"].to_pylist() == [-80.25, -105.25]
    assert table["user_id"].to_pylist() == ["4000000000000007", "4000000000000015"]
    assert table["amount"].to_pylist() == [82.83, 67.5]
    assert table["category"].to_pylist() == ["gas", "food"]
    assert table["event_time"][0].as_py() == datetime(2025, 1, 1, 0, 0, 36, tzinfo=UTC)


def test_an_absent_column_is_named_with_the_tables_own_columns_and_the_flag() -> None:
    with pytest.raises(BadInput, match=r"lacks the column transaction_id, .*it has '', trans_date.*--column"):
        read("simulated_layout.csv")


def test_half_a_place_is_not_used_and_both_are_and_it_is_said() -> None:
    table, told = read("lat_and_long.csv")
    assert table["latitude"].to_pylist() == [48.5, 49.5]
    assert table["longitude"].to_pylist() == [9.25, 8.25]
    assert "latitude, longitude read from lat, long, by a guess" in told[0]
    table, _ = read("lat_alone.csv")
    assert "latitude" not in table.column_names
    table, told = read("lat_alone.csv", ["latitude=lat"])
    assert "latitude" not in table.column_names
    assert "latitude is not used: there is no longitude" in told[0]


def test_the_mapped_column_is_used_where_our_name_exists_too_and_it_is_said() -> None:
    table, told = read("two_amounts.csv", ["amount=amt"])
    assert table["amount"].to_pylist() == [99.0, 98.0]
    assert "amount is read from amt, as --column says, and not from amount" in told[0]


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("category=absent", "there is no column absent; .*two_amounts.csv has transaction_id, event_time"),
        ("ctegory=amt", "we read no column ctegory; did you mean category"),
        ("amount", "takes OURS=THEIRS"),
    ],
)
def test_a_wrong_mapping_is_refused_by_name(mapping: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read("two_amounts.csv", [mapping])


def test_one_of_theirs_may_be_two_of_ours() -> None:
    table, _ = read("two_amounts.csv", ["category=merchant_id"])
    assert table["category"].to_pylist() == table["merchant_id"].to_pylist() == ["m0", "m1"]


def test_only_an_empty_field_is_missing() -> None:
    table, _ = read("text_like_missing.csv")
    assert table["user_id"].to_pylist() == ["NA", "u1"]
    assert table["merchant_id"].to_pylist() == ["m0", "None"]
    assert table["country"].to_pylist() == ["NA", "DE"]
    assert table["category"].to_pylist() == ["null", "nan"]
    assert table["channel"].to_pylist() == [None, "chip"]


@pytest.mark.parametrize(
    ("name", "amounts", "words"),
    [
        ("dollars.csv", [1234.5, 7.5], "amount is read as amounts such as 1,234.50"),
        ("decimal_comma.csv", [1234.5, 7.5], "amount is read as amounts such as 1.234,50"),
        ("semicolons.csv", [1234.5, 7.5], "separated by ';'"),
    ],
)
def test_amounts_are_read_as_meant_and_the_guess_is_told(name: str, amounts: list[float], words: str) -> None:
    table, told = read(name)
    assert table["amount"].to_pylist() == amounts
    assert table["event_time"].to_pylist() == [FIRST, SECOND]
    assert any(words in one for one in told), told


@pytest.mark.parametrize(("how", "amounts"), [("comma", [1.234, 2.5]), ("point", [1234.0, 2500.0])])
def test_amounts_of_two_meanings_are_refused_until_it_is_said(how: str, amounts: list[float]) -> None:
    with pytest.raises(BadInput, match=r"amount .*--read decimal=comma or --read decimal=point"):
        read("either_decimal.csv")
    assert read("either_decimal.csv", how=[f"decimal={how}"])[0]["amount"].to_pylist() == amounts


def test_a_file_that_is_not_utf_8_is_read_as_windows_1252() -> None:
    table, told = read("latin_1.csv")
    assert table["merchant_id"].to_pylist() == ["Bäckerei Größe", "Café"]
    assert "not UTF-8" in told[0]
    assert read("latin_1.csv", how=["encoding=latin-1"]) == (table, [])
    with pytest.raises(BadInput, match="encoding=no-such"):
        read("latin_1.csv", how=["encoding=no-such"])


@pytest.mark.parametrize(
    ("name", "times", "words"),
    [
        ("day_first.csv", [MORNING, NIGHT], "the day first"),
        ("month_first.csv", [MORNING, NIGHT], "the month first"),
        ("epoch_s.csv", [FIRST, SECOND], "times in s since 1970"),
        ("epoch_ms.csv", [FIRST, SECOND], "times in ms since 1970"),
        ("epoch_us.csv", [FIRST, SECOND], "times in us since 1970"),
        ("epoch_ns.csv", [FIRST, SECOND], "times in ns since 1970"),
    ],
)
def test_times_are_read_as_meant_and_the_guess_is_told(name: str, times: list[datetime], words: str) -> None:
    table, told = read(name)
    assert table["event_time"].to_pylist() == times
    assert words in told[0]


@pytest.mark.parametrize(("how", "months"), [("day-first", [2, 2]), ("month-first", [1, 3])])
def test_dates_of_two_meanings_are_refused_until_it_is_said(how: str, months: list[int]) -> None:
    with pytest.raises(BadInput, match=r"event_time .*--read times=day-first or --read times=month-first"):
        read("either_day.csv")
    table, _ = read("either_day.csv", how=[f"times={how}"])
    assert [time.month for time in table["event_time"].to_pylist()] == months


def test_a_form_that_does_not_fit_is_refused() -> None:
    with pytest.raises(
        BadInput, match="event_time must hold times: cannot be read with --read times=month-first"
    ):
        read("day_first.csv", how=["times=month-first"])
    with pytest.raises(BadInput, match="--read times=never"):
        read("day_first.csv", how=["times=never"])


def test_times_of_another_form_are_refused_with_the_flag_that_reads_them(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "transaction_id,When,user_id,merchant_id,amount\nt0,01 Jan 2025,u,m,1\nt1,02 Jan 2025,u,m,1\n"
    )
    with pytest.raises(BadInput, match=r"got '01 Jan 2025'; .*--column OURS=\"time\(THEIRS, '%d %b %Y"):
        read(tmp_path / "t.csv", ["event_time=When"])
    table, _ = read(tmp_path / "t.csv", ["event_time=time(When, '%d %b %Y')"])
    assert table["event_time"].to_pylist() == [FIRST, SECOND]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2025-01-01", FIRST),
        ("2025/01/01 00:00", FIRST),
        ("2025-01-01T00:00:00Z", FIRST),
        ("2025-01-01 01:00:00+01:00", FIRST),
        ("2025-01-01 00:00:00 UTC", FIRST),
        ("2025-01-01T00:00:00.123456789", FIRST.replace(microsecond=123456)),
        ("20250101", FIRST),
        ("1.1.2025", FIRST),
    ],
)
def test_times_without_an_offset_are_utc_and_beside_those_that_have_one(
    tmp_path: Path, text: str, time: datetime
) -> None:
    (tmp_path / "t.csv").write_text(
        f"transaction_id,event_time,user_id,merchant_id,amount\nt0,{text},u,m,1\nt1,{text},u,m,1\n"
    )
    assert read(tmp_path / "t.csv")[0]["event_time"].to_pylist() == [time, time]


def test_labels_are_words_or_numbers_and_an_unknown_one_names_its_flag() -> None:
    assert read("yes_and_no.csv")[0]["is_fraud"].to_pylist() == [False, True]
    with pytest.raises(BadInput, match=r"is_fraud must hold .*got '2'; .*--read label:2=unknown"):
        read("labels_0_1_2.csv")
    for meaning, value in (("unknown", None), ("fraud", True), ("honest", False)):
        table, _ = read("labels_0_1_2.csv", how=[f"label:2={meaning}"])
        assert table["is_fraud"].to_pylist() == [False, True, value]


def late(rows: range, *, whole: bool) -> str:
    lines = [
        f"t{i},2025-01-01 00:00:00,u{i % 9},m,{10 if whole else 10.25},0,{'' if whole else 'late'}\n"
        for i in rows
    ]
    return "transaction_id,event_time,user_id,merchant_id,amount,is_fraud,note\n" + "".join(lines)


def test_types_are_not_fixed_by_the_first_rows_or_the_first_file(tmp_path: Path) -> None:
    """In one file longer than a block of the reader's default (1 MiB), and in a folder of CSV or Parquet."""
    (tmp_path / "one.csv").write_text(
        late(range(40_000), whole=True) + late(range(40_000, 40_100), whole=False).split("\n", 1)[1]
    )
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv/a.csv").write_text(late(range(100), whole=True))
    (tmp_path / "csv/b.csv").write_text(late(range(100, 200), whole=False))
    (tmp_path / "parquet").mkdir()
    for name, amounts in (("a", pa.array([10] * 100)), ("b", pa.array([10.25] * 100))):
        times = pa.array([FIRST] * 100, TIME)
        text = pa.array([f"{name}{i}" for i in range(100)])
        columns = {"transaction_id": text, "event_time": times, "user_id": text, "merchant_id": text}
        pq.write_table(pa.table({**columns, "amount": amounts}), tmp_path / f"parquet/{name}.parquet")
    for path, rows in (("one.csv", 40_100), ("csv", 200), ("parquet", 200)):
        table, _ = read(tmp_path / path)
        assert table.num_rows == rows
        assert table["amount"][0].as_py() == 10.0
        assert table["amount"][rows - 1].as_py() == 10.25


def test_a_form_is_chosen_by_all_rows(tmp_path: Path) -> None:
    """40,000 dates that both ways fit, and at the end one that tells."""
    head = "transaction_id,event_time,user_id,merchant_id,amount\n"
    rows = [f"t{i},01/02/2025,u,m,1\n" for i in range(40_000)]
    (tmp_path / "t.csv").write_text(head + "".join(rows) + "last,25/02/2025,u,m,1\n")
    assert read(tmp_path / "t.csv")[0]["event_time"][0].as_py() == datetime(2025, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "lacks the column"),
        ("transaction_id,event_time,user_id,merchant_id,amount\n", "has no rows"),
        ("transaction_id,event_time,user_id,merchant_id,amount\nt0,2025-01-01,u\n", "cannot be read"),
        (
            "transaction_id,event_time,user_id,merchant_id,amount,amount\nt,2025-01-01,u,m,1,2\n",
            "amount is twice",
        ),
        (
            "transaction_id,event_time,user_id,merchant_id,amount\nt0,2025-01-01,u,m,\n",
            "amount has 1 missing",
        ),
        (
            "transaction_id,event_time,user_id,merchant_id,amount\nt0,2025-01-01,u,m,much\n",
            "hold numbers: got 'much'",
        ),
        ("a" * 200_000, "cannot be read as a CSV, JSON, Parquet or Delta table"),
        ("transaction_id,event_time,user_id,merchant_id,amount\nt0,31/02/2025,u,m,1\n", "must hold times"),
    ],
)
def test_a_broken_file_is_refused_in_words(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(BadInput, match=words):
        read(tmp_path / "t.csv")


SOME_DECIMALS = [Decimal("1.50")] * 2
ODD_COLUMNS = {
    "list": pa.array([[1], [2]]),
    "struct": pa.array([{"a": 1}] * 2),
    "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int32())),
    "decimal": pa.array(SOME_DECIMALS),
    "decimal256": pa.array(SOME_DECIMALS, pa.decimal256(60, 2)),
    "dictionary": pa.array(["a", "b"]).dictionary_encode(),
    "uint64": pa.array([2**64 - 1] * 2, pa.uint64()),
    "int64": pa.array([2**63 - 1, -(2**63)]),
    "half": pa.array([1.0, 2.0], pa.float32()).cast(pa.float16()),
    "infinite": pa.array([float("inf"), float("nan")]),
    "time": pa.array([1, 2], pa.time32("s")),
    "duration": pa.array([1, 2], pa.duration("s")),
    "far_us": pa.array([2**62, 2], pa.timestamp("us")),
    "far_ns": pa.array([2**62, 2], pa.timestamp("ns")),
    "zoned": pa.array([1, 2], pa.timestamp("us", tz="America/New_York")),
    "nowhere": pa.array([1, 2], pa.timestamp("us", tz="Foo/Bar")),
    "bytes": pa.array([b"\xff\xfe"] * 2),
    "null": pa.nulls(2),
    "flag": pa.array([True, False]),
    "view": pa.array(["a", "b"], pa.string_view()),
}


@pytest.mark.parametrize("kind", ODD_COLUMNS)
def test_a_column_of_any_type_is_read_or_refused_in_words(tmp_path: Path, kind: str) -> None:
    text, times = pa.array(["a", "b"]), pa.array([FIRST] * 2, TIME)
    good = {"transaction_id": text, "event_time": times, "user_id": text, "merchant_id": text}
    good |= {"amount": pa.array([1.5] * 2), "is_fraud": pa.array([True, False]), "label_time": times}
    for name in good:
        pq.write_table(pa.table({**good, name: ODD_COLUMNS[kind]}), tmp_path / "t.parquet")
        try:
            found = read(tmp_path / "t.parquet")[0].num_rows
        except BadInput as refused:
            found = 2 if name in str(refused) else str(refused)
        assert found == 2


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_whole_numbers_since_1970_are_times(tmp_path: Path, unit: str) -> None:
    """Those of nanoseconds are beyond what a float64 holds exactly."""
    text, since = pa.array(["a", "b"]), pa.array([FIRST, SECOND], pa.timestamp(unit)).cast(pa.int64())
    rows = {"transaction_id": text, "event_time": since, "user_id": text, "merchant_id": text}
    pq.write_table(pa.table({**rows, "amount": pa.array([1.5] * 2)}), tmp_path / "t.parquet")
    table, told = read(tmp_path / "t.parquet")
    assert table["event_time"].to_pylist() == [FIRST, SECOND]
    assert f"times in {unit} since 1970" in told[0]
