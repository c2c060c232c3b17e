"""Labels from the topic ``labels``, kept in a folder with the offsets up to which they were taken.

The offsets are written with the labels, in one file and at once (rename), and not to the broker: a run
that is killed takes the same ones again, and none twice.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from fraud.contracts import LABELS, AheadBounds, Label, bounds_of, check_future, contracts_of
from fraud.contracts.wire import parse_record
from fraud.errors import BadRecord, Unavailable
from fraud.kafka.reader import Message, Reader, append_time_of
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.tables import TIME
from jobs.online.settings import OnlineSettings

Arrived = tuple[Label, datetime]
LABELS_FILE: Final = "verdicts.parquet"
"""The name that earlier releases gave to the file; a new one would lose its offsets."""
_OFFSETS: Final = b"offsets"


def labels_schema(schema: Schema) -> pa.Schema:
    """Lay out the labels of a schema's transactions."""
    return pa.schema(
        [
            ("transaction_id", pa.string()),
            ("label_time", TIME),
            ("is_fraud", pa.bool_()),
            ("received_at", TIME),  # when the broker took it, as in the tables
            (schema.primary_key.name, pa.string()),  # missing in what was kept by releases before it
        ]
    )


def take_labels(settings: OnlineSettings, schema: Schema | None = None) -> tuple[pa.Table, int]:
    """Take what has arrived on the topic since the last time.

    Parameters
    ----------
    settings
        Of the job.
    schema
        Of the labels; by default the deployment's.

    Returns
    -------
    tuple[pyarrow.Table, int]
        All labels taken so far (:func:`labels_schema`), in the order of each partition, and how many are
        new. Records that no contract accepts, or that are dated into the future, are left to the stream,
        which makes them dead letters.

    Raises
    ------
    Unavailable
        When the brokers do not hand over what they have within ``patience_s``.
    """
    schema = schema or deployed_schema()
    columns, contract = labels_schema(schema), contracts_of(schema).label
    path = settings.work / LABELS_FILE
    before = _read(path) if path.exists() else columns.empty_table()
    offsets = _offsets_of(before)
    try:
        found = _read_to_end(offsets, settings, contract, bounds_of(schema, settings.most_ahead_s))
    except Unavailable as error:
        raise Unavailable(
            f"{error}; start the brokers (`fraud up`), or give --kafka-bootstrap '' for the tables' labels "
            "alone"
        ) from error
    rows = {
        name: [getattr(label, name) for label, _ in found] for name in columns.names if name != "received_at"
    }
    rows["received_at"] = [arrival for _, arrival in found]
    kept = before.replace_schema_metadata(None)
    new = pa.table({name: rows[name] for name in columns.names}, columns)
    after = pa.concat_tables([kept, new], promote_options="default")
    _write(after.replace_schema_metadata({_OFFSETS: json.dumps(offsets).encode()}), path)
    return after, len(found)


def _read_to_end(
    offsets: dict[str, int], settings: OnlineSettings, contract: type[Label], ahead: AheadBounds
) -> list[Arrived]:
    """Read each partition up to where it ended at the start, and move the offsets along."""
    patience_s = settings.patience_s
    with Reader(
        settings.kafka_bootstrap, settings.kafka_options, name="fraud-online", patience_s=patience_s
    ) as reader:
        bounds = reader.bounds(LABELS)
        starts = {at: max(offsets.get(str(at.partition), 0), bounds[at].first) for at in bounds}
        offsets.update({str(at.partition): start for at, start in starts.items()})
        ends = {at: bounds[at].end for at, start in starts.items() if start < bounds[at].end}
        reader.begin({at: starts[at] for at in ends})
        found = [
            one for message in reader.read_to(ends, patience_s) for one in _label_of(message, contract, ahead)
        ]
        offsets.update({str(at.partition): offset for at, offset in reader.next.items()})
    return found


def _label_of(message: Message, contract: type[Label], ahead: AheadBounds) -> list[Arrived]:
    try:
        label = parse_record(contract, message.value())
        arrival = append_time_of(message) or datetime.now(UTC)
        check_future(label, arrival, ahead)
    except BadRecord:
        return []
    return [(label, arrival)]


def _read(path: Path) -> pa.Table:
    """Read the labels; in a file of an older build they arrived when they became known."""
    table = pq.read_table(path)
    if "received_at" not in table.column_names:
        table = table.append_column("received_at", table["label_time"])
    return table


def _offsets_of(labels: pa.Table) -> dict[str, int]:
    metadata: dict[bytes, bytes] = labels.schema.metadata or {}
    found: Any = json.loads(metadata.get(_OFFSETS, b"{}"))
    return {str(partition): int(offset) for partition, offset in found.items()}


def _write(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    pq.write_table(table, partial)
    partial.replace(path)
