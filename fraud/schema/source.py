"""Where a schema's fields come from in a table: expressions over its columns, and how its texts are meant."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fraud.schema.expressions import Expression, check_zone
from fraud.schema.kinds import Kind

LABEL_COLUMNS = ("is_fraud", "label_time")
"""What a table says beside the fields of the transactions."""
ARRIVAL_COLUMNS = ("received_at", "arrival_time")


class Reading(BaseModel):
    """What a table's texts mean, where a guess would be wrong or is not possible."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: Literal["", "day-first", "month-first", "s", "ms", "us", "ns"] = ""
    """Of dates such as 01/02/2024, or of numbers since 1970 UTC."""
    zone: str = ""
    """Of times that have no offset, e.g. ``Europe/Berlin``; empty: UTC."""
    decimal: Literal["", "point", "comma"] = ""
    """What stands before the cents: 1,234.50 or 1.234,50."""
    separator: Annotated[str, Field(max_length=1)] = ""
    """Between the columns of a CSV file."""
    encoding: str = ""
    """Of a CSV file, e.g. ``latin-1``."""
    labels: dict[str, Literal["fraud", "honest", "unknown"]] = Field(default_factory=dict)
    """What values of the column ``is_fraud`` mean, beside 0, 1, true, false, yes and no."""
    negative: Literal["", "refund"] = ""
    """What an amount below 0 means: money paid back; empty: nothing, and it is refused."""
    kinds: dict[str, Kind] = Field(default_factory=dict)
    """What values of the column ``kind`` mean, beside the kinds' own names."""
    invalid: Literal["refuse", "skip"] = "refuse"
    """Rows that the wire's contract refuses: stop, or leave them out, counted."""

    @field_validator("zone")
    @classmethod
    def _check_zone(cls, name: str) -> str:
        if name and (wrong := check_zone(name)):
            raise ValueError(wrong)
        return name

    def over(self, other: "Reading") -> "Reading":
        """Lay what is said here over another reading.

        Examples
        --------
        >>> Reading(decimal="comma").over(Reading(separator=";", decimal="point")).separator
        ';'
        """
        words = {"labels": {**other.labels, **self.labels}, "kinds": {**other.kinds, **self.kinds}}
        said = {name: getattr(self, name) for name in self.model_fields_set if name not in words}
        return Reading(**{**other.model_dump(), **said, **words})


@dataclass(frozen=True, slots=True)
class Join:
    """A table whose columns are added to the transactions' by a key.

    Parameters
    ----------
    table
        File name beside the transactions' table, a path or a URI.
    by
        Column of the transactions' table.
    key
        Column of the joined table; a value stands there once.
    """

    table: str
    by: str
    key: str


@dataclass(frozen=True, slots=True)
class TableSource:
    """The ``source:`` part of a schema.

    Parameters
    ----------
    columns
        Our name: what it is made of.
    reading
        How the table's texts are meant.
    joins
        Tables that have further columns.
    """

    columns: Mapping[str, Expression] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)
    joins: tuple[Join, ...] = ()
