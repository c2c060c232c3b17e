"""One table to read: its columns under our names, with our types, batch by batch or whole."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraud.errors import BadInput
from fraud.schema.arrow import TIME
from fraud.schema.deployed import deployed_schema
from fraud.tables import values
from fraud.tables.columns import ARRIVAL, CONTRACTS, LABEL, TRANSACTION, check_ours, lacks, plan_names
from fraud.tables.contract import check, keep_valid
from fraud.tables.files import (
    Dialect,
    Format,
    Unreadable,
    csv_batches,
    dialect_of,
    files_of,
    format_of,
    header_of,
    open_dataset,
)
from fraud.tables.reading import Reading

Tell = Callable[[str], None]
REQUIRED = {
    "transactions": tuple(
        name for field in deployed_schema().fields if field.required for name in field.names
    ),
    "labels": tuple(name for name in LABEL if CONTRACTS.label.model_fields[name].is_required()),
}


def _quiet(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Source:
    """A table to read.

    Parameters
    ----------
    what
        ``transactions`` or ``labels``: its contract.
    path
        File, folder or URI.
    format
        How it lies there.
    columns
        Columns that are read, our names, with our types.
    names
        Our name: the table's.
    """

    what: str
    path: str
    format: Format
    columns: dict[str, pa.DataType]
    names: dict[str, str]
    header: list[str]
    reading: Reading = field(default_factory=Reading)
    options: Mapping[str, str] = field(default_factory=dict)
    dialects: Mapping[Path, Dialect] = field(default_factory=dict)
    forms: Mapping[str, values.Form | None] = field(default_factory=dict)

    @property
    def files(self) -> list[Path]:
        """Its files in the order of the table (not of a Delta table, which has none)."""
        return files_of(self.path)

    @property
    def schema(self) -> pa.Schema:
        """What is read."""
        return pa.schema(list(self.columns.items()))

    def types(self) -> dict[str, pa.DataType]:
        """Tell the types that our columns have in Parquet or Delta; of a folder, in its first file."""
        if self.format is Format.DELTA or "://" in self.path:
            found = open_dataset(self.path, self.format, self.options).schema
        else:
            found = pq.read_schema(self.files[0])
        return {our: found.field(their).type for our, their in self.names.items()}

    def name_of(self, column: str) -> str:
        """Name one of our columns so that a person finds it in the table."""
        their = self.names[column]
        return f"{self.path}: column {column}" + (f" ({their} in the table)" if their != column else "")

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read it batch by batch in the table's order, with our names and types.

        Raises
        ------
        BadInput
            When a value cannot be read as its column's type; names the column and the flag that helps.
        """
        for batch in self.raw_batches():
            arrays = []
            for name, kind in self.columns.items():
                column = batch.column(batch.schema.names.index(self.names[name]))
                try:
                    arrays.append(values.convert(column, kind, self.forms.get(name), self.reading))
                except (pa.ArrowException, ValueError) as error:
                    raise values.refuse(self.name_of(name), kind, error) from error
            yield pa.record_batch(arrays, schema=self.schema)

    def raw_batches(self) -> Iterator[pa.RecordBatch]:
        """Read it batch by batch as it is written."""
        wanted = list(dict.fromkeys(self.names.values()))
        try:
            if self.format is Format.DELTA or "://" in self.path:
                yield from open_dataset(self.path, self.format, self.options).to_batches(columns=wanted)
                return
            for file in self.files:
                self._check_file(file, wanted)
                if self.format is Format.CSV:
                    yield from csv_batches(file, self.dialects[file], wanted)
                else:
                    yield from pq.ParquetFile(file).iter_batches(columns=wanted)
        except pa.ArrowException as error:
            raise Unreadable(f"{self.path} cannot be read: {error}") from error

    def table(self, tell: Tell = _quiet, *, is_checked: bool = True) -> pa.Table:
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
        for name in REQUIRED[self.what]:
            if name in self.columns and found[name].null_count:
                raise BadInput(f"{self.name_of(name)} has {found[name].null_count:,} missing values")
        if not is_checked:
            return found
        if self.reading.invalid == "skip":
            return keep_valid(found, self.what, self.path, tell)
        check(found, self.what, self.path)
        return found

    def _check_file(self, file: Path, wanted: Sequence[str]) -> None:
        header = header_of(file, self.format, self.dialects.get(file, Dialect()))
        missing = [name for name in wanted if name not in header]
        if missing:
            raise BadInput(
                f"{file} lacks the column {', '.join(missing)}, which {self.files[0].name} has; "
                f"it has {', '.join(header)}"
            )


def open_source(
    what: str,
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    reading: Reading | None = None,
    required: Sequence[str] | None = None,
    also: Mapping[str, pa.DataType] | None = None,
    options: Mapping[str, str] | None = None,
    tell: Tell = _quiet,
) -> Source:
    """Find out what a path holds, and how its columns are to be read.

    Parameters
    ----------
    what
        ``transactions`` or ``labels``.
    path
        File, folder or URI; a URI is that of a Delta table, or ends in ``.parquet``.
    columns
        Our name: the table's, where they differ.
    reading
        What its texts mean, where a guess is not wanted.
    required
        Columns that must be there; None: all that the contract requires.
    also
        Further columns to read where they are there.
    options
        Of the object store, under delta-rs' names.
    tell
        Is told, in words, what was guessed.

    Raises
    ------
    BadInput
        When nothing is there, the format is not known, a column is absent, or its values have no form
        that is known; names the table's own columns and the flag that helps.
    """
    path, columns, reading, options = str(path), columns or {}, reading or Reading(), options or {}
    check_ours(columns)
    try:
        found = format_of(path)
        dialects, header = _headers(path, found, reading, options, tell)
    except (pa.ArrowException, OSError) as error:
        raise Unreadable(f"{path} is no CSV, Parquet or Delta table that can be read: {error}") from error
    except Exception as error:
        if type(error).__module__.startswith("deltalake") or type(error).__name__ == "TableNotFoundError":
            raise BadInput(f"{path} is no Delta table that can be read: {error}") from error
        raise
    kinds = {**(TRANSACTION if what == "transactions" else LABEL), **ARRIVAL, **(also or {})}
    names, notes = plan_names(header, columns, kinds, path)
    missing = [name for name in (REQUIRED[what] if required is None else required) if name not in names]
    if missing:
        raise lacks(path, missing, header)
    for note in notes:
        tell(note)
    wanted = {name: kind for name, kind in kinds.items() if name in names}
    source = Source(what, path, found, wanted, names, header, reading, options, dialects)
    return _with_forms(source, tell)


def check_mapping(columns: Mapping[str, str], sources: Sequence[Source]) -> None:
    """Refuse ``--column OURS=THEIRS`` where no table has THEIRS.

    Raises
    ------
    BadInput
        Naming the column, and those that there are.
    """
    for our, their in columns.items():
        if not any(their in source.header for source in sources):
            listed = "; ".join(f"{source.path} has {', '.join(source.header)}" for source in sources)
            raise BadInput(f"--column {our}={their}: there is no column {their}; {listed}")


def _headers(
    path: str, found: Format, reading: Reading, options: Mapping[str, str], tell: Tell
) -> tuple[dict[Path, Dialect], list[str]]:
    if found is Format.DELTA or "://" in path:
        return {}, list(open_dataset(path, found, options).schema.names)
    files, dialects = files_of(path), {}
    if found is Format.CSV:
        for file in files:
            dialects[file], note = dialect_of(file, reading)
            if note:
                tell(f"{file}: {note}")
    return dialects, header_of(files[0], found, dialects.get(files[0], Dialect()))


def _with_forms(source: Source, tell: Tell) -> Source:
    """Choose the form of each column of numbers or times, by all of its values."""
    asked = {name: kind for name, kind in source.columns.items() if kind in (TIME, pa.float64())}
    possible = {name: values.TIMES if kind == TIME else values.NUMBERS for name, kind in asked.items()}
    narrow = replace_columns(source, asked)
    examples: dict[str, object] = {}
    rows = 0
    for batch in narrow.raw_batches():
        if rows == 0 and not any(
            _needs_form(batch, source.names[name], kind) for name, kind in asked.items()
        ):
            break
        for name, kind in asked.items():
            column = batch.column(batch.schema.names.index(source.names[name]))
            left = possible[name] & values.forms_of(column, kind)
            if not left and name not in examples:
                examples[name] = _first_strange(column, kind, possible[name])
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
    return Source(**{**source.__dict__, "forms": forms})


def replace_columns(source: Source, columns: Mapping[str, pa.DataType]) -> Source:
    """Make a source of fewer columns."""
    names = {name: source.names[name] for name in columns}
    return Source(**{**source.__dict__, "columns": dict(columns), "names": names})


def _needs_form(batch: pa.RecordBatch, their: str, kind: pa.DataType) -> bool:
    found = batch.schema.field(their).type
    if pa.types.is_dictionary(found):
        found = found.value_type
    return values.is_text(found) or (kind == TIME and values.is_number(found))


def _first_strange(column: pa.Array, kind: pa.DataType, possible: values.Forms) -> object:
    """Find a value that has none of the forms that the values before it had."""
    for value in pc.unique(values.plain(column).drop_null()).to_pylist():
        possible &= values.forms_of(pa.array([value]), kind)
        if not possible:
            return value
    return None
