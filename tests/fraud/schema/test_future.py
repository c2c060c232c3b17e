"""The part `future`: bounds of dates in the future by source, and what is refused of it."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.errors import BadConfig
from fraud.schema.diff import Effect, compare
from fraud.schema.reading import default_schema, parse_schema
from fraud.schema.reading.document import json_schema
from fraud.schema.reading.file import DEFAULT

TEXT = DEFAULT.read_text()
LINE = TEXT.count("\n") + 1
"""Where the part stands."""


def with_future(part: str) -> bytes:
    return f"{TEXT}future: {part}\n".encode()


def test_the_bounds_are_read_by_source() -> None:
    found = parse_schema(with_future("{by: channel, most_ahead_s: {pos: 30, batch_file: 7200.5}}"), "s.yaml")
    assert found.future is not None
    assert (found.future.by, found.future.of) == ("channel", {"pos": 30.0, "batch_file": 7200.5})
    assert default_schema().future is None


WRONG = {
    "{by: channelx, most_ahead_s: {pos: 30}}": "14: future.by: no field 'channelx'; did you mean channel?",
    "{by: place, most_ahead_s: {pos: 30}}": "14: future.by: place is a place; name a category or key",
    "{by: kind, most_ahead_s: {transfer: 30}}": "14: future.by: kind names no source; write a key or cat",
    "{by: channel}": "9: future.most_ahead_s: most_ahead_s is missing; write most_ahead_s: ...",
    "{by: channel, most_ahead_s: {}}": "37: future.most_ahead_s: Dictionary should have at least 1 item",
    "{by: channel, most_ahead_s: {pos: -1}}": "43: future.most_ahead_s.pos: Input should be greater than",
    "{by: channel, most_ahead_s: {pos: 4000000000}}": "43: future.most_ahead_s.pos: Input should be less",
    "{by: channel, most_ahead_s: {pos: .nan}}": "43: future.most_ahead_s.pos: Input should be a finite",
    "{by: channel, most_ahead_s: {pos: 5m}}": "43: future.most_ahead_s.pos: Input should be a valid number",
    "{by: channel, most_ahead_s: {pos: yes}}": "43: future.most_ahead_s.pos: Input should be a valid number",
    "{by: channel, bounds: {pos: 30}}": "31: future.bounds: there is no such setting; write one of by, mo",
    "{by: channel, most_ahead_s: {'': 30}}": "42: future.most_ahead_s.: a channel has 1 to 64",
    "{by: country, most_ahead_s: {Germany: 9}}": (
        "47: future.most_ahead_s.Germany: a country must match the pattern [A-Z]{2}"
    ),
}


@pytest.mark.parametrize("part", WRONG)
def test_wrong_bounds_are_refused_with_their_place(part: str) -> None:
    with pytest.raises(BadConfig, match=re.escape(f"s.yaml:{LINE}:{WRONG[part]}")):
        parse_schema(with_future(part), "s.yaml")


def test_the_command_refuses_them_too(tmp_path: Path) -> None:
    file = tmp_path / "schema.yaml"
    file.write_bytes(with_future("{by: channel, most_ahead_s: {pos: -1}}"))
    done = CliRunner().invoke(app, ["schema", "check", str(file)])
    assert done.exit_code == 1
    assert f"schema.yaml:{LINE}:43: future.most_ahead_s.pos: Input should be greater" in " ".join(
        done.output.split()
    )
    file.write_bytes(with_future("{by: channel, most_ahead_s: {pos: 30}}"))
    assert CliRunner().invoke(app, ["schema", "check", str(file)]).exit_code == 0


def test_bounds_change_the_version_and_nothing_that_was_counted() -> None:
    plain = default_schema()
    one, other = (
        parse_schema(with_future(f"{{by: channel, most_ahead_s: {{pos: {bound}}}}}"), "s.yaml")
        for bound in (30, 60)
    )
    assert len({plain.version, one.version, other.version}) == 3
    assert plain.features_version == one.features_version
    for before, after in ((plain, one), (one, other), (other, plain)):
        (change,) = compare(before, after)
        assert (change.effect, change.what) == (Effect.NOTHING, "future is different")


def test_editors_know_the_part() -> None:
    found = json_schema()
    assert found["$defs"]["FuturePart"]["required"] == ["by", "most_ahead_s"]
    assert {"$ref": "#/$defs/FuturePart"} in found["properties"]["future"]["anyOf"]
