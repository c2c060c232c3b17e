"""Reads a table as it is: a sample of its rows, and what each column's values may be."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.errors import BadInput
from fraud.schema.arrow import TIME
from fraud.schema.source import Join, Reading
from fraud.tables import open_raw
from fraud.tables.values import NUMBERS, SIGN, TIMES, Form, forms_of, is_number, is_text, numbers, plain

SAMPLE: Final = 200_000
"""Most rows that are looked at, evenly from the whole table."""
_CLOCK: Final = r"\d:\d\d"
_ROUNDED: Final = r"^\d(\.\d+)?[eE]\+?\d{2}$"
_NO_NAME: Final = r"[+-]?\d+\.\d+|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?"


@dataclass(frozen=True)
class TableColumn:
    """One column of a table, by a sample of its values.

    Parameters
    ----------
    name
        In the table.
    values
        Of the sample, in the table's order, null where there is none.
    """

    name: str
    values: pa.Array

    @cached_property
    def present(self) -> pa.Array:
        """Values that are there."""
        return self.values.drop_null()

    @cached_property
    def missing(self) -> float:
        """Share of rows without a value."""
        return float(self.values.null_count / max(1, len(self.values)))

    @cached_property
    def distinct(self) -> int:
        """How many different values there are."""
        return int(pc.count_distinct(self.present).as_py())

    @cached_property
    def uniqueness(self) -> float:
        """Different values per value."""
        return self.distinct / max(1, len(self.present))

    @cached_property
    def number_forms(self) -> frozenset[Form]:
        """Forms in which all values are numbers."""
        if not len(self.present) or not (is_text(self.values.type) or is_number(self.values.type)):
            return frozenset()
        return forms_of(self.present, pa.float64()) & NUMBERS

    @cached_property
    def time_forms(self) -> frozenset[Form]:
        """Forms in which all values are times."""
        kind = self.values.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return frozenset({Form.ISO})
        if not len(self.present) or not (is_text(kind) or is_number(kind)):
            return frozenset()
        return forms_of(self.present, TIME) & TIMES

    @cached_property
    def has_clock(self) -> bool:
        """Whether its values tell the time of the day."""
        if pa.types.is_timestamp(self.values.type):
            day = pa.scalar(86_400_000_000)
            micros = self.present.cast(pa.timestamp("us", self.values.type.tz), safe=False).cast(pa.int64())
            whole = pc.multiply(pc.divide(micros, day), day)
            return bool(pc.any(pc.not_equal(whole, micros)).as_py())
        if is_text(self.values.type) and pc.any(pc.match_substring_regex(self.present, _CLOCK)).as_py():
            return True
        return bool(self.time_forms) and self.time_forms <= {Form.S, Form.MS, Form.US, Form.NS}

    @cached_property
    def number_form(self) -> Form | None:
        """The form of its numbers; None: there is none, or it is not sure which."""
        if Form.PLAIN in self.number_forms:
            return Form.PLAIN
        return next(iter(self.number_forms)) if len(self.number_forms) == 1 else None

    @cached_property
    def floats(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Its numbers, NaN where there is none, [rows]."""
        form = self.number_form
        if form is None:
            return np.full(len(self.values), np.nan)
        return np.asarray(numbers(self.values, form).to_numpy(zero_copy_only=False), np.float64)

    @cached_property
    def decimals(self) -> int:
        """Most decimals of its numbers, up to 6."""
        found = self.floats[np.isfinite(self.floats)]
        return next((n for n in range(6) if np.allclose(found, found.round(n), rtol=0, atol=1e-9)), 6)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How often each of its values comes, as texts, the most frequent first."""
        found = sorted(pc.value_counts(self.present).to_pylist(), key=lambda row: -row["counts"])
        return {_word(row["values"]): row["counts"] for row in found}

    @property
    def words(self) -> list[str]:
        """Its values as texts, the most frequent first, at most 50."""
        return list(islice(self.counts, 50))

    @cached_property
    def signs(self) -> list[str]:
        """Signs and codes of money that stand with its numbers."""
        if not is_text(self.values.type) or not self.number_forms:
            return []
        found = pc.struct_field(pc.extract_regex(self.present, pattern=f"(?P<sign>{SIGN})"), "sign")
        return sorted(pc.unique(found.drop_null()).to_pylist())

    @cached_property
    def is_rounded(self) -> bool:
        """Whether a spreadsheet has written long numbers as 4.52E+15, without their last digits."""
        return is_text(self.values.type) and bool(
            pc.any(pc.match_substring_regex(self.present, _ROUNDED)).as_py()
        )


@dataclass(frozen=True)
class TableSample:
    """A table as it is.

    Parameters
    ----------
    path
        Where it lies.
    columns
        By their names in the table.
    rows
        Of the whole table.
    reading
        How its texts were read.
    notes
        What was guessed of the file itself, in words.
    separator, encoding
        Of a CSV file, where they are not the usual ones.
    joins
        Tables whose columns are among its own.
    """

    path: str
    columns: Mapping[str, TableColumn]
    rows: int
    reading: Reading
    notes: tuple[str, ...]
    separator: str
    encoding: str
    joins: tuple[Join, ...] = ()

    @property
    def sampled(self) -> int:
        """Rows that were looked at."""
        return len(next(iter(self.columns.values())).values)


def read_sample(path: str, reading: Reading | None = None, joins: Sequence[Join] = ()) -> TableSample:
    """Read a sample of a table, with what is joined to it.

    Raises
    ------
    BadInput
        When it cannot be read, has no rows, or a name stands twice in its header.
    """
    notes: list[str] = []
    source = open_raw(path, reading=reading, joins=joins, tell=notes.append)
    value = next((name for name in source.header if source.dialects and re.fullmatch(_NO_NAME, name)), None)
    if value is not None:
        raise BadInput(
            f"{path}: the first line holds values ({value}) and no names of columns: write a line with the "
            "names above it"
        )
    sample, rows = _sample(source.raw_batches())
    if not rows:
        raise BadInput(f"{path} has no rows")
    columns = {
        name: TableColumn(name, plain(sample[name].combine_chunks()))
        for name in source.header
        if _is_flat(sample[name].type)
    }
    strange = [name for name in source.header if name not in columns]
    notes += [f"{path}: the column {name} holds {sample[name].type} and is left out" for name in strange]
    dialect = next(iter(source.dialects.values()), None)
    return TableSample(
        path=path,
        columns=columns,
        rows=rows,
        reading=source.reading,
        notes=tuple(notes),
        separator=dialect.separator if dialect and dialect.separator != "," else "",
        encoding=dialect.encoding if dialect and not dialect.encoding.startswith("utf-8") else "",
        joins=tuple(joins),
    )


def _sample(batches: Iterable[pa.RecordBatch]) -> tuple[pa.Table, int]:
    """Keep every n-th row, n growing with the table."""
    stride, rows, kept = 1, 0, list[pa.Table]()
    for batch in batches:
        chosen = np.arange(-rows % stride, batch.num_rows, stride)
        kept.append(pa.Table.from_batches([batch.take(pa.array(chosen))]))
        rows += batch.num_rows
        while sum(one.num_rows for one in kept) > SAMPLE:
            whole = pa.concat_tables(kept, promote_options="permissive")
            kept, stride = [whole.take(pa.array(np.arange(0, whole.num_rows, 2)))], stride * 2
    return pa.concat_tables(kept, promote_options="permissive") if kept else pa.table({}), rows


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _is_flat(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_time = pa.types.is_timestamp(inner) or pa.types.is_date(inner) or pa.types.is_time(inner)
    return (
        is_text(inner) or is_number(inner) or is_time or pa.types.is_boolean(inner) or pa.types.is_null(inner)
    )
