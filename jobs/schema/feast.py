"""What a Feast repository defines, as read from its registry's dump or from its Python files.

Reads the JSON of ``feast registry-dump``; ``jobs.schema.feast_python`` reads Python files. Feast is not
needed, and no code of the repository is run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.schema.export import Json

DUMPED: Final = {"featureViews": "batch", "streamFeatureViews": "stream", "labelViews": "label"}
"""Keys of a dump that hold views of tables, and what kind of view each is."""
KEYS: Final = frozenset({*DUMPED, "entities", "onDemandFeatureViews", "featureServices"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a view or a request; ``dtype`` is Feast's name in capitals, empty where unknown."""

    name: str
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One of a view; ``seconds`` is its window, None: none is given."""

    column: str
    function: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Source:
    """Where a view's rows lie."""

    name: str
    timestamp: str = ""
    created: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Feast's name of a column: the table's own."""


@dataclass(frozen=True, slots=True)
class View:
    """A feature view; ``kind`` is batch, stream or label."""

    name: str
    kind: str
    entities: tuple[str, ...]
    columns: tuple[Column, ...]
    source: Source
    aggregations: tuple[Aggregation, ...] = ()
    ttl_s: float = 0.0
    has_code: bool = False
    """Whether rows pass through Python code of the repository."""


@dataclass
class Repository:
    """What was found; ``unread`` names what cannot be told without running code, and where it stands."""

    entities: dict[str, str] = field(default_factory=dict)
    """Name: join key."""
    views: list[View] = field(default_factory=list)
    requested: list[Column] = field(default_factory=list)
    """Columns of request sources: sent with each request."""
    on_demand: list[str] = field(default_factory=list)
    services: list[str] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)


def is_dump(content: Any) -> bool:
    """Tell whether a JSON document is a registry's dump."""
    return isinstance(content, dict) and bool(KEYS & set(content)) and "eventTypes" not in content


def read_dump(content: Json, found: Repository) -> None:
    """Add what a registry's dump holds."""
    for spec in _specs(content, "entities"):
        found.entities[_text(spec, "name")] = _text(spec, "joinKey") or _text(spec, "name")
    for key, kind in DUMPED.items():
        found.views += [_view(spec, kind) for spec in _specs(content, key)]
    for spec in _specs(content, "onDemandFeatureViews"):
        found.on_demand.append(_text(spec, "name"))
        sources = spec.get("sources")
        for source in sources.values() if isinstance(sources, dict) else ():
            request = source.get("requestDataSource", {}) if isinstance(source, dict) else {}
            options = request.get("requestDataOptions", {}) if isinstance(request, dict) else {}
            found.requested += _columns(options.get("schema"))
    found.services += [_text(spec, "name") for spec in _specs(content, "featureServices")]


def _view(spec: Json, kind: str) -> View:
    batch = spec.get("batchSource") or spec.get("source") or spec.get("streamSource") or {}
    stream = spec.get("streamSource") or {}
    aggregations = [
        Aggregation(_text(one, "column"), _text(one, "function"), _seconds(one.get("timeWindow")))
        for one in _list(spec.get("aggregations"))
    ]
    return View(
        name=_text(spec, "name"),
        kind=kind,
        entities=tuple(str(name) for name in spec.get("entities") or [] if name != "__dummy"),
        columns=tuple(_columns(spec.get("features"))),
        source=Source(
            _text(batch, "name"),
            _text(spec, "timestampField")
            or _text(batch, "timestampField")
            or _text(stream, "timestampField"),
            _text(batch, "createdTimestampColumn"),
            {str(name): str(own) for own, name in (batch.get("fieldMapping") or {}).items()},
        ),
        aggregations=tuple(aggregations),
        ttl_s=_seconds(spec.get("ttl")) or 0.0,
        has_code=bool(spec.get("userDefinedFunction") or spec.get("featureTransformation")),
    )


def _specs(content: Json, key: str) -> list[Json]:
    found = [one.get("spec", one) for one in _list(content.get(key))]
    return [spec for spec in found if isinstance(spec, dict) and isinstance(spec.get("name"), str)]


def _list(found: Any) -> list[Json]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _columns(found: Any) -> Iterable[Column]:
    return [Column(_text(one, "name"), _text(one, "valueType").upper()) for one in _list(found)]


def _text(spec: Json, key: str) -> str:
    found = spec.get(key)
    return found if isinstance(found, str) else ""


def _seconds(found: Any) -> float | None:
    """Read a duration of protobuf's JSON, e.g. 3600s."""
    if not isinstance(found, str):
        return None
    try:
        return float(found.removesuffix("s")) or None
    except ValueError:
        return None
