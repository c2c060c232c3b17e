"""Tables that have further columns of the transactions, added to their rows by a key."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fraud.errors import BadInput
from fraud.schema.source import Join
from fraud.tables.values import plain

Batches = Iterator[pa.RecordBatch]
Add = Callable[[pa.RecordBatch], pa.RecordBatch]


@dataclass(frozen=True)
class Joined:
    """A joined table that was opened.

    Parameters
    ----------
    path
        Where it lies.
    join
        By what it is joined.
    names
        Its columns as the transactions' table has them: its own name, or ``stem_name`` where the
        transactions' table has a column of that name itself.
    read
        Reads columns of it, under their own names.
    """

    path: str
    join: Join
    names: Mapping[str, str]
    read: Callable[[Sequence[str]], Batches]

    def adder(self, wanted: Sequence[str]) -> Add | None:
        """Load what is wanted of it, and return what adds that to a batch; None: nothing is.

        Raises
        ------
        BadInput
            When a key stands in several rows.
        """
        names = {name: own for name, own in self.names.items() if name in wanted}
        if not names:
            return None
        columns = list(dict.fromkeys((self.join.key, *names.values())))
        table = whole(self.read(columns), columns)
        keys = key_texts(table[self.join.key].combine_chunks())
        self._check_once(keys)
        values = {name: plain(table[own].combine_chunks()) for name, own in names.items()}

        def add(batch: pa.RecordBatch) -> pa.RecordBatch:
            rows = pc.index_in(key_texts(batch[self.join.by]), value_set=keys, skip_nulls=True)
            for name, column in values.items():
                batch = batch.append_column(name, column.take(rows))
            return batch

        return add

    def _check_once(self, keys: pa.Array) -> None:
        counts = pc.value_counts(keys.drop_null())
        twice = counts.filter(pc.greater(counts.field("counts"), 1))
        if len(twice):
            one = twice[0].as_py()
            raise BadInput(
                f"{self.path}: {self.join.key} {one['values']} is in {one['counts']:,} rows; a joined "
                f"table has one row for each {self.join.key}: keep one of them, or join by another column"
            )


def names_in(header: Sequence[str], joined: Sequence[str], join: Join) -> dict[str, str]:
    """Name a joined table's columns beside those of the transactions' table.

    Examples
    --------
    >>> names_in(["id", "amount"], ["id", "amount", "device"], Join("extra.csv", "id", "id"))
    {'extra_amount': 'amount', 'device': 'device'}
    """
    stem = stem_of(join.table)
    others = [name for name in joined if name != join.key]
    return {(f"{stem}_{name}" if name in header else name): name for name in others}


def stem_of(table: str) -> str:
    """Name a table in short.

    Examples
    --------
    >>> stem_of("data/identity.csv.gz")
    'identity'
    """
    return Path(table).name.split(".")[0]


def place_of(path: str, table: str) -> str:
    """Find a joined table beside the transactions' table.

    Examples
    --------
    >>> place_of("data/cards.csv", "identity.csv"), place_of("cards.csv", "s3://lake/identity")
    ('data/identity.csv', 's3://lake/identity')
    """
    if "://" in table or Path(table).is_absolute():
        return table
    if "://" in path:
        return f"{path.rstrip('/').rpartition('/')[0]}/{table}"
    return str(Path(path).parent / table)


def whole(batches: Batches, columns: Sequence[str]) -> pa.Table:
    """Keep a table in memory; its blocks may have other types."""
    found = [pa.Table.from_batches([batch]) for batch in batches]
    if not found:
        return pa.table({name: pa.array([], pa.string()) for name in columns})
    return pa.concat_tables(found, promote_options="permissive")


def key_texts(column: pa.Array) -> pa.Array:
    """Write keys as texts, so that the 7 of a Parquet file is the 7 of a CSV file.

    Examples
    --------
    >>> key_texts(pa.array([7.0, None])).to_pylist()
    ['7', None]
    """
    column = plain(column)
    if pa.types.is_floating(column.type):  # whole numbers that a missing value made fractional
        is_whole = pc.all(pc.equal(pc.trunc(column), column)).as_py() is not False
        column = column.cast(pa.int64()) if is_whole else column
    return column.cast(pa.string())
