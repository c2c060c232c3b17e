"""Tables of profiles: what an adopter's table says is what is sent; a wrong row is named."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fraud.errors import BadInput
from fraud.schema.reading import default_schema, read_schema
from jobs.profiles.table import read_profiles

SCHEMA = read_schema(Path(__file__).parents[3] / "docs" / "examples" / "account-takeover.yaml")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def table(folder: Path, text: str) -> Path:
    path = folder / "customers.csv"
    path.write_text(text)
    return path


def test_a_row_tells_what_it_has_and_nothing_else(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "account,name,segment,home_latitude,home_longitude,customer_since\n"
        "17,Ann,retail,52.5,13.4,2019-05-01T00:00:00Z\n"
        "18,Bob,,,,2020-01-01T00:00:00Z\n",
    )
    one, two = read_profiles(path, "account", SCHEMA, source="core", now=NOW)
    assert (one.record_key, one.profile_time, one.source) == ("account:17", NOW, "core")
    assert '"home_latitude":52.5' in one.profile
    assert two.profile == '{"customer_since":"2020-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    ("text", "entity", "words"),
    [
        (
            "card,credit_limit\nc1,5000\n",
            "cards",
            "the entity 'cards' has no profile; did you mean card?",
        ),
        (
            "card,credit\nc1,5000\n",
            "card",
            "has no column of the profile; name its columns credit_limit, issued",
        ),
        ("number,credit_limit\nc1,5000\n", "card", "lacks the column card; it has number, credit_limit"),
        (
            "card,credit_limit\nc1,5000\nc2,1e12\n",
            "card",
            "row 2: profile.credit_limit: Input should be less",
        ),
        (
            "account,home_latitude\n1,52.5\n",
            "account",
            "home_latitude and home_longitude must be given together",
        ),
        ("card,profile_time,credit_limit\nc1,2026-04-01,5\n", "card", "row 1: profile_time: lies 31 days"),
    ],
)
def test_a_wrong_table_is_refused_with_its_row_and_what_to_write(
    tmp_path: Path, text: str, entity: str, words: str
) -> None:
    with pytest.raises(BadInput) as raised:
        read_profiles(table(tmp_path, text), entity, SCHEMA, now=NOW)
    assert words in str(raised.value)


def test_a_schema_without_profiles_says_how_to_have_some(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"takes no profiles; write which in its part `profiles`"):
        read_profiles(table(tmp_path, "user_id,limit\n1,5\n"), "user", default_schema())
