"""The language of the source part: what is read, and what is refused in which words."""

import pytest

from fraud.errors import BadConfig
from fraud.schema.expressions import (
    BadExpression,
    Column,
    column_text,
    columns_of,
    constant_text,
    parse_expression,
)
from fraud.schema.reading import DEFAULT, parse_schema


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("amt", ("amt",)),
        ('"Is Fraud?"', ("Is Fraud?",)),
        ('"a ""b"""', ('a "b"',)),
        ("Händler", ("Händler",)),
        ("event.ts", ("event.ts",)),
        ("time(join(Day, ' ', Clock), 'day-first', 'Europe/Berlin')", ("Day", "Clock")),
        ("map(\"Is Fraud?\", 'Yes' = true, 'No' = false, else = null)", ("Is Fraud?",)),
        ("abs(number(x, 'comma')) / 100", ("x",)),
        ("when(number(a) < 0, 'refund', b)", ("a", "b")),
        ("coalesce(a, b, 'none')", ("a", "b")),
        ("row()", ()),
        ("null", ()),
    ],
)
def test_an_expression_says_which_columns_it_reads(text: str, columns: tuple[str, ...]) -> None:
    assert columns_of(parse_expression(text)) == columns


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "ends too early"),
        ("Merchant Name", "write a name with spaces in double quotes"),
        ("Amount (USD)", "no function Amount .*in double quotes"),
        ("nmber(a)", "no function nmber .*did you mean number"),
        ("number(a, 'komma')", "no form 'komma' of numbers; did you mean comma?"),
        ("number(a, b)", "argument 2 must be a form in single quotes"),
        ("number()", "number takes 1 to 2 arguments, not 0"),
        ("time(a, 'us-style')", "no form 'us-style' of times"),
        ("time(a, 'iso', 'Berlin')", "no zone 'Berlin'"),
        ("steps(a, '1y', '2024-01-01')", "'1y' is not the length of a step"),
        ("steps(a, '0h', '2024-01-01')", "'0h' is not the length of a step"),
        ("steps(a, '1h', 'monday')", "'monday' is not a time"),
        ("map(a)", "map needs cases"),
        ("map(a, 'x' = true, 'y' = 'no')", "of one kind"),
        ("map(a, 'x' = true, 'x' = false)", "is given twice"),
        ("map(a, 'x')", "write = here"),
        ("pad(a, 'x')", "number of characters"),
        ("a; b", "';' at character 2 has no meaning here"),
        ("join(a b)", "a comma or"),
        ("__import__('os')", "no function __import__|has no meaning"),
        ("abs(" * 30 + "a" + ")" * 30, "more than 20 deep"),
        ("a" * 3_000, "at most 2,000"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_may_stand_there(text: str, words: str) -> None:
    with pytest.raises(BadExpression, match=words):
        parse_expression(text)


@pytest.mark.parametrize("name", ["amt", "Is Fraud?", 'a "b"', "", "true", "2nd", "else", "Händler", "a.b"])
def test_a_columns_name_is_written_so_that_it_is_read_back(name: str) -> None:
    assert parse_expression(column_text(name)) == Column(name)


@pytest.mark.parametrize("value", ["it's", "", 2.5, -1.0, True, False, None])
def test_a_constant_is_written_so_that_it_is_read_back(value: str | float | bool | None) -> None:
    found = parse_expression(f"coalesce(a, {constant_text(value)})")
    assert found.arguments[1].value == value  # type: ignore[union-attr]


def with_source(lines: str) -> bytes:
    return DEFAULT.read_bytes() + f"source:\n{lines}".encode()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            "  columns: {amuont: amt}\n",
            r"mine:\d+:\d+: source.columns.amuont: no column 'amuont'; did you mean amount",
        ),
        ("  columns:\n    amount: nmber(amt)\n", r"mine:\d+:\d+: source.columns.amount: no function nmber"),
        (
            "  read: {decimals: comma}\n",
            "source.read.decimals: there is no such setting; did you mean decimal",
        ),
        ("  read: {zone: Berlin}\n", "no zone 'Berlin'"),
        ("  colums: {}\n", "source.colums: there is no such setting; did you mean columns"),
    ],
)
def test_a_wrong_source_part_is_refused_with_its_line(lines: str, words: str) -> None:
    with pytest.raises(BadConfig, match=words):
        parse_schema(with_source(lines), "mine")


def test_the_source_part_changes_no_version() -> None:
    """It says how tables are read, not what states and vectors are."""
    plain = parse_schema(DEFAULT.read_bytes(), "mine")
    other = parse_schema(with_source("  columns: {amount: number(amt)}\n"), "mine")
    assert other.tables is not None
    assert (other.version, other.features_version) == (plain.version, plain.features_version)
