"""Files of rules, keys and experiments that are no definition at all."""

import pytest
from pydantic import BaseModel

from fraud.errors import BadConfig
from fraud.settings.definition import parse_definition, read_yaml


class Definition(BaseModel):
    """Some definition."""

    version: str


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "it is empty"),
        (b"# nothing\n", "it is empty"),
        (b"- a\n", r"it holds \['a'\]"),
        (b"3", "it holds 3"),
    ],
)
def test_a_file_without_names_is_refused_in_words(raw: bytes, words: str) -> None:
    with pytest.raises(BadConfig, match=rf"^rules.yaml:1: the file must hold names with values.*{words}$"):
        parse_definition(Definition, raw, "rules.yaml")


@pytest.mark.parametrize("value", ['!!int ""', "!!int _", '!!float ""', "!!bool maybe", "!!timestamp soon"])
def test_a_value_that_is_none_of_its_tag_is_refused_with_its_line(value: str) -> None:
    with pytest.raises(BadConfig, match=r"^rules.yaml:2: '.*' is no value of the tag tag:yaml.org,2002:"):
        read_yaml(f"name: a\nvalue: {value}\n".encode(), "rules.yaml")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"a: 1\n\tb: 2\n", "rules.yaml:2: not YAML: a tab begins the line; write spaces"),
        (b"a: 1\n  b: 2\n", "rules.yaml:2: not YAML: .* at column 4"),
        (b"a: [1, 2\n", "rules.yaml:2: not YAML: .*expected .* at column 1"),
        (b"\xff\xfe\x00", "rules.yaml:1: not YAML"),
    ],
)
def test_what_is_no_yaml_is_refused_in_one_line(raw: bytes, words: str) -> None:
    with pytest.raises(BadConfig, match=f"^{words}") as told:
        read_yaml(raw, "rules.yaml")
    assert "\n" not in str(told.value)
    assert "byte string" not in str(told.value)
