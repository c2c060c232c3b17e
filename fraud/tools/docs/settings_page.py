"""The page of the settings: every field of every ``Settings`` class, with the words under it."""

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo

from fraud.settings.base import Settings
from fraud.tools.docs.markdown import code, table

__all__ = ["page", "settings"]

_ROOT: Final = Path(__file__).parents[3]


def settings() -> dict[str, dict[str, tuple[FieldInfo, str]]]:
    """Find all settings: by prefix and field, each with its definition and its words."""
    for folder in ("fraud", "jobs", "services"):
        for file in sorted((_ROOT / folder).rglob("*.py")):
            if "env_prefix=" in file.read_text():
                importlib.import_module(".".join(file.relative_to(_ROOT).with_suffix("").parts))
    found: dict[str, dict[str, tuple[FieldInfo, str]]] = {}
    for kind in _below(Settings):
        prefix = kind.model_config.get("env_prefix", "")
        if prefix.startswith("FRAUD_"):
            fields = found.setdefault(prefix, {})
            fields |= {name: (field, _words(kind, name)) for name, field in kind.model_fields.items()}
    return dict(sorted(found.items()))


def page() -> str:
    """Write the page."""
    parts = ["# Settings\nEnvironment variables of the programs, generated from their `settings.py`.\n"]
    for prefix, fields in settings().items():
        rows = [
            (code(prefix + name.upper()), _default(field), words) for name, (field, words) in fields.items()
        ]
        parts += [f"## {prefix}\\*\n", table(["variable", "default", "meaning"], rows)]
    return "\n".join(parts)


def _below(kind: type[Settings]) -> Iterator[type[Settings]]:
    for one in kind.__subclasses__():
        yield one
        yield from _below(one)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = None if field.default_factory is not None else field.default
    return "" if value is None or value in ("", {}) else code(getattr(value, "value", value))


def _words(kind: type[Settings], name: str) -> str:
    for owner in kind.__mro__:
        if name in inspect.get_annotations(owner):
            return _docstrings(owner).get(name, "")
    return ""


@cache
def _docstrings(kind: type) -> dict[str, str]:
    """Read the strings under a class's fields."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)  # noqa: S101  (a class's source is one)
    return {
        field.target.id: inspect.cleandoc(words.value.value)
        for field, words in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(words, ast.Expr) and isinstance(words.value, ast.Constant)
        if isinstance(words.value.value, str)
    }
