"""Reads past transactions of your own file, by the schema's source part, for the simulator to send.

Reads a table of transactions with the column ``is_fraud``, or one of labels beside it.
"""

from collections.abc import Mapping

import pyarrow as pa

from fraud.contracts.future import ARRIVALS
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import Tell, read_raw, with_keys
from fraud.schema.deployed import deployed_schema
from fraud.schema.source import Reading
from fraud.settings.base import given


def read_history(
    transactions: str,
    labels: str = "",
    *,
    columns: Mapping[str, str] | None = None,
    reading: Reading | None = None,
    label_gap_days: float | None = None,
    tell: Tell,
) -> tuple[pa.Table, pa.Table]:
    """Read transactions and labels as they are to be sent.

    Parameters
    ----------
    transactions, labels
        Tables; labels are not needed where the transactions have ``is_fraud``.
    columns, reading
        As ``--column`` and ``--read`` say; over the schema's source part.
    label_gap_days
        When a label comes after its transaction, where the table has no ``label_time``; None: as in training.
    tell
        Is told what was guessed, left out and matched.

    Raises
    ------
    BadInput
        When a table, a column or a value is missing or wrong; names it.
    """
    settings = TrainSettings(
        **given(
            transactions=transactions,
            labels=labels,
            columns=columns,
            reading=reading,
            label_gap_days=label_gap_days,
        )
    )
    schema = deployed_schema()
    found, told = read_raw(settings, tell, schema=schema)
    return found, with_keys(told, found, tell, schema)


def time_column(table: pa.Table, own: str) -> str:
    """Name the column by whose times a table is played: of its arrival, where there is one, else its own."""
    return next((name for name in ARRIVALS if name in table.column_names), own)
