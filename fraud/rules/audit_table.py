"""The copy of the audit in the Delta table ``audit``."""

from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from fraud.errors import Unavailable
from fraud.log.tables import table_uri
from fraud.rules.audit import Entry

TABLE: Final = "audit"
_SCHEMA: Final = pa.schema(
    [
        pa.field("number", pa.int64()),
        pa.field("at", pa.timestamp("us", "UTC")),
        *(pa.field(name, pa.string()) for name in ("by", "action", "version", "note", "hash")),
        pa.field("record", pa.string()),
    ]
)
"""What people look for, and the whole record as JSON."""


class TableCopy:
    """Reads and writes the table; a :class:`~fraud.rules.audit_copies.Copy`.

    Parameters
    ----------
    delta, options
        Where the tables are.

    Raises
    ------
    Unavailable
        By every method, when the table cannot be read or written.
    """

    name = f"table {TABLE}"

    def __init__(self, delta: str, options: Mapping[str, str]) -> None:
        self._uri, self._options = table_uri(delta, TABLE), dict(options)

    def records(self) -> list[str]:
        """See :class:`~fraud.rules.audit_copies.Copy`."""
        try:
            if not DeltaTable.is_deltatable(self._uri, self._options):
                return []
            table = DeltaTable(self._uri, storage_options=self._options).to_pyarrow_table()
        except (DeltaError, OSError) as error:
            raise Unavailable(f"{self.name} cannot be read: {error}") from error
        found: list[str] = table.sort_by("number")["record"].to_pylist()
        return found

    def append(self, entries: Sequence[Entry]) -> None:
        """See :class:`~fraud.rules.audit_copies.Copy`."""
        names = [name for name in _SCHEMA.names if name != "record"]
        rows = [{**{name: getattr(one, name) for name in names}, "record": one.as_json()} for one in entries]
        table = pa.Table.from_pylist(rows, _SCHEMA)
        try:
            write_deltalake(self._uri, table, mode="append", storage_options=self._options)
        except (DeltaError, OSError) as error:
            raise Unavailable(f"{self.name} cannot be written: {error}") from error
