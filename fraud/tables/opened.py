"""What is at a path: a table's columns, those that are joined to it, and its rows as they are written."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import pyarrow as pa

from fraud.errors import BadInput
from fraud.schema.arrow import is_own
from fraud.schema.source import Join, Reading
from fraud.tables.columns import Plan, SchemaColumns, fits, plan_columns
from fraud.tables.database import database_batches, database_header
from fraud.tables.files import (
    Dialect,
    Format,
    Unreadable,
    batches_of,
    dialect_of,
    format_of,
    header_of,
    open_dataset,
    parquet_of,
)
from fraud.tables.joins import Joined, names_in, place_of
from fraud.tables.parts import BROKEN, Part, parts_of

Tell = Callable[[str], None]
_RAGGED: Final = (
    "; every line must have as many values as the first, which names the columns: remove lines above it, "
    "and put values that hold the separator in double quotes"
)


def quiet(_: str) -> None:
    """Ignore the note."""


@dataclass(frozen=True, slots=True)
class Header:
    """A table's columns as they are read in one way."""

    header: list[str]
    dialects: Mapping[Part, Dialect]
    reading: Reading
    is_own: bool = False
    """Whether the platform has written it."""
    joined: tuple[Joined, ...] = ()
    """Tables that are joined to it; ``header`` has their columns, too."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A path whose format is known."""

    path: str
    format: Format
    options: Mapping[str, str]

    def plan(
        self,
        columns: Mapping[str, str],
        kinds: Mapping[str, pa.DataType],
        needed: Sequence[str],
        reading: Reading,
        *,
        ours: SchemaColumns,
        joins: Sequence[Join],
        tell: Tell,
    ) -> tuple[Plan, Header]:
        """Read the header as the schema's source part says, or, where that does not fit, as it is."""
        tables = ours.schema.tables
        if tables is not None:
            found = self.header(reading.over(tables.reading), quiet, joins)
            if not found.is_own and fits(tables, found.header, needed):
                return plan_columns(found.header, columns, kinds, self.path, ours, tables=tables), found
        found = self.header(reading, tell)
        return plan_columns(found.header, columns, kinds, self.path, ours), found

    def header(self, reading: Reading, tell: Tell, joins: Sequence[Join] = ()) -> Header:
        """Read the table's columns, as a reading says, and those of the tables that are joined to it."""
        try:
            found = self._read_header(reading, tell)
        except (pa.ArrowException, *BROKEN) as error:
            raise Unreadable(
                f"{self.path} cannot be read as a CSV, JSON, Parquet or Delta table: {error}"
            ) from error
        if found.is_own or any(join.by not in found.header for join in joins):
            return found  # not the table that they speak of
        header, joined = found.header, list[Joined]()
        for join in joins:
            joined.append(open_joined(self.path, join, header, self.options, tell))
            header = [*header, *joined[-1].names]
        return replace(found, header=header, joined=tuple(joined))

    def batches(
        self, dialects: Mapping[Part, Dialect], wanted: Sequence[str], joined: Sequence[Joined] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Read columns batch by batch as they are written."""
        adders = [(one.join.by, add) for one in joined if (add := one.adder(wanted))]
        theirs = {name for one in joined for name in one.names}
        needed = [name for name in wanted if name not in theirs] + [by for by, _ in adders]
        try:
            for batch in self._own_batches(dialects, list(dict.fromkeys(needed))):
                for _, add in adders:
                    batch = add(batch)  # noqa: PLW2901
                yield batch
        except (pa.ArrowException, *BROKEN) as error:
            hint = _RAGGED if "columns, got" in str(error) else ""
            raise Unreadable(f"{self.path} cannot be read: {error}{hint}") from error

    def _own_batches(self, dialects: Mapping[Part, Dialect], own: Sequence[str]) -> Iterator[pa.RecordBatch]:
        if self.format is Format.DATABASE:
            yield from database_batches(self.path, own)
        elif self.is_data_set:
            yield from open_dataset(self.path, self.format, self.options).to_batches(columns=list(own))
        else:
            parts = parts_of(self.path)
            for part in parts:
                self._check_file(part, parts[0], dialects, own)
                yield from batches_of(part, self.format, dialects.get(part, Dialect()), own)

    @property
    def is_data_set(self) -> bool:
        """Whether it is a Delta table, or Parquet at a URI, and no files that are read here."""
        return self.format is Format.DELTA or "://" in self.path

    def _read_header(self, reading: Reading, tell: Tell) -> Header:
        if self.format is Format.DATABASE:
            return Header(database_header(self.path), {}, reading)
        if self.is_data_set:
            schema = open_dataset(self.path, self.format, self.options).schema
            return Header(list(schema.names), {}, reading, is_own(schema))
        parts, dialects = parts_of(self.path), {}
        if self.format is Format.CSV:
            for part in parts:
                dialects[part], note = dialect_of(part, reading)
                if note:
                    tell(f"{part}: {note}")
        if self.format is Format.PARQUET:
            schema = parquet_of(parts[0]).schema_arrow
            return Header(list(schema.names), {}, reading, is_own(schema))
        looked_at = parts if self.format is Format.JSON else parts[:1]  # any object may have a name more
        headers = [header_of(part, self.format, dialects.get(part, Dialect())) for part in looked_at]
        is_one = len(headers) == 1  # a name that stands twice is refused where it is read
        names = headers[0] if is_one else list(dict.fromkeys(name for one in headers for name in one))
        return Header(names, dialects, reading)

    def _check_file(
        self, part: Part, first: Part, dialects: Mapping[Part, Dialect], wanted: Sequence[str]
    ) -> None:
        if self.format is Format.JSON:  # an object may lack what is missing
            return
        header = header_of(part, self.format, dialects.get(part, Dialect()))
        missing = [name for name in wanted if name not in header]
        if missing:
            raise BadInput(
                f"{part} lacks the column {', '.join(missing)}, which {first.name} has; "
                f"it has {', '.join(header)}"
            )


def open_at(path: str, options: Mapping[str, str]) -> Opened:
    """Find out what is at a path.

    Raises
    ------
    Unreadable
        When nothing is there.
    """
    try:
        return Opened(path, format_of(path), options)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error}") from error


def open_joined(
    path: str, join: Join, header: Sequence[str], options: Mapping[str, str], tell: Tell = quiet
) -> Joined:
    """Open a table that is joined to the one at a path.

    Raises
    ------
    BadInput
        When it is not there, or lacks the key.
    """
    place = place_of(path, join.table)
    try:
        opened = open_at(place, options)
    except Unreadable as error:
        raise Unreadable(
            f"the schema's source part joins {join.table} to {path} by {join.by}, and {error}; put it "
            "there, or write where it is under source: joins:"
        ) from error
    found = opened.header(Reading(), tell)
    if join.key not in found.header:
        raise BadInput(f"{place} has no column {join.key} to join by; it has {', '.join(found.header)}")
    return Joined(place, join, names_in(header, found.header, join), partial(opened.batches, found.dialects))
