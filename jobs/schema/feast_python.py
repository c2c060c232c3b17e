"""Reads the Python files of a Feast repository as text: nothing in them is imported or run.

Known are constants, lists, dictionaries, sums and products, ``timedelta(...)``, names that are assigned once
at the top of this or another file, and Feast's own constructors and decorators. What is built otherwise, in a
loop or by a function, is named as not read.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from fraud.errors import BadInput
from jobs.schema.feast import Aggregation, Column, Repository, Source, View

VIEWS: Final = {
    "FeatureView": "batch",
    "BatchFeatureView": "batch",
    "SortedFeatureView": "batch",
    "StreamFeatureView": "stream",
    "LabelView": "label",
}
"""Constructors of views, and their kind."""
DECORATORS: Final = {"batch_feature_view": "batch", "stream_feature_view": "stream"}
_ON_DEMAND: Final = frozenset({"OnDemandFeatureView", "on_demand_feature_view"})
_KNOWN: Final = frozenset({*VIEWS, *DECORATORS, *_ON_DEMAND, "Entity", "FeatureService", "RequestSource"})
_DEEPEST: Final = 40


@dataclass(frozen=True, slots=True)
class _Made:
    """A call of a constructor."""

    kind: str
    named: Mapping[str, Any]
    placed: tuple[Any, ...] = ()

    def get(self, *names: str) -> Any:
        """Return the first argument of these names that is given; None where there is none."""
        return next((self.named[name] for name in names if name in self.named), None)

    @property
    def name(self) -> str:
        """The argument ``name``, or the first one."""
        found = self.named.get("name", self.placed[0] if self.placed else None)
        return found if isinstance(found, str) else ""


@dataclass(frozen=True, slots=True)
class _Symbol:
    """A name of another module, e.g. Float32; or code that is not read: an empty name."""

    name: str = ""


class _Reader:
    """The files of a repository, and the names that each assigns."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.trees = {file: _parse(file) for file in files}
        self._names = {file: _once(_assigned(tree)) for file, tree in self.trees.items()}

    def value(self, file: Path, node: ast.AST | None, depth: int = 0) -> Any:  # noqa: PLR0911  (a case each)
        """Work out an expression; a ``_Symbol`` where it cannot be read."""
        if depth > _DEEPEST:
            return _Symbol()
        match node:
            case ast.Constant():
                return node.value
            case ast.List() | ast.Tuple() | ast.Set():
                return [self.value(file, one, depth + 1) for one in node.elts]
            case ast.Dict():
                keys = [self.value(file, key, depth + 1) for key in node.keys]
                values = [self.value(file, one, depth + 1) for one in node.values]
                return {key: one for key, one in zip(keys, values, strict=True) if isinstance(key, str)}
            case ast.BinOp():
                left, right = (self.value(file, one, depth + 1) for one in (node.left, node.right))
                return _reckon(node.op, left, right)
            case ast.Name():
                return self._named(file, node.id, depth)
            case ast.Attribute():
                return _Symbol(node.attr)
            case ast.Call():
                return self._called(file, node, depth)
        return _Symbol()

    def _named(self, file: Path, name: str, depth: int) -> Any:
        places = (
            [file] if name in self._names[file] else [one for one in self._names if name in self._names[one]]
        )
        if len(places) != 1:  # imported from elsewhere, or of several files
            return _Symbol(name if not places else "")
        return self.value(places[0], self._names[places[0]][name], depth + 1)

    def _called(self, file: Path, node: ast.Call, depth: int) -> Any:
        kind = _called_name(node)
        placed = tuple(self.value(file, one, depth + 1) for one in node.args)
        named = {one.arg: self.value(file, one.value, depth + 1) for one in node.keywords if one.arg}
        if kind == "timedelta":
            try:
                return timedelta(*placed, **named)
            except (TypeError, OverflowError):
                return _Symbol()
        return _Made(kind, named, placed)


def read_python(files: Sequence[Path], found: Repository) -> None:
    """Add what Python files define.

    Raises
    ------
    BadInput
        When a file is no Python.
    """
    reader = _Reader(files)
    for file, tree in reader.trees.items():
        seen: set[int] = set()
        for node in tree.body:
            for call, code in _defining(node):
                made = reader.value(file, call)
                if isinstance(made, _Made) and made.kind in _KNOWN:
                    seen.add(id(call))
                    _take(made, code, found, f"{file.name}:{call.lineno}")
        for below in ast.walk(tree):
            if isinstance(below, ast.Call) and _called_name(below) in _KNOWN and id(below) not in seen:
                _tell_unread(reader, file, below, found)


def _tell_unread(reader: _Reader, file: Path, call: ast.Call, found: Repository) -> None:
    """Name a definition in a loop or a function; one within another definition has been read with it."""
    kind, made = _called_name(call), reader.value(file, call)
    if kind in {"Entity", "RequestSource"} and made.name:
        _take(made, "", found, f"{file.name}:{call.lineno}")
        return
    found.unread.append((f"{kind} at {file.name}:{call.lineno}", "it is made by code, which is not run"))


def _parse(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadInput(f"{file} cannot be read as Python: {error}") from error


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from ((one.id, node.value) for one in node.targets if isinstance(one, ast.Name))
        elif isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
            yield node.target.id, node.value


def _once(pairs: Iterator[tuple[str, ast.expr]]) -> dict[str, ast.AST]:
    """Keep what names mean; one that is assigned twice cannot be told without running the code."""
    found: dict[str, ast.AST] = {}
    for name, node in pairs:
        found[name] = ast.Pass() if name in found else node
    return found


def _defining(node: ast.stmt) -> Iterator[tuple[ast.Call, str]]:
    """List the calls of a file's statement that may define something, with the function below them."""
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr) and isinstance(node.value, ast.Call):
        yield node.value, ""
    elif isinstance(node, ast.FunctionDef):
        yield from ((one, node.name) for one in node.decorator_list if isinstance(one, ast.Call))


def _called_name(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def _reckon(operator: ast.operator, left: Any, right: Any) -> Any:
    kinds = int | float | timedelta
    if not (isinstance(left, kinds) and isinstance(right, kinds)):
        return _Symbol()
    try:
        match operator:
            case ast.Add():
                return left + right  # type: ignore[operator]
            case ast.Sub():
                return left - right  # type: ignore[operator]
            case ast.Mult():
                return left * right  # type: ignore[operator]
            case ast.Div():
                return left / right  # type: ignore[operator]
    except (TypeError, ZeroDivisionError, OverflowError):
        pass
    return _Symbol()


def _take(made: _Made, code: str, found: Repository, where: str) -> None:
    """Add one definition; ``code`` is the function that a decorator stands over."""
    name = made.name or code
    if not name:
        found.unread.append((f"{made.kind} at {where}", "its name is made by code, which is not run"))
    elif made.kind == "Entity":
        keys = made.get("join_keys", "join_key")
        key = keys[0] if isinstance(keys, list) and keys else keys
        found.entities[name] = key if isinstance(key, str) else name
    elif made.kind == "RequestSource":
        found.requested += _columns(made.get("schema"))
    elif made.kind in _ON_DEMAND:
        found.on_demand.append(name)
    elif made.kind == "FeatureService":
        found.services.append(name)
    else:
        found.views.append(_view(name, made, code, found))


def _view(name: str, made: _Made, code: str, found: Repository) -> View:
    kind = {**VIEWS, **DECORATORS}[made.kind]
    entities = made.get("entities") or []
    source = made.get("source", "batch_source", "stream_source")
    timestamp, ttl = made.get("timestamp_field"), made.get("ttl")
    return View(
        name=name,
        kind=kind,
        entities=tuple(_entity(one, found) for one in entities) if isinstance(entities, list) else (),
        columns=tuple(_columns(made.get("schema", "features"))),
        source=_source(source, timestamp if isinstance(timestamp, str) else ""),
        aggregations=tuple(_aggregations(made.get("aggregations"), name, found)),
        ttl_s=ttl.total_seconds() if isinstance(ttl, timedelta) else 0.0,
        has_code=bool(code) or made.get("udf", "feature_transformation") is not None,
    )


def _entity(given: Any, found: Repository) -> str:
    """Name an entity of a view, which may stand there as such or by its name."""
    if isinstance(given, _Made):
        _take(given, "", found, "")
        return given.name
    return given if isinstance(given, str) else str(getattr(given, "name", ""))


def _columns(given: Any) -> Iterator[Column]:
    for one in given if isinstance(given, list) else ():
        if isinstance(one, _Made) and one.name:
            dtype = one.named.get("dtype", one.placed[1] if len(one.placed) > 1 else None)
            yield Column(one.name, str(getattr(dtype, "name", "") or getattr(dtype, "kind", "")).upper())


def _source(given: Any, timestamp: str) -> Source:
    if not isinstance(given, _Made):
        return Source("", timestamp)
    inner = given.get("batch_source")
    within = _source(inner, "") if isinstance(inner, _Made) else Source("")
    own, created = (
        given.get("timestamp_field", "event_timestamp_column"),
        given.get("created_timestamp_column"),
    )
    renamed = given.get("field_mapping")
    return Source(
        given.name or within.name,
        timestamp or (own if isinstance(own, str) else "") or within.timestamp,
        created if isinstance(created, str) else within.created,
        {one: their for their, one in renamed.items() if isinstance(one, str)}
        if isinstance(renamed, dict)
        else within.renamed,
    )


def _aggregations(given: Any, view: str, found: Repository) -> Iterator[Aggregation]:
    if given is not None and not isinstance(given, list):
        found.unread.append((f"aggregations of {view}", "they are made by code, which is not run"))
    for one in given if isinstance(given, list) else ():
        if not isinstance(one, _Made):
            found.unread.append((f"an aggregation of {view}", "it is made by code, which is not run"))
            continue
        column = one.named.get("column", one.placed[0] if one.placed else "")
        function, window = one.get("function"), one.get("time_window")
        if not isinstance(column, str) or not isinstance(function, str) or isinstance(window, _Symbol):
            found.unread.append((f"an aggregation of {view}", "it is made by code, which is not run"))
            continue
        seconds = window.total_seconds() if isinstance(window, timedelta) else None
        yield Aggregation(column, function, seconds)
