"""The ledger of resent dead letters: the Delta table ``dead_letters_resent``, beside the others.

Each letter is written down as ``sending`` before it leaves and as ``sent`` once the broker has it. A
letter of an interrupted run that is only ``sending`` may or may not have arrived.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from fraud.errors import Fenced, Unavailable
from fraud.log.tables import NO_OPTIONS, Options, find_table, table_uri

NAME: Final = "dead_letters_resent"
SENDING: Final = "sending"
SENT: Final = "sent"
_WRITER: Final = "replay-dead-letters"
_FENCED: Final = "another `fraud replay dead-letters` has run meanwhile; start again"
_SCHEMA: Final = pa.schema(
    [
        pa.field("topic", pa.string()),
        pa.field("source_partition", pa.int32()),
        pa.field("source_offset", pa.int64()),
        pa.field("state", pa.string()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
    ]
)


class Origin(NamedTuple):
    """Where a dead letter was first read; names it for ever."""

    topic: str
    partition: int
    offset: int


class Ledger:
    """What has been resent; only one run at a time can write it.

    Parameters
    ----------
    delta
        Path or URI under which the tables lie.
    options
        Access to the object store, under delta-rs' names.

    Raises
    ------
    Unavailable
        When the table cannot be read.
    """

    def __init__(self, delta: str, options: Options = NO_OPTIONS) -> None:
        self._uri = table_uri(delta, NAME)
        self._options = dict(options)
        table = find_table(delta, NAME, options)
        self._version = _version_of(table.delta) if table else 0
        self.sent: set[Origin] = set()
        self.unconfirmed: set[Origin] = set()
        for batch in table.batches([field.name for field in _SCHEMA]) if table else ():
            names = zip(*(batch.column(i).to_pylist() for i in range(3)), strict=True)
            for name, state in zip(names, batch.column("state").to_pylist(), strict=True):
                (self.sent if state == SENT else self.unconfirmed).add(Origin(*name))
        self.unconfirmed -= self.sent

    def write(self, origins: Sequence[Origin], state: str) -> None:
        """Write letters down, for good.

        Raises
        ------
        Fenced
            When another run has written meanwhile; nothing of ours is written.
        Unavailable
            When the table does not take it.
        """
        if not origins:
            return
        columns = [list(column) for column in zip(*origins, strict=True)]
        now = datetime.now(UTC)
        rows = pa.table([*columns, [state] * len(origins), [now] * len(origins)], schema=_SCHEMA)
        commit = CommitProperties(app_transactions=[Transaction(_WRITER, self._version + 1)])
        try:
            table = DeltaTable.create(self._uri, _SCHEMA, mode="ignore", storage_options=self._options)
            if _version_of(table) != self._version:
                raise Fenced(_FENCED)
            write_deltalake(table, rows, mode="append", commit_properties=commit)
        except CommitFailedError as error:
            raise Fenced(_FENCED) from error
        except (OSError, DeltaError) as error:
            raise Unavailable(f"the record of resent dead letters cannot be written: {error}") from error
        self._version += 1
        (self.sent if state == SENT else self.unconfirmed).update(origins)
        self.unconfirmed -= self.sent


def _version_of(table: DeltaTable) -> int:
    """Count the writes of all runs."""
    return int(table.transaction_version(_WRITER) or 0)
