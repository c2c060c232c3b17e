"""Finds transactions that the store does not know (any more) in the Delta table ``transactions``."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from fraud.errors import Unavailable
from fraud.log.tables import find_table
from fraud.schema.schema import Schema


def keys_of(schema: Schema) -> tuple[str, ...]:
    """Name the keys of a transaction: where a label of it belongs."""
    return (*schema.key_names, "event_time")


class TransactionLookup:
    """Looks transactions up by their id, one scan of the column of ids at a time, on one core.

    Parameters
    ----------
    delta
        Path or URI of the tables.
    options
        Access to the object store, under delta-rs' names.
    timeout_s
        How long a scan may take, seconds.
    keys
        Of a transaction (:func:`keys_of`).
    """

    def __init__(
        self, delta: str, options: Mapping[str, str], timeout_s: float, keys: tuple[str, ...]
    ) -> None:
        self._delta, self._options, self._timeout_s = delta, options, timeout_s
        self._keys = keys

    def keys_of(self, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """Find the keys of the transactions of some ids; several, where transactions share an id.

        Raises
        ------
        Unavailable
            When the tables do not answer, or the scan takes too long.
        """
        until = time.monotonic() + self._timeout_s
        table = find_table(self._delta, "transactions", self._options)
        found: dict[str, list[dict[str, Any]]] = {}
        if table is None:
            return found
        names = [
            name for name in self._keys if name in table.columns
        ]  # a field may be younger than the table
        try:
            batches = table.dataset.to_batches(
                columns=["transaction_id", *names],
                filter=pc.field("transaction_id").isin(list(ids)),
                batch_readahead=1,
                fragment_readahead=1,
                use_threads=False,
            )
            for batch in batches:
                for row in batch.to_pylist():
                    known = found.setdefault(row["transaction_id"], [])
                    keys = {name: row[name] for name in names}
                    if keys not in known:
                        known.append(keys)
                if time.monotonic() > until:
                    raise Unavailable(f"{table.uri} could not be searched within {self._timeout_s:g} s")
        except (OSError, DeltaError, pa.ArrowException) as error:
            raise Unavailable(f"the Delta table {table.uri} cannot be read: {error}") from error
        return found
