"""JSON records as tables: one object a line, or one list of objects; every value as its text.

Numbers keep their digits and nested objects become ``outer.inner``, so that the same forms and expressions
hold as for CSV, and no type is fixed by the first rows.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import pyarrow as pa

from fraud.errors import BadInput
from fraud.tables.parts import Part

ROWS: Final = 50_000
"""Of a batch."""


def json_header(part: Part) -> list[str]:
    """Name all columns of a file, in the order in which they first come."""
    return list(dict.fromkeys(name for row in _rows(part) for name in row))


def json_batches(part: Part, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Read columns of a file as texts; null and absent values are missing."""
    rows = _rows(part)
    while block := list(islice(rows, ROWS)):
        arrays = [pa.array([row.get(name) for row in block], pa.string()) for name in names]
        yield pa.record_batch(arrays, names=list(names))


def _rows(part: Part) -> Iterator[dict[str, str | None]]:
    with part.open() as stream:
        start = next((line for line in stream if line.strip()), b"")
        stream.seek(0)
        if start.lstrip().removeprefix(b"\xef\xbb\xbf").startswith(b"["):
            found = _parse(stream.read(), part, 1)
            for at, one in enumerate(found, 1):
                yield _row(one, part, at)
            return
        for at, line in enumerate(stream, 1):
            if line.strip():
                yield _row(_parse(line, part, at), part, at)


def _parse(text: bytes, part: Part, line: int) -> Any:
    try:
        return json.loads(text.decode("utf-8-sig"), parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{part}: line {line:,} is not JSON: {error}") from error


def _row(found: Any, part: Part, at: int) -> dict[str, str | None]:
    if not isinstance(found, dict):
        raise BadInput(f"{part}: record {at:,} is not a JSON object: {json.dumps(found):.60}")
    return dict(_flat(found, ""))


def _flat(found: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str | None]]:
    for name, value in found.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield prefix + name, json.dumps(value)
        elif isinstance(value, bool):
            yield prefix + name, "true" if value else "false"
        else:
            yield prefix + name, None if value is None or value == "" else str(value)
