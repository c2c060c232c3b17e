"""What a change of the schema means for a running deployment: what is read as it is, what must follow."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from fraud.schema.entities import Entity
from fraud.schema.fields import Field
from fraud.schema.schema import Schema


class Effect(IntEnum):
    """What must happen before the new schema decides, from nothing to impossible."""

    NOTHING = 0
    """The log, the states and the model are read as they are."""
    MODEL = 1
    """A model must be trained on the new vectors; the log gives them (``fraud replay backfill-features``)."""
    REBUILD = 2
    """States must be filled from the log (``fraud replay rebuild-store``)."""
    REFUSED = 3
    """The tables and the topic cannot go on: it is another deployment, with tables of its own."""


_WORDS = {
    Effect.NOTHING: "nothing: read as it is",
    Effect.MODEL: "a new model, on vectors that `fraud replay backfill-features` computes",
    Effect.REBUILD: "states are filled from the log: `fraud roll` does it, or `fraud replay rebuild-store`",
    Effect.REFUSED: "refused: start another deployment",
}


_COMMANDS = {
    Effect.REBUILD: "`fraud replay rebuild-store --replace`",
    Effect.MODEL: "`fraud up broker mlflow`, `fraud train ...`, `fraud promote VERSION`",
}
"""What a platform that is stopped needs before it starts with the new schema."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two schemas."""

    what: str
    effect: Effect
    note: str = ""

    @property
    def words(self) -> str:
        """What it means."""
        return f"{_WORDS[self.effect]}{'; ' if self.note else ''}{self.note}"


def next_steps(changes: Sequence[Change], file: str) -> list[str]:
    """Name the commands that take a changed schema into force, a line for each kind of deployment.

    Parameters
    ----------
    changes
        Of :func:`compare`.
    file
        Of the new schema, as it is to stand in the commands.

    Examples
    --------
    >>> next_steps([Change("results is different", Effect.NOTHING)], "new.yaml")[0]
    'on this machine, while it runs: `fraud roll new.yaml`'
    """
    effects = {change.effect for change in changes}
    if not effects:
        return []
    if Effect.REFUSED in effects:
        return [
            f"on this machine: `FRAUD_LOCAL_HOME=OTHER fraud schema use {file}`, a home with its own tables",
            "on a cluster: another namespace, with topics, store and tables of its own",
        ]
    model = [f"`FRAUD_SCHEMA_FILE={file} fraud train ...`"] if Effect.MODEL in effects else []
    rolled = f"`fraud roll {file}{' --model VERSION' if model else ''}`"
    values = f"--set-file schema.file={file}"
    asked = [_COMMANDS[effect] for effect in (Effect.REBUILD, Effect.MODEL) if effect in effects]
    if asked:
        cluster = (
            f"upgrade `airflow` with `{values}`, then the other steps of docs/platform-engineer.md, "
            "under Own schema, in their order"
        )
    else:
        cluster = f"`helm upgrade` with `{values}` of airflow, serving, streaming and console, in this order"
    return [
        f"on this machine, while it runs: {', then '.join([*model, rolled])}",
        f"on this machine, stopped: {', then '.join([f'`fraud schema use {file}`', *asked, '`fraud up`'])}",
        f"on a cluster: {cluster}",
    ]


def steps_when_stopped(changes: Sequence[Change]) -> list[str]:
    """Name what to run between a copied schema and the next start of the platform, with the reasons."""
    effects = {change.effect for change in changes}
    return [
        f"{_COMMANDS[effect]}: {why}"
        for effect, why in (
            (Effect.REBUILD, "states are filled from the log"),
            (Effect.MODEL, "a model on the new vectors"),
        )
        if effect in effects
    ]


def compare(old: Schema, new: Schema) -> list[Change]:
    """List what differs, in the order of the file.

    Examples
    --------
    >>> from fraud.schema.reading import default_schema
    >>> compare(default_schema(), default_schema())
    []
    """
    return [
        *_fields(old, new),
        *_filters(old, new),
        *_entities(old, new),
        *_features(old, new),
        *_money(old, new),
        *_rest(old, new),
    ]


def _fields(old: Schema, new: Schema) -> Iterator[Change]:
    for name in _names([f.name for f in old.fields], [f.name for f in new.fields]):
        before, after = old.by_name.get(name), new.by_name.get(name)
        if before is None and after is not None:
            note = "the tables get its columns"
            if after.required:
                note += "; records without it are refused from then on, so producers must send it first"
            yield Change(f"field {name} is new", Effect.NOTHING, note)
        elif after is None:
            yield Change(
                f"field {name} is gone", Effect.NOTHING, "its columns stay; producers may still send it"
            )
        elif before is not None and before != after:
            yield _field(before, after)


def _field(before: Field, after: Field) -> Change:
    name = before.name
    if before.type is not after.type:
        words = f"field {name} was a {before.type} and is a {after.type}"
        return Change(words, Effect.REFUSED, "or give the field another name")
    if before.names != after.names:
        words = f"field {name} has other columns"
        return Change(words, Effect.REFUSED, "or give the field another name")
    if before.scale != after.scale:
        return Change(f"field {name} has {after.scale} decimals, not {before.scale}", Effect.REBUILD)
    if before.default != after.default:
        words = f"records without {name} show the clocks of {after.default or 'UTC'}"
        return Change(f"{words}, not of {before.default or 'UTC'}", Effect.REBUILD)
    if after.required and not before.required:
        return Change(
            f"field {name} is required", Effect.NOTHING, "records without it are refused from then on"
        )
    return Change(f"field {name} has other bounds or words", Effect.NOTHING)


def _filters(old: Schema, new: Schema) -> Iterator[Change]:
    texts = [{one.name: one.text for one in schema.filters if one.is_declared} for schema in (old, new)]
    for name in _names(*texts):
        before, after = (found.get(name) for found in texts)
        if before is not None and after is not None and before != after:
            yield Change(
                f"filter {name} is another condition", Effect.REBUILD, "of the entities that count by it"
            )


def _entities(old: Schema, new: Schema) -> Iterator[Change]:
    keys = [
        {entity.name: named_by(entity, fields) for entity, fields in zip(s.entities, s.keys, strict=True)}
        for s in (old, new)
    ]
    if old.primary.name != new.primary.name or old.primary_key.name != new.primary_key.name:
        yield Change(f"the primary entity is {new.primary.name}, not {old.primary.name}", Effect.REFUSED)
        return
    for name in _names(*keys):
        before, after = (found.get(name) for found in keys)
        if before is None:
            yield Change(f"entity {name} is new", Effect.REBUILD)
        elif after is None:
            yield Change(f"entity {name} is gone", Effect.NOTHING, "its states are not read any more")
        elif before != after:
            words = f"entity {name} is named by {after}, not {before}"
            yield Change(words, Effect.REBUILD)
        elif old.entity(name) != new.entity(name):
            yield Change(f"entity {name} keeps something else of its events", Effect.REBUILD)


def named_by(entity: Entity, fields: Sequence[Field]) -> str:
    """Name the fields of an entity's key, of each side, for people."""
    names = [field.name for field in fields]
    if not entity.sides:
        return " and ".join(names)
    n = len(names) // 2
    return f"{' and '.join(names[:n])} (out) or {' and '.join(names[n:])} (in)"


def _features(old: Schema, new: Schema) -> Iterator[Change]:
    before, after = set(old.feature_names), set(new.feature_names)
    for name in new.feature_names:
        if name not in before:
            yield Change(f"feature {name} is new", Effect.MODEL)
    for name in old.feature_names:
        if name not in after:
            yield Change(f"feature {name} is gone", Effect.MODEL)
    if before == after and old.features_version != new.features_version:
        yield Change("features stand in another order, or have other bounds", Effect.MODEL)


def _money(old: Schema, new: Schema) -> Iterator[Change]:
    before, after = old.money, new.money
    if before == after:
        return
    if before is None or after is None or before.base != after.base:
        units = [
            "amounts as they come" if one is None else f"amounts in {one.base}" for one in (before, after)
        ]
        note = (
            "the amounts in the log cannot be added to these. Its backfill (`FRAUD_BACKFILL_DATA`) reads the "
            "tables of this one, and converts each amount"
        )
        yield Change(f"{units[1]}, not {units[0]}", Effect.REFUSED, note)
        return
    yield Change("money has other bounds", Effect.NOTHING, "from the next start")


def _rest(old: Schema, new: Schema) -> Iterator[Change]:
    for name in ("results", "profiles", "future", "fallback", "new", "segments"):
        if getattr(old, name) != getattr(new, name):
            yield Change(f"{name} is different", Effect.NOTHING, "from the next start")


def _names(old: Iterable[str], new: Iterable[str]) -> list[str]:
    """Names of both, the old ones first."""
    return [*dict.fromkeys([*old, *new])]
