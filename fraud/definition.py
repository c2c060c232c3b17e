"""Definitions that people write in YAML (rules, experiments): read strictly, refused with line and reason."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from fraud.errors import BadConfig

M = TypeVar("M", bound=BaseModel)
Stamp = tuple[int, int, int]
"""Of a file: time of its last change, size, inode."""


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
    try:
        tree = yaml.compose(raw, yaml.SafeLoader)
        content = yaml.safe_load(raw)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none, brackets without end
        mark = getattr(error, "problem_mark", None)
        raise BadConfig(f"{name}:{mark.line + 1 if mark else 1}: not YAML: {error}") from error
    try:
        return model.model_validate(content), tree
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise BadConfig(f"{name}:{line_of(tree, first['loc'])}: {where}: {first['msg']}") from error


def line_of(node: Any, path: Sequence[str | int]) -> int:
    """Find the line of a path in a YAML tree, or of its nearest ancestor that is there."""
    for part in path:
        if isinstance(node, yaml.MappingNode):
            below = next((value for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            below = node.value[part]
        else:
            below = None
        if below is None:
            break
        node = below
    return int(node.start_mark.line) + 1 if node is not None else 1


def stamp_of(file: Path) -> Stamp | None:
    """Tell one state of a file from another without reading it; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
