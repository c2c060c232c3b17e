"""Whether a table's amounts are in several currencies that the schema adds up as if they were one."""

from typing import Final

import pyarrow as pa

from fraud.money import digits_of
from fraud.schema.schema import Schema

_LISTED: Final = 6


def currency_words(table: pa.Table, schema: Schema) -> list[str]:
    """Say that amounts of several currencies are added up, and what to write; empty where they are not.

    Parameters
    ----------
    table
        Transactions under our names.
    schema
        Whose columns they are.
    """
    if schema.money is not None or "currency" not in table.column_names:
        return []
    rows = table["currency"].drop_null().value_counts().to_pylist()
    counts = {row["values"]: row["counts"] for row in rows if digits_of(row["values"]) is not None}
    known = sorted(counts)
    if len(known) < 2:
        return []
    base = max(known, key=lambda code: counts[code])
    listed = ", ".join(known[:_LISTED]) + (", ..." if len(known) > _LISTED else "")
    words = (
        f"amounts are in {len(known)} currencies ({listed}) and are added up as if they were in one: write "
        f"`money: {{base: {base}}}` into the schema, and give the reference rates (`fraud rates check FILE`)"
    )
    return [words]
