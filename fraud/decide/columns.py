"""The values of many transactions as rules read them: columns by name, and answers for all at once."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.decide.values import is_there, vocabulary_of
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class ThreeValued(NamedTuple):
    """True, false or unknown, for each transaction."""

    is_true: Bools
    is_false: Bools


class Numbers(NamedTuple):
    """A number for each transaction, and where it is known."""

    values: Floats
    is_known: Bools


class Columns:
    """Values of many transactions by name, each prepared once.

    Parameters
    ----------
    fields
        A column for each field of a transaction.
    vectors
        [n, features].
    names
        Of the features, in the vectors' order.
    score
        Of the model; NaN where it was unavailable.
    schema
        Of the transactions; by default the deployment's.
    """

    def __init__(
        self,
        fields: pa.Table,
        vectors: Floats,
        names: Sequence[str],
        score: Floats,
        schema: Schema | None = None,
    ) -> None:
        self._fields, self._vectors, self._score = fields, vectors, score
        known = vocabulary_of(schema or deployed_schema())
        self._text_names, self._flag_names = known.texts, known.flags
        self._at = {name: at for at, name in enumerate(names)}
        self._numbers: dict[str, Numbers] = {}
        self._texts: dict[str, tuple[NDArray[np.int32], list[str]]] = {}
        self.tags: dict[str, Bools] = {}
        """Which transactions have a tag, by tag; the rules fill it in their order."""

    def __len__(self) -> int:
        return int(self._fields.num_rows)

    def tagged(self, tag: str) -> ThreeValued:
        """Tell which transactions have a tag."""
        mask = self.tags.get(tag)
        if mask is None:
            mask = np.zeros(len(self), np.bool_)
        return ThreeValued(mask, ~mask)

    def give_tags(self, tags: Sequence[str], mask: Bools) -> None:
        """Tag some transactions."""
        for tag in tags:
            self.tags[tag] = mask | self.tags[tag] if tag in self.tags else mask.copy()

    def number(self, name: str) -> Numbers:
        """Take a number."""
        found = self._numbers.get(name)
        if found is None:
            values = np.ascontiguousarray(self._values(name))
            found = self._numbers[name] = Numbers(values, ~np.isnan(values))
        return found

    def flag(self, name: str) -> ThreeValued:
        """Take a flag."""
        column = self._column(name, pa.bool_())
        is_true = column.fill_null(False).to_numpy(zero_copy_only=False)
        return ThreeValued(is_true, ~column.fill_null(True).to_numpy(zero_copy_only=False))

    def text(self, name: str) -> tuple[NDArray[np.int32], list[str]]:
        """Take a text: its number among the distinct ones (-1: missing), and the distinct ones."""
        found = self._texts.get(name)
        if found is None:
            coded = pc.dictionary_encode(self._column(name, pa.string()))
            codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            found = self._texts[name] = codes, coded.dictionary.to_pylist()
        return found

    def all_there(self, names: Sequence[str]) -> Bools:
        """Tell where none of the values is missing."""
        there = np.ones(len(self), np.bool_)
        for name in names:
            if name in self._text_names:
                there &= self.text(name)[0] >= 0
            elif name in self._flag_names:
                there &= np.logical_or(*self.flag(name))
            else:
                there &= self.number(name).is_known
        return there

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Give the values that are there, one mapping a transaction."""
        whole = self._text_names | self._flag_names
        columns = [
            self._column(name).to_pylist() if name in whole else self._values(name).tolist() for name in names
        ]
        for row in range(len(self)):
            pairs = zip(names, columns, strict=True)
            yield {name: column[row] for name, column in pairs if is_there(column[row])}

    def _column(self, name: str, kind: pa.DataType | None = None) -> pa.Array:
        if name not in self._fields.column_names:
            return pa.nulls(len(self), kind or pa.string())
        return self._fields.column(name).combine_chunks()

    def _values(self, name: str) -> Floats:
        if name == "score":
            return self._score
        if name in self._at:
            return self._vectors[:, self._at[name]]
        column = self._column(name, pa.float64()).cast(pa.float64())
        values: Floats = column.fill_null(np.nan).to_numpy(zero_copy_only=False)
        return values
