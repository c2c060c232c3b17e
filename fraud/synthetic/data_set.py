"""What the generator gives."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class DataSet:
    """What a run of the generator gives, as Arrow tables."""

    transactions: pa.Table
    """The fields of ``fraud.contracts.Transaction`` but schema_version, by event_time."""
    labels: pa.Table
    """The fields of ``fraud.contracts.Label`` but schema_version, one a transaction, by label_time."""
    users: pa.Table
    merchants: pa.Table
    patterns: pa.Table
    """transaction_id, pattern: the truth about each fraud, for reports alone."""
    results: pa.Table | None = None
    """The fields of ``fraud.contracts.Result`` but schema_version, by result_time; None: there are none."""
    profiles: pa.Table | None = None
    """Fields of ``fraud.contracts.Profile`` but schema_version, by profile_time; None: there are none."""
