"""Tables to JSON values of records, column by column: the same bytes as the contracts write.

A row is joined from columns of ``"name":value`` pieces, so that no Python object is made for a row until
its bytes are ready.
"""

import json
from collections.abc import Container, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts.wire import SCHEMA_VERSION
from fraud.errors import BadInput

_NEEDS_ESCAPE: Final = r'["\\\x00-\x1f]'


def encode_rows(
    table: pa.Table,
    names: Sequence[str],
    required: Container[str] = (),
    ready: Container[str] = (),
    *,
    writes_nulls: bool = False,
) -> list[bytes]:
    """Encode every row as one JSON object.

    Parameters
    ----------
    table
        Columns of text, timestamps, booleans or numbers; one that is absent is left out.
    names
        Fields, in their order.
    required
        Which of them must have a value.
    ready
        Which of them hold JSON already.
    writes_nulls
        Whether a missing value (null or NaN) is written as null; otherwise its field is left out.

    Raises
    ------
    BadInput
        When a required column is absent or has missing values; the message names it.
    """
    pieces = [pa.scalar(f'{{"schema_version":{SCHEMA_VERSION}')]
    for name in names:
        if name not in table.column_names:
            if name in required:
                raise BadInput(f"the table has no column {name}")
            continue
        column = table[name].combine_chunks()
        value = column if name in ready else _json_of(column)
        if name in required and value.null_count:
            raise BadInput(f"column {name} has {value.null_count} missing values")
        if writes_nulls:
            value = pc.fill_null(value, "null")
        pieces.append(pc.binary_join_element_wise(f',"{name}":', value, ""))
    rows = pc.binary_join_element_wise(
        *pieces, pa.scalar("}"), "", null_handling="replace", null_replacement=""
    )
    values: list[bytes] = rows.cast(pa.binary()).to_pylist()
    return values


def _json_of(column: pa.Array) -> pa.Array:
    """Turn values into JSON text; nulls stay null."""
    if pa.types.is_timestamp(column.type):
        moment = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.timestamp("us")).cast(pa.string())
        moment = pc.replace_substring(pc.replace_substring(moment, " ", "T"), ".000000", "")
        return pc.binary_join_element_wise('"', moment, 'Z"', "")
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "true", "false")
    if pa.types.is_integer(column.type):
        return column.cast(pa.string())
    if pa.types.is_floating(column.type):
        return _number_json(column.cast(pa.float64()))
    return _text_json(column.cast(pa.string()))


def _number_json(column: pa.Array) -> pa.Array:
    known = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    text = _with_exponents(known, pc.cast(known, pa.string()))
    is_whole = pc.match_substring_regex(text, r"^-?\d+$")
    return pc.if_else(is_whole, pc.binary_join_element_wise(text, ".0", ""), text)


def _with_exponents(numbers: pa.Array, texts: pa.Array) -> pa.Array:
    """Write 5e-6 and 20000000000.0 as pydantic does, where Arrow writes 0.000005 and 2e+10."""
    size = pc.abs(numbers)
    is_small = pc.and_(pc.greater_equal(size, 1e-6), pc.less(size, 1e-5))
    is_large = pc.and_(pc.greater_equal(size, 1e10), pc.less(size, 1e16))
    differs = pc.fill_null(pc.or_(is_small, is_large), False)
    if not pc.any(differs).as_py():
        return texts
    ours = [f"{number!r}".replace("e-06", "e-6") for number in numbers.filter(differs).to_pylist()]
    return pc.replace_with_mask(texts, differs, pa.array(ours, pa.string()))


def _text_json(column: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(column, _NEEDS_ESCAPE)).as_py():
        texts = [
            None if text is None else json.dumps(text, ensure_ascii=False) for text in column.to_pylist()
        ]
        return pa.array(texts, pa.string())
    return pc.binary_join_element_wise('"', column, '"', "")
