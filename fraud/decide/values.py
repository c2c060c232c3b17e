"""What an expression of a rule may read: names and their types, and the context in which CEL evaluates it."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import contains
from typing import Any, Final

import pyarrow as pa

from fraud.schema.arrow import TIME, transaction_columns
from fraud.schema.fields import AMOUNT_BASE, MONEY_NAMES
from fraud.schema.schema import Schema

Lists = Mapping[str, Container[str]]
"""Values by list."""

SCORE: Final = "score"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that expressions over a schema's transactions may read.

    Parameters
    ----------
    fields
        Of a transaction, in the order of its columns.
    texts, flags, numbers
        By type; each name is in one of them.
    """

    fields: tuple[str, ...]
    texts: frozenset[str]
    flags: frozenset[str]
    numbers: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return self.texts | self.flags | self.numbers


@lru_cache(maxsize=64)
def vocabulary_of(schema: Schema) -> Vocabulary:
    """Name what rules over a schema's transactions may read.

    Examples
    --------
    >>> from fraud.schema.reading import default_schema
    >>> found = vocabulary_of(default_schema())
    >>> "category" in found.texts, "amount" in found.numbers, "event_time" in found.names
    (True, True, False)
    """
    columns = [
        column
        for column in transaction_columns(schema)
        if column.type != TIME and column.name not in MONEY_NAMES
    ]
    fields = (*(column.name for column in columns), *((AMOUNT_BASE,) if schema.money else ()))
    texts = frozenset(column.name for column in columns if pa.types.is_string(column.type))
    flags = frozenset(column.name for column in columns if pa.types.is_boolean(column.type))
    names = frozenset({*fields, *schema.feature_names, SCORE})
    return Vocabulary(fields, texts, flags, names - texts - flags)


def is_there(value: Any) -> bool:
    """Whether a value is not missing: neither None nor NaN."""
    return value is not None and value == value  # noqa: PLR0124  NaN


def context_of(lists: Lists, values: dict[str, Any], tags: Container[str] = ()) -> Any:
    """Make the context of one evaluation, of the values that are there.

    Parameters
    ----------
    tags
        That rules above have given the transaction.
    """
    import cel  # noqa: PLC0415  (in the images that decide)

    context = cel.Context()
    context.add_function("in_list", partial(_in_list, lists))
    context.add_function("has_tag", partial(contains, tags))
    context.update(values)
    return context


def _in_list(lists: Lists, value: Any, name: str) -> bool:
    if name not in lists:
        raise ValueError(f"there is no list {name!r}")
    if not isinstance(value, str):
        raise ValueError(f"in_list() looks up a text, not {value!r:.40}; give a field that is a text")  # noqa: TRY004
    return value in lists[name]
