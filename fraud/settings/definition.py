"""Definitions that people write in YAML (rules, experiments, keys): read strictly, refused with their line.

A key that stands twice, an alias (few of them can mean a huge file), a tag and deep nesting are errors.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from fraud.errors import BadConfig
from fraud.settings.names import suggest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)
Stamp = tuple[int, int, int]
"""Of a file: time of its last change, size, inode."""
MOST_BYTES: Final = 32 << 20
"""Greatest size of a definition: about a million entries of lists."""
MOST_DEPTH: Final = 50
"""Lists and mappings inside each other; far above what any definition has, far below the parser's stack."""
_TEXT: Final = "tag:yaml.org,2002:str"
_PLAIN: Final = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


def parse_definition(model: type[M], raw: bytes, name: str) -> tuple[M, Any]:
    """Read a definition.

    Parameters
    ----------
    model
        What it must be.
    raw
        YAML.
    name
        Of the file, for the message.

    Returns
    -------
    tuple
        The definition, and its YAML tree for :func:`line_of`.

    Raises
    ------
    BadConfig
        ``file:line: field: reason``.
    """
    content, tree = read_yaml(raw, name)
    if not isinstance(content, dict):
        found = "it is empty" if content is None else f"it holds {content!r:.40}"
        raise BadConfig(
            f"{name}:{line_of(tree, ())}: the file must hold names with values, `name: value`; {found}"
        )
    try:
        return model.model_validate(content), tree
    except ValidationError as error:
        first = first_of(error)
        where = ".".join(map(str, first["loc"])) or "file"
        raise BadConfig(f"{name}:{line_of(tree, first['loc'])}: {where}: {in_words(first, model)}") from error


def first_of(error: ValidationError) -> "ErrorDetails":
    """Choose what to say of an error: a misspelt word first, which may be what is missing elsewhere."""
    found = error.errors(include_url=False)
    return next((one for one in found if one["type"] == "extra_forbidden"), found[0])


def in_words(error: "ErrorDetails", model: type[BaseModel]) -> str:
    """Say what is wrong with a value of a definition, and what to write; never the value of a key.

    Parameters
    ----------
    error
        One of pydantic's.
    model
        Of the whole definition.
    """
    kind, loc, given = error["type"], error["loc"], error["input"]
    if kind == "extra_forbidden":
        return f"there is no such setting; {suggest(str(loc[-1]), _names_in(model, loc[:-1]))}"
    if kind in {"enum", "literal_error"} and isinstance(given, str):
        known = re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected")))
        return f"no such value {given[:40]!r}; {suggest(given, known)}"
    if kind in {"model_type", "dict_type"}:
        names = ", ".join(_names_in(model, loc)[:3])
        return f"write names with values here, `name: value`{f', e.g. of {names}' if names else ''}"
    plain = {
        "missing": f"{(loc or ['it'])[-1]} is missing; write {(loc or ['it'])[-1]}: ...",
        "list_type": "write a list here, e.g. [a, b]",
        "string_type": f"{str(given)[:40]} is no text; write one, in quotes where it looks like a number",
        "timezone_aware": "a time needs its offset; write it like 2026-12-01T00:00:00Z",
    }
    return plain.get(kind, error["msg"].removeprefix("Value error, "))


def _unread(error: yaml.YAMLError, raw: bytes) -> str:
    """Say why a text is no YAML, without the parser's own places, and what to write where it is plain."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"not YAML: {error}".splitlines()[0]
    mark, lines = error.problem_mark, raw.splitlines()
    if mark.line < len(lines) and lines[mark.line].lstrip(b" ").startswith(b"\t"):
        return "not YAML: a tab begins the line; write spaces"
    context = f" {error.context}" if error.context else ""
    return f"not YAML: {error.problem}{context}, at column {mark.column + 1}"


def _names_in(annotation: Any, loc: Sequence[str | int]) -> list[str]:
    """List the names that may stand at a place of a definition; none where it is not known."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    origin, inner = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {one.alias or name: one for name, one in annotation.model_fields.items()}
        if not loc:
            return list(fields)
        return _names_in(fields[str(loc[0])].annotation, loc[1:]) if str(loc[0]) in fields else []
    if origin in {list, tuple, dict}:
        return _names_in(inner[-1], loc[1:]) if loc else []
    if origin in {Union, UnionType}:
        return next((found for one in inner if (found := _names_in(one, loc))), [])
    return []


def read_yaml(raw: bytes, name: str) -> tuple[Any, Any]:
    r"""Read one YAML document of plain lists, mappings and values.

    Returns
    -------
    tuple
        The content, and its YAML tree for :func:`line_of`.

    Raises
    ------
    BadConfig
        ``file:line: reason``.

    Examples
    --------
    >>> read_yaml(b"a: 1\nb: 2\na: 3\n", "keys.yaml")
    Traceback (most recent call last):
    ...
    fraud.errors.BadConfig: keys.yaml:3: the key a is given twice, first in line 1
    """
    if len(raw) > MOST_BYTES:
        raise BadConfig(f"{name}:1: {len(raw):,} bytes; a definition has at most {MOST_BYTES:,}")
    try:
        loader = _Loader(raw)
        tree = loader.get_single_node()
        return _content(loader, tree, set()), tree
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        words = error.problem if isinstance(error, _Refused) else _unread(error, raw)
        raise BadConfig(f"{name}:{mark.line + 1 if mark else 1}: {words}") from error


def line_of(node: Any, path: Sequence[str | int]) -> int:
    """Find the line of a path in a YAML tree, or of its nearest ancestor that is there."""
    return place_of(node, path)[0]


def place_of(node: Any, path: Sequence[str | int]) -> tuple[int, int]:
    """Find line and column of a path in a YAML tree, or of its nearest ancestor that is there; from 1."""
    for part in path:
        if isinstance(node, yaml.MappingNode):
            below = next((value for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            below = node.value[part]
        else:
            below = None
        if below is None:
            break
        node = below
    return (int(node.start_mark.line) + 1, int(node.start_mark.column) + 1) if node is not None else (1, 1)


def stamp_of(file: Path) -> Stamp | None:
    """Tell one state of a file from another without reading it; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class _Refused(yaml.MarkedYAMLError):
    """YAML that a definition may not use."""


class _Loader(yaml.CSafeLoader):
    """libyaml's parser; it recurses in C without a bound of its own."""

    depth = 0

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:  # noqa: ARG002  (yaml calls it)
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise _Refused(problem=f"nested deeper than {MOST_DEPTH}", problem_mark=_mark(current_node))

    def ascend_resolver(self) -> None:
        self.depth -= 1


def _content(loader: _Loader, node: Any, seen: set[int]) -> Any:
    """Make values of a tree; a node that is met again is an alias."""
    if node is None:
        return None
    if id(node) in seen:
        raise _Refused(
            problem="an alias repeats this value elsewhere; write it out there", problem_mark=_mark(node)
        )
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.tag == _TEXT else _value(loader, node)
    if node.tag not in _PLAIN:
        raise _Refused(problem=f"the tag {node.tag} is not allowed", problem_mark=_mark(node))
    if isinstance(node, yaml.SequenceNode):
        return [_content(loader, one, seen) for one in node.value]
    found: dict[Any, Any] = {}
    lines: dict[Any, int] = {}
    for key_node, value in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _Refused(problem="a key must be a single value", problem_mark=_mark(key_node))
        key = _content(loader, key_node, seen)
        if key in found:
            words = f"the key {key} is given twice, first in line {lines[key]}"
            raise _Refused(problem=words, problem_mark=_mark(key_node))
        found[key], lines[key] = _content(loader, value, seen), _mark(key_node).line + 1
    return found


def _value(loader: _Loader, node: Any) -> Any:
    try:
        return loader.construct_object(node)
    except ValueError as error:  # a date that does not exist
        raise _Refused(problem=f"{node.value}: {error}", problem_mark=_mark(node)) from error
    except (LookupError, AttributeError) as error:  # `!!int ""`: yaml does not look before it reads
        words = f"{node.value!r} is no value of the tag {node.tag}"
        raise _Refused(problem=words, problem_mark=_mark(node)) from error


def _mark(node: Any) -> Any:
    return getattr(node, "start_mark", None)
