"""Columns of tables, made from the fields of the contracts: a record has one list of fields.

A list is a column of texts that hold it as JSON.
"""

from collections.abc import Iterable
from datetime import datetime
from types import NoneType
from typing import Annotated, Any, Final, get_args, get_origin

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel

from fraud.schema.arrow import TIME

_TYPES: Final[dict[Any, pa.DataType]] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    list: pa.string(),
    datetime: TIME,
    AwareDatetime: TIME,
}


def columns_of(model: type[BaseModel], but: Iterable[str] = ()) -> list[pa.Field]:
    """Make the columns of a record's fields, in their order.

    Parameters
    ----------
    model
        The contract, or a part of it.
    but
        Names of fields that are left out.

    Raises
    ------
    TypeError
        For a field whose type has no column; write it in ``_TYPES``.

    Examples
    --------
    >>> from fraud.contracts.decision import TrialPart
    >>> columns_of(TrialPart, but=["arm", "shadow_score"])
    [pyarrow.Field<experiment: string>, pyarrow.Field<shadow_version: string>]
    """
    out = frozenset(but)
    return [
        pa.field(name, _column_type(name, info.annotation))
        for name, info in model.model_fields.items()
        if name not in out
    ]


def names_of(model: type[BaseModel], but: Iterable[str] = ()) -> tuple[str, ...]:
    """Name a record's fields, in their order."""
    out = frozenset(but)
    return tuple(name for name in model.model_fields if name not in out)


def listed_names(model: type[BaseModel]) -> tuple[str, ...]:
    """Name the fields that hold lists.

    Examples
    --------
    >>> from fraud.contracts.decision import OutcomePart
    >>> listed_names(OutcomePart)
    ('reasons',)
    """
    return tuple(name for name, info in model.model_fields.items() if _bare(info.annotation) is list)


def _column_type(name: str, annotation: Any) -> pa.DataType:
    bare = _bare(annotation)
    if bare in _TYPES:
        return _TYPES[bare]
    if isinstance(bare, type) and issubclass(bare, str):
        return pa.string()
    raise TypeError(f"{name}: {annotation} has no type of a column")


def _bare(annotation: Any) -> Any:
    """Take what is around a type off: that it may be missing, its bounds, what a list holds."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    known = [one for one in get_args(annotation) if one is not NoneType]
    if NoneType in get_args(annotation) and len(known) == 1:
        return _bare(known[0])
    return get_origin(annotation) or annotation
