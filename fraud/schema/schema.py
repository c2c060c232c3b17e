"""The schema as a value: read once from a deployment's file and handed down; two can live in one process."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fraud.errors import BadInput
from fraud.money import Money
from fraud.schema.entities import Entity
from fraud.schema.features import Feature
from fraud.schema.fields import CORE, CORE_NAMES, NAMED, Field, FieldType
from fraud.schema.filters import Filter
from fraud.schema.future import SourceBounds
from fraud.schema.kinds import COUNTED_KINDS
from fraud.schema.operations import COMBINED
from fraud.schema.profiles import Profiles
from fraud.schema.results import REFUNDED
from fraud.schema.source import TableSource
from fraud.settings.names import suggest


@dataclass(frozen=True, slots=True)
class Fallback:
    """Holds where a feature is at least ``limit``; a missing feature never is."""

    feature: str
    limit: float


@dataclass(frozen=True, eq=False)
class Schema:
    """What a deployment's transactions are, whose states are kept, and which features are made.

    Parameters
    ----------
    name
        For people.
    declared
        Fields beside the core, in the file's order.
    keys
        By entity: the fields that name one, in the entities' order; of one with two sides, those of the one
        behind those of the other.
    entities
        The primary one first.
    features
        In the order of the vector: the primary's pass (with those of the transaction alone), then each
        further entity's.
    filters
        By their bits; one that reads the side stands there for each.
    fallback
        What is sent to review while no model answers.
    new
        A feature that is 0 for a new entity; empty: none.
    segments
        Categories that reports are divided by.
    tables
        How own tables are read; None: by our names alone.
    source
        The file's bytes and its name, from which another process makes the same schema.
    """

    name: str
    declared: tuple[Field, ...]
    keys: tuple[tuple[Field, ...], ...]
    entities: tuple[Entity, ...]
    features: tuple[Feature, ...]
    filters: tuple[Filter, ...]
    fallback: tuple[Fallback, ...]
    new: str
    segments: tuple[str, ...]
    tables: TableSource | None
    source: tuple[bytes, str]
    remake: Callable[[bytes, str], "Schema"]
    results: tuple[str, ...] = ()
    """What may be told of a transaction afterwards; each is a filter by its name."""
    profiles: Profiles = ()
    """By entity: what is known of it beside its transactions."""
    money: Money | None = None
    """Of amounts in several currencies; None: all are in one."""
    future: SourceBounds | None = None
    """How far ahead transactions may be dated, by their source; None: all as the setting says."""

    def __reduce__(self) -> tuple[Callable[[bytes, str], "Schema"], tuple[bytes, str]]:
        """Travel as the file: a process that has read it already gives the object that it has."""
        return self.remake, self.source

    @property
    def primary(self) -> Entity:
        """The entity that finds duplicates and labels' transactions."""
        return self.entities[0]

    @property
    def primary_key(self) -> Field:
        """The field that names it, and keys the topic."""
        return self.keys[0][0]

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """All fields: the id and the time, the entities' keys, the amount, the others as declared."""
        keys = list(dict.fromkeys(field for fields in self.keys for field in fields))
        others = [field for field in self.declared if field not in keys]
        core = {field.name: field for field in CORE}
        first = [core["transaction_id"], core["event_time"]]
        rest = [core["amount"], core["currency"], core["kind"], *others]
        return tuple(dict.fromkeys([*first, *keys, *rest]))

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Fields by name."""
        return {field.name: field for field in self.fields}

    @cached_property
    def key_sets(self) -> tuple[tuple[Field, ...], ...]:
        """Fields that name an entity together; of one with two sides, those of each side."""
        found = []
        for entity, fields in zip(self.entities, self.keys, strict=True):
            n = len(fields) // len(entity.key_names)
            found += [fields[:n], fields[n:]] if entity.sides else [fields]
        return tuple(found)

    @cached_property
    def key_names(self) -> tuple[str, ...]:
        """Names of the fields that name the entities, each once, the primary's first."""
        return tuple(dict.fromkeys(field.name for fields in self.keys for field in fields))

    @property
    def base_currency(self) -> str:
        """Name the currency in which amounts are added up; empty where all amounts are in one currency."""
        return self.money.base if self.money else ""

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """In the order of the vector."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def features_version(self) -> str:
        """Changes with any name, formula, bound or order of the features; a model fits exactly one."""
        lines = [f"{f.name}|{f.description}|{f.exactness}" for f in self.features]
        lines += [
            f"{one.name} of {' '.join(one.kinds)}" for one in self.entities if one.kinds != COUNTED_KINDS
        ]
        lines += [f"{one.name} without {' '.join(one.uncounts)}" for one in self.entities if one.uncounts]
        return _digest("\n".join(lines + ([f"in {self.money.base}"] if self.money else [])))

    @cached_property
    def version(self) -> str:
        """Changes with anything that the records, the states or the features are made of."""
        parts: list[Any] = [
            self.declared,
            [filter_.text for filter_ in self.filters],
            self.entities,
            self.keys,
        ]
        parts += [self.money, *self.money.bounds] if self.money else []
        parts += [one.sides for one in self.entities if one.sides]
        parts += ["refunds"] if self.takes_refunds else []
        parts += [self.future] if self.future else []
        return _digest(f"{self.features_version}\n{parts!r}")

    def bits_of_result(self, result: str, reason_code: str | None) -> tuple[int, int]:
        """Find the bits of the filters that a result sets for its transaction, and those that it clears."""
        after = [one.holds_after(result, reason_code) for one in self.filters]
        set_bits = sum(1 << bit for bit, holds in enumerate(after) if holds)
        return set_bits, sum(1 << bit for bit, holds in enumerate(after) if holds is False)

    def features_of(self, entity: Entity) -> tuple[Feature, ...]:
        """Select what an entity's pass computes; the primary's also computes those of the transaction."""
        return tuple(
            feature
            for feature in self.features
            if feature.kind.op not in COMBINED
            and (feature.entity.name if feature.entity else self.primary.name) == entity.name
        )

    @cached_property
    def combined(self) -> tuple[Feature, ...]:
        """Features that are made of others, at the vector's end."""
        return tuple(feature for feature in self.features if feature.kind.op in COMBINED)

    def entity(self, name: str) -> Entity:
        """Find an entity.

        Raises
        ------
        BadInput
            When there is none of that name; names those that there are.
        """
        for entity in self.entities:
            if entity.name == name:
                return entity
        raise BadInput(f"no entity {name!r}; {suggest(name, (e.name for e in self.entities))}")

    def primary_of(self, record: Any) -> str:
        """Read the primary entity's key off a transaction, a label or a decision."""
        key: str = getattr(record, self.primary_key.name)
        return key

    @property
    def joined_keys(self) -> tuple[tuple[Field, ...], ...]:
        """Keys that are several fields together."""
        return tuple(dict.fromkeys(fields for fields in self.key_sets if len(fields) > 1))

    @property
    def takes_refunds(self) -> bool:
        """Whether refunds may have amounts, which leave the amounts of the histories."""
        return REFUNDED in self.results

    @property
    def zone(self) -> str:
        """Name of the field that tells the clocks of a transaction's place; empty: all show UTC."""
        return next((field.name for field in self.named(FieldType.ZONE)), "")

    @property
    def clock(self) -> str:
        """Zone of a transaction that names none; empty: UTC."""
        return self.by_name[self.zone].default if self.zone else ""

    @property
    def told_zone(self) -> str:
        """Field of the primary's profile that tells the zone of a transaction without one; empty: none."""
        return next((field.name for field in self.primary.profile if field.type is FieldType.ZONE), "")

    @cached_property
    def hashed(self) -> tuple[Field, ...]:
        """Keys and categories that an event holds: the declared ones, and of the core those in use."""
        kept = [name for entity in self.entities for name in (*entity.all_columns, *dict(entity.known))]
        used = {*kept, *(feature.column for feature in self.features)}
        used |= {"currency"} if self.money and self.takes_refunds else set()
        core = [field for field in self.named(*NAMED) if field.name in CORE_NAMES and field.name in used]
        keys = [field for fields in self.keys for field in fields if field.name in CORE_NAMES]
        return (*self.own(*NAMED), *dict.fromkeys([*core, *keys]))

    def own(self, *types: FieldType) -> tuple[Field, ...]:
        """Select the fields of some types beside the core."""
        return tuple(field for field in self.named(*types) if field.name not in CORE_NAMES)

    def named(self, *types: FieldType) -> tuple[Field, ...]:
        """Select the fields of some types."""
        return tuple(field for field in self.fields if field.type in types)


def _digest(text: Any) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
