"""Definitions that people write in YAML (rules, experiments, keys): read strictly, refused with their line.

A key that stands twice, an alias (few of them can mean a huge file), a tag and deep nesting are errors.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from fraud.errors import BadConfig

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
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise BadConfig(f"{name}:{line_of(tree, first['loc'])}: {where}: {_plain(first)}") from error


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
        words = error.problem if isinstance(error, _Refused) else f"not YAML: {error}"
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


def _plain(error: "ErrorDetails") -> str:
    """Say what is wrong with a value, and what to write, where pydantic does not."""
    if error["type"] == "timezone_aware":
        return "a time needs its offset; write it like 2026-12-01T00:00:00Z"
    return error["msg"].removeprefix("Value error, ")


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
