"""What an expression of a rule may read: names and their types, and the context in which CEL evaluates it."""

from collections.abc import Container, Mapping
from functools import partial
from typing import Any, Final

import pyarrow as pa

from fraud.features import FEATURE_NAMES
from fraud.schema.arrow import TIME, transaction_columns
from fraud.schema.deployed import deployed_schema
from fraud.schema.fields import AMOUNT_BASE, MONEY_NAMES

Lists = Mapping[str, Container[str]]
"""Values by list."""

_COLUMNS: Final = [
    column
    for column in transaction_columns(deployed_schema())
    if column.type != TIME and column.name not in MONEY_NAMES
]
FIELDS: Final = (
    *(column.name for column in _COLUMNS),
    *((AMOUNT_BASE,) if deployed_schema().money else ()),
)
TEXTS: Final = frozenset(column.name for column in _COLUMNS if pa.types.is_string(column.type))
FLAGS: Final = frozenset(column.name for column in _COLUMNS if pa.types.is_boolean(column.type))
SCORE: Final = "score"
NAMES: Final = frozenset({*FIELDS, *FEATURE_NAMES, SCORE})
NUMBERS: Final = NAMES - TEXTS - FLAGS


def is_there(value: Any) -> bool:
    """Whether a value is not missing: neither None nor NaN."""
    return value is not None and value == value  # noqa: PLR0124  NaN


def context_of(lists: Lists, values: dict[str, Any]) -> Any:
    """Make the context of one evaluation, of the values that are there."""
    import cel  # noqa: PLC0415  (in the images that decide)

    context = cel.Context()
    context.add_function("in_list", partial(_in_list, lists))
    context.update(values)
    return context


def _in_list(lists: Lists, value: str, name: str) -> bool:
    if name not in lists:
        raise ValueError(f"there is no list {name!r}")
    return value in lists[name]
