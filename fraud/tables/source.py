"""One table to read: its columns under our names, with our types, batch by batch or whole."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraud.contracts.priced import priced_table
from fraud.errors import BadInput
from fraud.schema.arrow import TIME
from fraud.schema.deployed import deployed_schema
from fraud.schema.expressions import Column, Expression, columns_of
from fraud.schema.schema import Schema
from fraud.schema.source import Join, Reading
from fraud.tables import values
from fraud.tables.columns import (
    ARRIVAL,
    SchemaColumns,
    lacks,
    ours_of,
    read_mapping,
    refuse_mapping,
)
from fraud.tables.contract import check, keep_valid
from fraud.tables.evaluate import evaluate
from fraud.tables.files import (
    Dialect,
    Format,
    open_dataset,
)
from fraud.tables.joins import Joined
from fraud.tables.opened import Opened, Tell, open_at, quiet
from fraud.tables.parts import Part, parts_of
from fraud.tables.rates import rates_for


@dataclass(frozen=True)
class Source:
    """A table to read.

    Parameters
    ----------
    what
        ``transactions`` or ``labels``: its contract.
    path
        File, folder, archive, pattern or URI.
    format
        How it lies there.
    columns
        Columns that are read, our names, with our types.
    made_of
        Our name: what it is made of.
    header
        The table's own columns.
    """

    what: str
    path: str
    format: Format
    columns: dict[str, pa.DataType]
    made_of: dict[str, Expression]
    header: list[str]
    reading: Reading = field(default_factory=Reading)
    options: Mapping[str, str] = field(default_factory=dict)
    dialects: Mapping[Part, Dialect] = field(default_factory=dict)
    forms: Mapping[str, values.Form | None] = field(default_factory=dict)
    joined: tuple[Joined, ...] = ()
    ours: SchemaColumns = field(kw_only=True)
    """Of the schema."""

    @property
    def files(self) -> list[Part]:
        """Its files in the order of the table (not of a Delta table, which has none)."""
        return parts_of(self.path)

    @property
    def schema(self) -> pa.Schema:
        """What is read."""
        made = {"kind": pa.string()} if self.makes_kinds else {}
        return pa.schema(list((made | self.columns).items()))

    @property
    def makes_kinds(self) -> bool:
        """Whether amounts, or words of the table's own, say what kind a transaction is of."""
        is_told = bool(self.reading.negative or self.reading.kinds)
        return self.what == "transactions" and is_told

    @property
    def is_plain(self) -> bool:
        """Whether every column is one of the table's, under our name, in files that lie as they are read."""
        is_same = all(one == Column(our) for our, one in self.made_of.items())
        if self.joined or self.format is Format.DATABASE:
            return False
        return is_same and (self.format is not Format.PARQUET or all(part.is_plain for part in self.files))

    def types(self) -> dict[str, pa.DataType]:
        """Tell the types that our columns have in a plain Parquet or Delta table; of its first file."""
        if self.format is Format.DELTA or "://" in self.path:
            found = open_dataset(self.path, self.format, self.options).schema
        else:
            found = pq.read_schema(self.files[0].path)
        return {our: found.field(our).type for our in self.columns}

    def name_of(self, column: str) -> str:
        """Name one of our columns so that a person finds it in the table."""
        their = ", ".join(columns_of(self.made_of[column]))
        return f"{self.path}: column {column}" + (f" ({their} in the table)" if their != column else "")

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read it batch by batch in the table's order, with our names and types.

        Raises
        ------
        BadInput
            When a value cannot be read as its column's type; names the column and the flag that helps.
        """
        first_row = 0
        for batch in self.raw_batches():
            arrays = []
            for name, kind in self.columns.items():
                try:
                    column = evaluate(self.made_of[name], batch, first_row)
                    arrays.append(values.convert(column, kind, self.forms.get(name), self.reading))
                except (pa.ArrowException, ValueError) as error:
                    raise values.refuse(self.name_of(name), kind, error) from error
            first_row += batch.num_rows
            read = pa.record_batch(arrays, schema=pa.schema(list(self.columns.items())))
            made = values.with_kinds(read, self.reading) if self.makes_kinds else read
            yield made.select(self.schema.names)

    def raw_batches(self) -> Iterator[pa.RecordBatch]:
        """Read it batch by batch as it is written, with what is joined to it."""
        wanted = list(dict.fromkeys(name for one in self.made_of.values() for name in columns_of(one)))
        opened = Opened(self.path, self.format, self.options)
        return opened.batches(self.dialects, wanted, self.joined)

    def table(self, tell: Tell = quiet, *, is_checked: bool = True) -> pa.Table:
        """Read it whole, checked against the contract.

        Parameters
        ----------
        tell
            Is told how many rows were left out.
        is_checked
            Whether rows that the wire refuses are refused, or left out as the reading says.

        Raises
        ------
        BadInput
            When it has no rows, or a value is missing, of the wrong type or against the contract.
        """
        found = pa.Table.from_batches(self.batches(), self.schema)
        if found.num_rows == 0:
            raise BadInput(f"{self.path} has no rows")
        if is_checked:
            return self.checked(found, tell)
        return self._whole(found, tell)

    def checked(self, table: pa.Table, tell: Tell = quiet) -> pa.Table:
        """Refuse rows that the wire refuses, or leave them out, as the reading says."""
        table = self._whole(table, tell)
        if self.reading.invalid == "skip":
            table = keep_valid(table, self.what, self.path, tell, self.ours)
        else:
            check(table, self.what, self.path, self.ours)
        if self.what != "transactions":
            return table
        return priced_table(table, self.ours.schema, rates_for(table, self.ours.schema))

    def _whole(self, table: pa.Table, tell: Tell) -> pa.Table:
        """Refuse missing values of required columns, or leave such rows out, as the reading says."""
        for name in self.ours.required(self.what):
            missing = table[name].null_count if name in self.columns else 0
            if missing and self.reading.invalid != "skip":
                raise BadInput(
                    f"{self.name_of(name)} has {missing:,} missing values; leave such rows out with "
                    "--read invalid=skip"
                )
            if missing:
                tell(f"{self.name_of(name)} has {missing:,} missing values; left out")
                table = table.filter(table[name].is_valid())
        return table


def open_source(
    what: str,
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    reading: Reading | None = None,
    required: Sequence[str] | None = None,
    also: Mapping[str, pa.DataType] | None = None,
    options: Mapping[str, str] | None = None,
    schema: Schema | None = None,
    tell: Tell = quiet,
) -> Source:
    """Find out what a path holds, and how its columns are to be read.

    Parameters
    ----------
    what
        ``transactions``, ``labels``, ``results`` or ``profiles``.
    path
        File, folder, zip archive, pattern such as ``cards-*.csv``, or URI; a URI is that of a Delta table, or
        ends in ``.parquet``.
    columns
        Our name: the table's column, or an expression over its columns; before the schema's ``source:`` part.
    reading
        What its texts mean, where a guess is not wanted.
    required
        Columns that must be there; None: all that the contract requires.
    also
        Further columns to read where they are there.
    options
        Of the object store, under delta-rs' names.
    schema
        Whose columns; None: the deployment's.
    tell
        Is told, in words, what was guessed.

    Raises
    ------
    BadInput
        When nothing is there, the format is not known, a column is absent, or its values have no form
        that is known; names the table's own columns and the flag that helps.
    """
    path, columns, options = str(path), columns or {}, options or {}
    ours = ours_of(schema or deployed_schema())
    ours.check(columns)
    kinds = {**ours.of(what), **ARRIVAL, **(also or {})}
    needed = ours.required(what) if required is None else required
    opened = open_at(path, options)
    tables = ours.schema.tables
    joins = tables.joins if tables and what == "transactions" else ()
    plan, found = opened.plan(columns, kinds, needed, reading or Reading(), ours=ours, joins=joins, tell=tell)
    missing = [name for name in needed if name not in plan.columns]
    wrong = next((name for name in missing if name in columns), None)
    if wrong:
        raise refuse_mapping(wrong, columns[wrong], {path: found.header})
    if missing:
        raise lacks(path, missing, found.header)
    for note in plan.notes:
        tell(note)
    wanted = {name: kind for name, kind in kinds.items() if name in plan.columns}
    source = Source(
        what=what,
        path=path,
        format=opened.format,
        columns=wanted,
        made_of=plan.columns,
        header=found.header,
        reading=found.reading,
        options=options,
        dialects=found.dialects,
        joined=found.joined,
        ours=ours,
    )
    return _with_forms(source, tell)


def check_mapping(columns: Mapping[str, str], sources: Sequence[Source]) -> None:
    """Refuse ``--column OURS=THEIRS`` where no table has THEIRS.

    Raises
    ------
    BadInput
        Naming the column, and those that there are.
    """
    for our, text in columns.items():
        if all(read_mapping(text, source.header) is None for source in sources):
            raise refuse_mapping(our, text, {source.path: source.header for source in sources})


def open_raw(
    path: str | Path,
    *,
    reading: Reading | None = None,
    joins: Sequence[Join] = (),
    tell: Tell = quiet,
    schema: Schema | None = None,
) -> Source:
    """Open a table as it is, all of its columns under their own names, with those of joined tables.

    Raises
    ------
    BadInput
        When it cannot be read, or a name stands twice in its header.
    """
    opened = open_at(str(path), {})
    found = opened.header(reading or Reading(), tell, joins)
    twice = next((name for name in found.header if found.header.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"{path}: the column {twice} is twice in the header; rename one")
    return Source(
        what="transactions",
        path=str(path),
        format=opened.format,
        columns={},
        made_of={name: Column(name) for name in found.header},
        header=found.header,
        reading=found.reading,
        dialects=found.dialects,
        joined=found.joined,
        ours=ours_of(schema or deployed_schema()),
    )


def _with_forms(source: Source, tell: Tell) -> Source:
    """Choose the form of each column of numbers or times, by all of its values."""
    asked = {
        name: kind
        for name, kind in source.columns.items()
        if kind in (TIME, pa.float64()) and isinstance(source.made_of[name], Column)
    }
    if not asked:
        return source
    possible = {name: values.TIMES if kind == TIME else values.NUMBERS for name, kind in asked.items()}
    narrow = replace_columns(source, asked)
    examples: dict[str, object] = {}
    rows = 0
    for batch in narrow.raw_batches():
        columns = {name: evaluate(source.made_of[name], batch, rows) for name in asked}
        if rows == 0 and not any(_needs_form(columns[name], kind) for name, kind in asked.items()):
            break
        for name, kind in asked.items():
            left = possible[name] & values.forms_of(columns[name], kind)
            if not left and name not in examples:
                examples[name] = _first_strange(columns[name], kind, possible[name])
            possible[name] = left
        rows += batch.num_rows
    if rows == 0:
        return source
    forms = {}
    for name, kind in asked.items():
        form, words = values.choose(possible[name], kind, source.reading)
        if form is None:
            words = words or f"got {examples.get(name)!r}"
            raise values.refuse(source.name_of(name), kind, words)
        if words:
            tell(f"{source.name_of(name)} is {words}")
        forms[name] = form
    return replace(source, forms=forms)


def replace_columns(source: Source, columns: Mapping[str, pa.DataType]) -> Source:
    """Make a source of fewer columns."""
    made_of = {name: source.made_of[name] for name in columns}
    return replace(source, columns=dict(columns), made_of=made_of)


def _needs_form(column: pa.Array, kind: pa.DataType) -> bool:
    return values.is_text(column.type) or (kind == TIME and values.is_number(column.type))


def _first_strange(column: pa.Array, kind: pa.DataType, possible: values.Forms) -> object:
    """Find a value that has none of the forms that the values before it had."""
    distinct = pc.unique(values.plain(column).drop_null())
    for at in range(len(distinct)):
        possible &= values.forms_of(distinct.slice(at, 1), kind)
        if not possible:
            return distinct[at].as_py()
    return None
