"""Evaluates an expression of ``fraud.schema.expressions`` over a batch of a table's rows."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.schema.arrow import TIME
from fraud.schema.expressions import Call, Column, Constant, Expression, Value, start_of, step_us
from fraud.tables import values

_COMPARE: Final = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


def evaluate(expression: Expression, batch: pa.RecordBatch, first_row: int) -> pa.Array:
    """Compute an expression for every row.

    Parameters
    ----------
    expression
        What is computed.
    batch
        The table's own columns.
    first_row
        How many rows of the table lie before the batch.

    Raises
    ------
    ValueError
        When a value cannot be read as the expression says; names the value.

    Examples
    --------
    >>> from fraud.schema.expressions import parse_expression
    >>> batch = pa.record_batch({"amt": ["$1.50", None]})
    >>> evaluate(parse_expression("number(amt) * 2"), batch, 0).to_pylist()
    [3.0, None]
    """
    if isinstance(expression, Constant):
        return pa.repeat(pa.scalar(expression.value), batch.num_rows)
    if isinstance(expression, Column):
        return values.plain(batch.column(batch.schema.names.index(expression.name)))
    if expression.function == "row":
        return pa.array(np.arange(first_row + 1, first_row + batch.num_rows + 1)).cast(pa.string())
    given = [evaluate(one, batch, first_row) for one in expression.arguments]
    return _FUNCTIONS[expression.function](expression, given)


def _literals(call: Call, *defaults: str) -> list[str]:
    """Return the constant arguments after the first, or what stands in their place."""
    found = [str(one.value) for one in call.arguments[1:] if isinstance(one, Constant)]
    return [*found, *defaults[len(found) :]]


def _number(call: Call, given: list[pa.Array]) -> pa.Array:
    (form,) = _literals(call, "plain")
    try:
        return values.numbers(given[0], values.Form(form))
    except ValueError as error:
        hint = "" if form != "plain" else "; number(..., 'point') reads 1,234.50 and 'comma' 1.234,50"
        raise ValueError(f"{error}{hint}; missing(..., 'N/A') makes a value missing") from error


def _time(call: Call, given: list[pa.Array]) -> pa.Array:
    form, zone = _literals(call, "iso", "UTC")
    return values.times(given[0], form if "%" in form else values.Form(form), zone)


def _steps(call: Call, given: list[pa.Array]) -> pa.Array:
    if pa.types.is_timestamp(given[0].type):
        return given[0].cast(TIME)
    length, start = _literals(call)
    passed = pc.round(pc.multiply(_as_numbers(given[0]), float(step_us(length))))
    return pc.add(pa.scalar(start_of(start), TIME), passed.cast(pa.int64()).cast(pa.duration("us")))


def _date(_: Call, given: list[pa.Array]) -> pa.Array:
    widths = (4, 2, 2)
    parts = [_padded(values.texts(one), width) for one, width in zip(given, widths, strict=True)]
    return pc.binary_join_element_wise(*parts, "-")


def _pad(call: Call, given: list[pa.Array]) -> pa.Array:
    width = call.arguments[1]
    return _padded(values.texts(given[0]), int(width.value) if isinstance(width, Constant) else 0)  # type: ignore[arg-type]


def _padded(column: pa.Array, width: int) -> pa.Array:
    return pc.utf8_lpad(pc.utf8_trim_whitespace(column), width, "0")


def _map(call: Call, given: list[pa.Array]) -> pa.Array:
    keys = [key for key, _ in call.cases]
    meanings = [*(meaning for _, meaning in call.cases), *call.rest]
    place = _places(given[0], keys)
    if call.rest:
        place = pc.if_else(pc.and_(given[0].is_valid(), pc.is_null(place)), len(keys), place)
    strange = given[0].filter(pc.and_(given[0].is_valid(), pc.is_null(place)))
    if len(strange):
        raise ValueError(f"got {strange[0].as_py()!r}, which map(...) does not name; add it, or else = null")
    kinds = [meaning for meaning in meanings if meaning is not None]
    kind = pa.scalar(kinds[0]).type if kinds else pa.null()
    return pa.array(meanings, kind).take(place)


def _places(column: pa.Array, keys: list[Value]) -> pa.Array:
    """Find each value among the keys: numbers as numbers, all else as text."""
    if values.is_number(column.type):
        wanted = [_float(key) for key in keys]
        return pc.index_in(column.cast(pa.float64()), value_set=pa.array(wanted, pa.float64()))
    text = pc.utf8_trim_whitespace(values.texts(column))
    return pc.index_in(text, value_set=pa.array([_text(key) for key in keys], pa.string()))


def _float(value: Value) -> float | None:
    try:
        return float(value) if value is not None else None
    except ValueError:
        return None


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _missing(call: Call, given: list[pa.Array]) -> pa.Array:
    keys = [one.value for one in call.arguments[1:] if isinstance(one, Constant)]
    place = _places(given[0], keys)
    return pc.if_else(pc.is_null(place), given[0], pa.scalar(None, given[0].type))


def _when(_: Call, given: list[pa.Array]) -> pa.Array:
    if not pa.types.is_boolean(given[0].type):
        raise ValueError(f"when(...) needs a comparison, not {given[0].type}")
    return pc.if_else(given[0], *_of_one_type(given[1:]))


def _compare(call: Call, given: list[pa.Array]) -> pa.Array:
    compare = _COMPARE[call.function]
    if any(values.is_number(one.type) for one in given):
        return compare(*map(_as_numbers, given))
    return compare(*_of_one_type(given))


def _of_one_type(given: list[pa.Array]) -> list[pa.Array]:
    kinds = {one.type for one in given if not pa.types.is_null(one.type)}
    if len(kinds) > 1:
        return [values.texts(one) for one in given]
    return [one.cast(next(iter(kinds))) if kinds else one for one in given]


def _as_numbers(column: pa.Array) -> pa.Array:
    return values.numbers(column, None)


def _times_or_over(call: Call, given: list[pa.Array]) -> pa.Array:
    one, other = map(_as_numbers, given)
    found = pc.multiply(one, other) if call.function == "*" else pc.divide(one, other)
    return pc.if_else(pc.is_finite(found), found, pa.scalar(None, pa.float64()))


def _join(_: Call, given: list[pa.Array]) -> pa.Array:
    return pc.binary_join_element_wise(*map(values.texts, given), "")


_FUNCTIONS: Final[Mapping[str, Callable[[Call, list[pa.Array]], Any]]] = {
    "text": lambda _, given: values.texts(given[0]),
    "number": _number,
    "time": _time,
    "steps": _steps,
    "date": _date,
    "pad": _pad,
    "join": _join,
    "map": _map,
    "abs": lambda _, given: pc.abs(_as_numbers(given[0])),
    "missing": _missing,
    "when": _when,
    "coalesce": lambda _, given: reduce(pc.coalesce, _of_one_type(given)),
    "*": _times_or_over,
    "/": _times_or_over,
    **dict.fromkeys(_COMPARE, _compare),
}
