"""Profiles as the kernel reads them: a row with the entity's number, its key, and what is told of it."""

import math
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from fraud.contracts import Profile
from fraud.contracts.future import ARRIVALS
from fraud.errors import BadInput
from fraud.features.clocks import zone_number
from fraud.features.events import MICRODEGREES, to_microseconds
from fraud.features.hashing import hash_joined, hash_text
from fraud.features.kernel import Floats
from fraud.features.kernel import layout as kernel
from fraud.features.layout import layout_of
from fraud.features.table_columns import check_columns, microseconds_of
from fraud.schema.deployed import deployed_schema
from fraud.schema.fields import Field, FieldType, joined_word
from fraud.schema.profiles import COLUMNS, ENTITY, PROFILE, TIME
from fraud.schema.schema import Schema

NOT_KNOWN: Final = math.inf
"""What is told to be known no more."""


@lru_cache(maxsize=64)
def profiles_of(schema: Schema) -> "ProfileRows":
    """Give what makes a schema's rows, once a process."""
    return ProfileRows(schema)


class ProfileRows:
    """Makes the rows of a schema's profiles.

    Parameters
    ----------
    schema
        Says which fields the profiles have.
    """

    def __init__(self, schema: Schema) -> None:
        self._layout = layout = layout_of(schema)
        self._key_names = schema.key_names
        self._fields = dict(schema.profiles)
        self._number = {name: at for at, (name, _) in enumerate(layout.profiles)}
        of_each = zip(schema.entities, schema.keys, strict=True)
        self._keys = {entity.name: fields for entity, fields in of_each}
        self._empty = np.full(layout.width, math.nan)
        self._empty[kernel.E_KIND] = kernel.KIND_PROFILE
        self._empty[kernel.E_ID] = 0.0
        self._empty[kernel.PREFIX : kernel.PREFIX + len(layout.keys)] = kernel.NO_KEY
        if layout.zone:
            self._empty[layout.column(layout.zone)] = 0.0
        if layout.mask >= 0:
            self._empty[layout.mask] = 0.0

    def of_profile(self, record: Profile, arrival: datetime | None = None) -> tuple[float, ...]:
        """Make the row of one profile, which arrived at its own time where no other is given."""
        keys = {name: getattr(record, name) for name in self._key_names}
        told_us = to_microseconds(record.profile_time)
        arrival_us = told_us if arrival is None else to_microseconds(arrival)
        return tuple(self.row(record.entity, keys, record.profile, (told_us, arrival_us)).tolist())

    def of_profiles(self, table: pa.Table) -> Floats:
        """Make the rows of a table of profiles.

        They arrived at ``received_at`` or ``arrival_time``, where there is such a column, else at their
        ``profile_time``.

        Raises
        ------
        BadInput
            When a column is absent or has missing values, or a value is none of the schema's.
        """
        check_columns(table, COLUMNS, "profiles")
        arrival = next((name for name in ARRIVALS if name in table.column_names), TIME)
        entities, told = (table.column(name).to_pylist() for name in (ENTITY, PROFILE))
        present = [name for name in self._key_names if name in table.column_names]
        keys = table.select(present).to_pylist() if present else [{}] * table.num_rows
        told_us, arrived_us = microseconds_of(table, TIME), microseconds_of(table, arrival)
        arrived_us = np.where(np.isnan(arrived_us), told_us, arrived_us)
        times = zip(told_us.tolist(), arrived_us.tolist(), strict=True)
        found = [self.row(*one) for one in zip(entities, keys, told, times, strict=True)]
        return np.array(found, np.float64).reshape(-1, self._layout.width)

    def row(
        self, entity: str, keys: Mapping[str, str | None], told: str, times_us: tuple[float, float]
    ) -> Floats:
        """Make the row of one profile.

        Parameters
        ----------
        entity
            Of those that have a profile.
        keys
            Values of the key fields; those of other entities are not read.
        told
            The values, a JSON object.
        times_us
            The profile's own time, and when it arrived.

        Raises
        ------
        BadInput
            When the entity has no profile, its key is missing, or a value is none of its profile.
        """
        if entity not in self._number:
            raise BadInput(
                f"the entity {entity!r} has no profile; these have: {', '.join(self._number) or 'none'}"
            )
        fields = self._keys[entity]
        key = (
            hash_joined([keys.get(field.name) for field in fields])
            if len(fields) > 1
            else hash_text(keys.get(fields[0].name))
        )
        if key == kernel.NO_KEY:
            names = " and ".join(field.name for field in fields)
            raise BadInput(f"a profile of the entity {entity} lacks its key, {names}")
        row = self._empty.copy()
        row[kernel.E_OF] = self._number[entity]
        row[kernel.E_TIME], row[kernel.E_TOLD_AT] = times_us
        row[self._layout.column(joined_word(fields))] = key
        self._fill(row, entity, told)
        return row

    def _fill(self, row: Floats, entity: str, told: str) -> None:
        try:
            values: dict[str, Any] = orjson.loads(told)
            at = self._layout.profile
            for field in self._fields[entity]:
                for name in field.names:
                    if name in values:
                        row[at] = number_of(field, values[name])
                    at += 1
        except (ValueError, TypeError, AttributeError) as error:
            raise BadInput(f"a profile of the entity {entity} cannot be read: {error}") from error


def events_of_profiles(table: pa.Table, schema: Schema | None = None) -> Floats:
    """Make the rows of a table of profiles of a schema, by default the deployment's."""
    return profiles_of(schema or deployed_schema()).of_profiles(table)


def number_of(field: Field, value: Any) -> float:
    """Write a value of a profile as the kernel keeps it; infinity: it is not known any more.

    Examples
    --------
    >>> number_of(Field("limit", FieldType.NUMBER, scale=2), 12.5)
    1250.0
    """
    if value is None:
        return NOT_KNOWN
    if field.type is FieldType.PLACE:
        return float(round(value * MICRODEGREES))
    if field.type is FieldType.TIME:
        return float(to_microseconds(datetime.fromisoformat(value)))
    if field.type in {FieldType.NUMBER, FieldType.FLAG}:
        return float(round(value * 10.0**field.scale))
    return zone_number(value) if field.type is FieldType.ZONE else hash_text(value)
