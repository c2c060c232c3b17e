"""The wire's contract, checked column by column: a table may hold exactly what a record may.

Bounds, lengths and patterns come from the JSON schema of the pydantic models, so that there is one contract.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic_core import SchemaValidator, core_schema

from fraud.contracts.priced import money_faults, with_kinds
from fraud.contracts.wire import EARLIEST, LATEST
from fraud.contracts.zones import is_zone
from fraud.errors import BadInput
from fraud.money import Rates
from fraud.schema.arrow import TIME
from fraud.schema.kinds import VERIFICATION
from fraud.schema.schema import Schema
from fraud.tables.columns import SchemaColumns
from fraud.tables.rates import rates_for

Bools = NDArray[np.bool_]
Check = Callable[..., Any]
MOST_SHOWN: Final = 80
"""Characters of a wrong value that a message shows."""
_BOUNDS: Final = {
    "exclusiveMinimum": (pc.greater, "above {}"),
    "minimum": (pc.greater_equal, "at least {}"),
    "maximum": (pc.less_equal, "at most {}"),
}


@dataclass(frozen=True, slots=True)
class Violation:
    """Rows that break one rule of the contract."""

    column: str
    rows: Bools
    words: str

    def __str__(self) -> str:
        """Name the column, the number of rows and the rule."""
        return f"column {self.column}: {int(self.rows.sum()):,} values are not {self.words}"


def violations(
    table: pa.Table, what: str, ours: SchemaColumns, rates: Rates | None = None
) -> Iterator[Violation]:
    """Find what the contract refuses in a table of our columns and types; missing values aside.

    Parameters
    ----------
    rates
        By which transactions are priced; None: the deployment's.
    """
    if what == "transactions" and {"amount", "event_time"} <= set(table.column_names):
        yield from _of_amounts(table, ours.schema, rates)
    for name, rule in ours.rules[what].items():
        if name in table.column_names:
            column = table[name]
            for holds, words in _checks(rule):
                wrong = pc.fill_null(pc.invert(holds(column)), fill_value=False).to_numpy()
                if wrong.any():
                    yield Violation(name, wrong, words)
    for one, other in ours.pairs:
        if one in table.column_names and other in table.column_names:
            half = pc.xor(table[one].is_valid(), table[other].is_valid()).to_numpy()
            if half.any():
                yield Violation(one, half, f"given together with {other}")
    if what == "transactions" and ours.schema.zone in table.column_names:
        yield from _of_zone(table, ours.schema.zone)


def _of_zone(table: pa.Table, name: str) -> Iterator[Violation]:
    wrong = [zone for zone in pc.unique(table[name].drop_null()).to_pylist() if not is_zone(zone)]
    if wrong:
        rows = pc.fill_null(pc.is_in(table[name], pa.array(wrong, pa.string())), fill_value=False)
        yield Violation(name, rows.to_numpy(), "a zone such as Europe/Berlin or an offset such as +02:00")


def _of_amounts(table: pa.Table, schema: Schema, rates: Rates | None) -> Iterator[Violation]:
    """Find the rows whose amount or currency is refused, by the words of the first of each column."""
    is_zero = pc.fill_null(pc.equal(table["amount"], 0.0), fill_value=False)
    is_zero = pc.and_(is_zero, pc.not_equal(with_kinds(table)["kind"], VERIFICATION)).to_numpy()
    if is_zero.any():
        yield Violation("amount", is_zero, f"above 0 (0 is for kind {VERIFICATION} alone)")
    found = money_faults(table, schema, rates_for(table, schema) if rates is None else rates)
    for column in dict.fromkeys(words.partition(":")[0] for _, words in found):
        mine = [(row, words) for row, words in found if words.startswith(f"{column}:")]
        rows = np.zeros(table.num_rows, np.bool_)
        rows[[row for row, _ in mine]] = True
        yield Violation(column, rows, f"taken: {mine[0][1].partition(': ')[2]}")


def check(table: pa.Table, what: str, name: str, ours: SchemaColumns, rates: Rates | None = None) -> None:
    """Refuse a table that holds what the wire refuses.

    Parameters
    ----------
    rates
        By which transactions are priced; None: the deployment's.

    Raises
    ------
    BadInput
        Naming the column, how many values, the first one, and the flag that leaves such rows out.
    """
    found = list(violations(table, what, ours, rates))
    if found:
        first = found[0]
        row = int(np.argmax(first.rows))
        value = _shown(table[first.column][row])
        shown = repr(value)
        if len(shown) > MOST_SHOWN:
            shown = f"{shown[:MOST_SHOWN]}... ({len(shown):,} characters)"
        is_negative = first.column == "amount" and value is not None and value < 0.0
        hint = "read amounts below 0 as refunds with --read negative=refund, " if is_negative else ""
        raise BadInput(
            f"{name}: {'; '.join(map(str, found))}. The first is {shown} in row {row + 1:,}. The wire "
            f"refuses such rows too: correct the table, {hint}or leave them out with --read invalid=skip"
        )


def keep_valid(
    table: pa.Table, what: str, name: str, tell: Callable[[str], None], ours: SchemaColumns
) -> pa.Table:
    """Leave out the rows that the wire refuses, and say how many."""
    keep = np.ones(table.num_rows, bool)
    for found in violations(table, what, ours):
        tell(f"{name}: {found}; left out")
        keep &= ~found.rows
    if not keep.any():
        raise BadInput(f"{name}: none of {table.num_rows:,} rows is valid")
    return table if keep.all() else table.filter(pa.array(keep))


def _shown(value: pa.Scalar) -> Any:
    """Show a value; a time that Python's calendar does not have as Arrow writes it."""
    try:
        return value.as_py()
    except (OverflowError, ValueError):
        return str(value.cast(pa.string()))


def _checks(rule: Mapping[str, Any]) -> Iterator[tuple[Check, str]]:
    for keyword, (compare, words) in _BOUNDS.items():
        if keyword in rule:
            limit = float(rule[keyword])
            yield partial(_compare, compare, limit), words.format(f"{limit:,g}")
    if "minLength" in rule or "maxLength" in rule:
        low, high = rule.get("minLength", 0), rule.get("maxLength", 2**31)
        yield partial(_is_long, low, high), f"{low} to {high} characters long"
    if "pattern" in rule:
        yield partial(_is_of_form, rule["pattern"]), f"of the form {rule['pattern']}"
    if rule.get("format") == "date-time":
        yield _is_in_range, "in the years 2000 to 2099"


def _is_long(low: int, high: int, column: pa.ChunkedArray) -> Any:
    length = pc.utf8_length(column)
    return pc.and_(pc.greater_equal(length, low), pc.less_equal(length, high))


def _is_of_form(pattern: str, column: pa.ChunkedArray) -> Any:
    """Look for a pattern with the engine of the records' contract: Arrow's knows other letters and ends."""
    is_like = SchemaValidator(core_schema.str_schema(pattern=pattern)).isinstance_python
    like = [value for value in pc.unique(column.drop_null()).to_pylist() if is_like(value)]
    found = pc.is_in(column, value_set=pa.array(like, pa.string()))
    return pc.if_else(column.is_valid(), found, pa.scalar(None, pa.bool_()))


def _is_in_range(column: pa.ChunkedArray) -> Any:
    first, last = pa.scalar(EARLIEST, TIME), pa.scalar(LATEST, TIME)
    return pc.and_(pc.greater_equal(column, first), pc.less(column, last))


def _compare(compare: Check, limit: float, column: pa.ChunkedArray) -> Any:
    return compare(column, limit)
