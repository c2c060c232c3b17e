"""From a Feast repository to a schema, and a report of what has no counterpart.

An entity becomes an entity of ours, an aggregation of a view a feature. Columns that are aggregated, that
come with a request, or that are in a view whose rows are the transactions (``events``) become fields. A
column that was computed elsewhere and is only looked up has no counterpart: ours are computed here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fraud.errors import BadConfig, BadInput
from fraud.schema.expressions import column_text
from fraud.schema.fields import CORE_NAMES, RESERVED
from fraud.schema.reading.document import MOST_ENTITIES, RESERVED_ENTITIES
from fraud.schema.windows import MOST_WINDOWS, window_us
from fraud.settings.names import suggest
from jobs.schema.export import Json
from jobs.schema.feast import Aggregation, Column, Repository, View
from jobs.schema.imported import Imported, ImportNote, own_name

_STATISTICS: Final = {
    **dict.fromkeys(("count", "count_rows"), "count"),
    "sum": "sum",
    **dict.fromkeys(("mean", "avg", "average"), "mean"),
    "max": "max",
    "min": "min",
    **dict.fromkeys(("std", "stddev", "stddev_samp"), "std"),
    **dict.fromkeys(("count_distinct", "nunique", "approx_count_distinct"), "distinct"),
}
"""Their function: our statistic."""
_TYPES: Final[dict[str, Json]] = {
    **{name: {"type": "number"} for name in ("INT32", "INT64")},
    **{name: {"type": "number", "scale": 2} for name in ("FLOAT", "FLOAT32", "FLOAT64", "DOUBLE", "DECIMAL")},
    "STRING": {"type": "category"},
    "UUID": {"type": "key"},
    "BOOL": {"type": "flag"},
    "UNIX_TIMESTAMP": {"type": "time"},
    "UNIXTIMESTAMP": {"type": "time"},
}
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"))
_USUAL: Final = ("1h", "24h", "7d", "30d")
_TAKEN: Final = RESERVED | CORE_NAMES


@dataclass
class _Made:
    """The schema as it grows."""

    report: Imported
    keys: dict[str, str] = field(default_factory=dict)
    """Join key: our field."""
    fields: dict[str, Json] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    """Our field: the table's column."""
    ours: dict[str, str] = field(default_factory=dict)
    """Their column: our field."""
    entities: dict[str, Json] = field(default_factory=dict)
    names: dict[tuple[str, ...], str] = field(default_factory=dict)
    """Their entities of a view: our entity."""
    features: list[Json] = field(default_factory=list)

    def tell(self, what: str, theirs: str, ours: str, words: str = "") -> None:
        self.report.notes.append(ImportNote(what, theirs, ours, words))


def convert(
    found: Repository, *, primary: str = "", events: Sequence[str] = (), amount: str = "", name: str = "feast"
) -> Imported:
    """Make a schema of a repository.

    Parameters
    ----------
    primary
        Entity whose key every transaction has; empty: the only one.
    events
        Views whose rows are the transactions: their columns become fields.
    amount
        Column that is the transaction's amount; empty: ``amount``.

    Raises
    ------
    BadInput
        When something must be said by a flag, or one names nothing; says which.
    """
    made = _Made(Imported({}, None))
    views = [view for view in found.views if view.kind != "label"]
    unknown = [one for one in events if one not in {view.name for view in views}]
    if unknown:
        names = [view.name for view in views]
        raise BadInput(f"--events {unknown[0]}: there is no such view; {suggest(unknown[0], names)}")
    _entities(found, views, primary, made)
    for column in found.requested:
        _field(column, made, "request field", views)
    for view in views:
        _view(view, view.name in events, made)
    _amount(amount, made)
    _source(views, events, made)
    _rest(found, made)
    made.report.schema = _schema(made, name)
    return made.report


def _entities(found: Repository, views: Sequence[View], primary: str, made: _Made) -> None:
    """Make the entities that views name, the primary first; of several keys, one of them together."""
    used = list(dict.fromkeys(view.entities for view in views if view.entities))
    singles = list(dict.fromkeys([names[0] for names in used if len(names) == 1] or list(found.entities)))
    if primary and primary not in {*singles, *found.entities}:
        raise BadInput(f"--primary {primary}: there is no such entity; {suggest(primary, singles)}")
    if not singles:
        raise BadInput("the repository defines no entity: a transaction needs one, such as the card")
    if not primary and len(singles) > 1:
        raise BadInput(
            "which entity does every transaction have, such as the card or the account? --primary "
            f"{singles[0]} (there are {', '.join(singles)})"
        )
    first = primary or singles[0]
    every = list(dict.fromkeys([(first,), *((one,) for one in singles), *used]))
    for names in every:
        _entity(names, found, made, is_primary=names == (first,))
    for one in sorted(set(found.entities) - {name for names in every for name in names}):
        made.tell("entity", one, "", "no view names it")


def _entity(names: tuple[str, ...], found: Repository, made: _Made, *, is_primary: bool) -> None:
    theirs = " with ".join(names)
    our = own_name("_".join(names), set(made.entities), RESERVED_ENTITIES)
    if len(made.entities) == MOST_ENTITIES:
        made.tell("entity", theirs, "", f"a schema has at most {MOST_ENTITIES} entities")
        return
    keys = [_key(found.entities.get(name, name), made, is_required=is_primary) for name in names]
    made.names[names] = our
    made.entities[our] = {
        "key": keys[0] if len(keys) == 1 else keys,
        **({"primary": True} if is_primary else {}),
    }
    made.tell("entity", theirs, f"entity {our}", f"key {', '.join(keys)}{'; primary' if is_primary else ''}")


def _key(join_key: str, made: _Made, *, is_required: bool) -> str:
    if join_key not in made.keys:
        our = own_name(join_key, set(made.fields), _TAKEN)
        made.keys[join_key] = made.ours[join_key] = our
        made.fields[our], made.columns[our] = {"type": "key"}, join_key
    if is_required:
        made.fields[made.keys[join_key]]["required"] = True
    return made.keys[join_key]


def _view(view: View, is_events: bool, made: _Made) -> None:
    if view.has_code:
        made.tell(
            "code", view.name, "", "Python that rows pass through: prepare the columns before, or by source:"
        )
    if view.ttl_s and not view.aggregations:
        made.tell("ttl", view.name, "", "a value there grows old; ours are counted anew by each transaction")
    for one in view.aggregations:
        _aggregation(one, view, made)
    given = {one.column for one in view.aggregations} if view.aggregations else set()
    for column in view.columns:
        if is_events or column.name in given:
            _field(column, made, "column", [view])
        elif not view.aggregations:
            made.tell(
                "feature",
                f"{view.name}:{column.name}",
                "",
                "computed elsewhere and looked up: write it as a statistic of the entity, or, where it comes "
                f"with the transaction, say --events {view.name}",
            )


def _field(column: Column, made: _Made, what: str, views: Sequence[View]) -> None:
    """Make a field of a column; one that is there already stays."""
    if column.name in made.ours:
        return
    part = _TYPES.get(column.dtype)
    if part is None:
        made.tell(what, column.name, "", f"of type {column.dtype or 'unknown'}: a field is one plain value")
        return
    our = own_name(column.name, set(made.fields), _TAKEN)
    renamed = next(
        (view.source.renamed[column.name] for view in views if column.name in view.source.renamed), ""
    )
    made.fields[our], made.ours[column.name] = dict(part), our
    made.columns[our] = renamed or column.name
    made.tell(what, column.name, f"{our}: {part['type']}")


def _aggregation(one: Aggregation, view: View, made: _Made) -> None:
    theirs = f"{view.name}: {one.function}({one.column})"
    entity = made.names.get(view.entities, "")
    window, words = _window(one.seconds)
    statistic = _STATISTICS.get(one.function.lower())
    if statistic is None:
        words = f"the function {one.function}: `fraud features statistics` lists ours"
    elif not entity:
        words = "its entity has no counterpart" if view.entities else "the view has no entity"
    elif window and not _has_room(entity, window, made):
        words = f"an entity has at most {MOST_WINDOWS} windows"
    if words or statistic is None:
        made.tell("aggregation", theirs, "", words)
        return
    feature = {"statistic": statistic, "entity": entity, "window": window}
    if statistic != "count":
        _field(Column(one.column, _dtype(one.column, statistic, view)), made, "column", [view])
        our = made.ours.get(one.column)
        if our is None:  # told as a column without counterpart
            made.tell("aggregation", theirs, "", "its column has none")
            return
        kind = made.fields[our]["type"]
        if statistic == "distinct" and kind not in {"key", "category"}:
            kind, made.fields[our] = "key", {"type": "key"}
        if statistic != "distinct" and kind != "number":
            made.tell("aggregation", theirs, "", f"{one.column} is a {kind}; {statistic} needs a number")
            return
        feature["field" if statistic == "distinct" else "value"] = our
    if feature not in made.features:
        made.features.append(feature)
    made.tell("aggregation", f"{theirs} {window}", f"{statistic} {window} of {entity}")


def _dtype(column: str, statistic: str, view: View) -> str:
    """Find a column's type; of one that no view tells, what its function needs."""
    told = next((one.dtype for one in view.columns if one.name == column), "")
    return told or ("UUID" if statistic == "distinct" else "DOUBLE")


def _has_room(entity: str, window: str, made: _Made) -> bool:
    windows = {one["window"] for one in made.features if one.get("entity") == entity}
    return window in windows or len(windows) < MOST_WINDOWS


def _window(seconds: float | None) -> tuple[str, str]:
    """Name a window; else say why there is none."""
    if seconds is None:
        return "", "no time window: ours look back at most 90 days"
    if seconds == 86_400.0:
        return "24h", ""
    for unit, letter in _UNITS:
        if seconds > 0 and seconds % unit == 0:
            name = f"{seconds / unit:.0f}{letter}"
            try:
                window_us(name)
            except BadConfig as error:
                return "", str(error)
            return name, ""
    return "", f"a window of {seconds:g} s: ours are whole minutes"


def _amount(column: str, made: _Made) -> None:
    """Let one field be the transaction's amount."""
    numbers = [their for their, our in made.ours.items() if made.fields[our]["type"] == "number"]
    column = column or ("amount" if "amount" in numbers else "")
    if not column and numbers:
        raise BadInput(
            f"which column is the transaction's amount? --amount {numbers[0]} (or {', '.join(numbers)})"
        )
    if column and column not in numbers:
        raise BadInput(f"--amount {column}: no column of numbers has this name; {suggest(column, numbers)}")
    if not column:
        made.tell("amount", "", "", "no number was found: put what stands for the amount into source: amount")
        return
    our = made.ours[column]
    made.columns["amount"] = made.columns.pop(our)
    made.fields.pop(our)
    for feature in made.features:
        if feature.get("value") == our:
            del feature["value"]  # of the amount, without a name
    made.tell("amount", column, "amount", "of every transaction")


def _source(views: Sequence[View], events: Sequence[str], made: _Made) -> None:
    """Say where the time stands; views of several times are told."""
    chosen = [view for view in views if view.name in events or (not events and view.aggregations)] or list(
        views
    )
    times = list(dict.fromkeys(view.source.timestamp for view in chosen if view.source.timestamp))
    if not times:
        made.tell("source", "timestamp", "", "no timestamp_field was found: put it into source: event_time")
    else:
        made.columns["event_time"] = times[0]
        others = f"; other views have {', '.join(times[1:])}" if times[1:] else ""
        made.tell("source", times[0], "event_time", f"timestamp_field{others}")
    for view in chosen:
        if view.source.created:
            made.tell(
                "source",
                view.source.created,
                "",
                "created_timestamp_column: ours is received_at, if it is there",
            )


def _rest(found: Repository, made: _Made) -> None:
    words = "Python over features at request time: ratio, difference, greatest, a filter or a rule may do it"
    for name in dict.fromkeys(found.on_demand):
        made.tell("on-demand view", name, "", words)
    for name in dict.fromkeys(found.services):
        made.tell("feature service", name, "", "the schema's whole feature table goes to the model")
    for view in (one for one in found.views if one.kind == "label"):
        columns = ", ".join(column.name for column in view.columns)
        made.tell(
            "label view", view.name, "", f"{columns}: send labels, or a column is_fraud with the transactions"
        )
    for what, words in found.unread:
        made.tell("not read", what, "", words)


def _schema(made: _Made, name: str) -> Json:
    first = next(entity for entity, part in made.entities.items() if part.get("primary"))
    categories = [our for our, part in made.fields.items() if part["type"] == "category"]
    texts = {our: _expression(our, column, made) for our, column in made.columns.items()}
    source = {"transaction_id": "row()", "event_time": "", **texts}
    made.tell(
        "transaction id", "", "row()", "Feast has none: rows are numbered; put the id's column in its place"
    )
    return {
        "format": 1,
        "name": name[:64] or "feast",
        "fields": made.fields,
        "entities": made.entities,
        "features": list(_features(made, first, categories)),
        **({"new": f"count_30d_by_{first}"} if _has_room(first, "30d", made) else {}),
        **({"segments": categories[:1]} if categories else {}),
        "source": {"columns": {our: text for our, text in source.items() if text}},
    }


def _expression(our: str, column: str, made: _Made) -> str:
    kind = made.fields.get(our, {}).get("type", "")
    text = column_text(column)
    if our == "amount" or kind == "number":
        return f"number({text})"
    return f"time({text})" if our == "event_time" or kind == "time" else text


def _features(made: _Made, first: str, categories: list[str]) -> Iterator[Any]:
    yield from ("amount", "hour", "weekday")
    if categories:
        yield {"statistic": "bucket", "field": categories}
    for our, part in made.fields.items():
        if part["type"] in {"number", "flag"}:
            yield {"statistic": "number", "value": our}
        elif part["type"] == "time":
            yield {"statistic": "age", "field": our}
    yield from made.features
    known = {(one["statistic"], one["window"]) for one in made.features if one["entity"] == first}
    if not made.features:
        made.tell("feature", "", "count, sum, mean, max", "the usual ones: no view has an aggregation")
        yield {"statistic": ["count", "sum", "mean", "max"], "entity": first, "window": list(_USUAL)}
    elif ("count", "30d") not in known and _has_room(first, "30d", made):
        yield {"statistic": "count", "entity": first, "window": "30d"}
