"""Hashes of texts, as states hold them: one hash for all paths, of one value and of a column."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from xxhash import xxh3_64_intdigest

from fraud.features.kernel import Floats
from fraud.schema.fields import (
    Field,
)


def hash_text(text: str | None) -> float:
    """Hash a text to a whole number in [1, 2**53); 0 stands for a missing one.

    Examples
    --------
    >>> hash_text(None), hash_text("merchant-1") == hash_text("merchant-1")
    (0.0, True)
    """
    if text is None:
        return 0.0
    return float(xxh3_64_intdigest(text.encode()) >> 11 or 1)


def hash_joined(texts: Sequence[str | None]) -> float:
    """Hash several texts together, each with its length before it; 0 where one of them is missing.

    Examples
    --------
    >>> hash_joined(["a", None]), hash_joined(["ab", "c"]) == hash_joined(["a", "bc"])
    (0.0, False)
    """
    if None in texts:
        return 0.0
    return hash_text("".join(f"{len(text)}:{text}" for text in texts if text is not None))


def hashes_of(column: pa.ChunkedArray) -> Floats:
    """Hash a text column through its dictionary, so that each distinct value is hashed once."""
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    values: Iterable[str] = encoded.dictionary.to_pylist()
    table = np.array([*(hash_text(value) for value in values), 0.0])
    codes = encoded.indices.fill_null(len(table) - 1).to_numpy()
    return np.asarray(table[codes], np.float64)


def joined_hashes_of(table: pa.Table, fields: Sequence[Field]) -> Floats:
    """Hash several text columns together, row by row."""
    columns = [table.column(field.name).cast(pa.string()).to_pylist() for field in fields]
    return np.array([hash_joined(texts) for texts in zip(*columns, strict=True)], np.float64)
