"""SQL over the platform's Delta tables: DuckDB in this process, read only, with ready views.

Reads every Delta table of a folder or a URI, as it is now or was at a moment. Nothing is copied: DuckDB asks
for the columns and rows that a query needs. A transaction is told by its id and its primary key.

Views
-----
last_labels
    Of each transaction, the label that counts: the last that arrived.
decided
    Decisions with the transaction's own fields and its label (``is_fraud``, ``label_time``, ``label_days``,
    and ``fraud_type``, ``reason_code``, ``disputed_amount``, ``disputed_currency`` where labels have them).
vectors
    The same with the served features, each under its name.
by_week
    By week and model version: decisions, labelled, frauds, stopped, precision, recall, money caught and lost.
cases
    Frauds of a cardholder that follow each other within seven days: how many, their amount, when the first
    one was stopped (null: none was), and how many and how much was approved before.

Amounts are in the base currency where the schema has one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from fraud.contracts.columns import names_of
from fraud.contracts.label import LabelPart
from fraud.contracts.priced import amount_column
from fraud.errors import BadInput
from fraud.log.arrival import COLUMNS
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema

TABLES: Final = (
    "transactions",
    "features",
    "decisions",
    "labels",
    "results",
    "profiles",
    "dead_letters",
    "figures",
)
"""Those that are looked for under a URI, whose folders cannot be listed."""
_SETTINGS: Final = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
_BATCH_ROWS: Final = 50_000
CASE_DAYS: Final = 7
"""A fraud of a cardholder that comes more days after the one before begins a new case."""
_TOLD: Final = names_of(LabelPart, but=["label_time", "is_fraud", "source"])
"""What labels tell beside whether it was fraud."""
_READS: Final = frozenset({"SELECT", "EXPLAIN"})


@dataclass(frozen=True)
class Tables:
    """An open database over Delta tables.

    Parameters
    ----------
    connection
        DuckDB's.
    names
        Tables and views, with the names of their columns.
    """

    connection: duckdb.DuckDBPyConnection
    names: Mapping[str, tuple[str, ...]]

    def query(self, text: str) -> duckdb.DuckDBPyRelation:
        """Run one query that reads; the result comes when it is fetched or written.

        Raises
        ------
        BadInput
            When it is no single query, changes something, or DuckDB refuses it; in DuckDB's words.
        """
        try:
            statements = self.connection.extract_statements(text)
        except duckdb.Error as error:
            raise BadInput(f"the query cannot be read: {error}") from error
        if len(statements) != 1 or statements[0].type.name not in _READS:
            raise BadInput("write one SELECT; the tables are read only, and --out FILE exports a result")
        try:
            found = self.connection.sql(statements[0])
        except duckdb.Error as error:
            raise BadInput(f"{error}; `fraud sql` alone lists tables, views and their columns") from error
        if found is None:
            raise BadInput("the query gives no rows; write one SELECT")
        return found


def open_tables(
    delta: str | Path,
    options: Mapping[str, str] | None = None,
    as_of: datetime | None = None,
    schema: Schema | None = None,
) -> Tables:
    """Open the Delta tables of a folder or a URI.

    Parameters
    ----------
    delta
        Folder or URI of the tables.
    options
        Of the object store, under delta-rs' names.
    as_of
        Read the tables as they were at this moment; None: as they are.
    schema
        Of the records; by default the deployment's.

    Raises
    ------
    BadInput
        When there is no Delta table.
    """
    connection = duckdb.connect(":memory:", config=dict(_SETTINGS))
    connection.execute("SET TimeZone = 'UTC'")
    found: dict[str, tuple[str, ...]] = {}
    for name, uri in _uris(str(delta)).items():
        table = _opened(uri, dict(options or {}), as_of)
        if table is not None:
            connection.register(name, table)
            found[name] = tuple(table.schema.names)
    if not found:
        when = f" as of {as_of.isoformat()}" if as_of else ""
        raise BadInput(f"there is no Delta table in {delta}{when}; `fraud up` and a stream write them")
    for name, text in _views(found, schema or deployed_schema()).items():
        view = connection.sql(text)
        view.create_view(name)
        found[name] = tuple(view.columns)
    return Tables(connection, found)


def _uris(delta: str) -> dict[str, str]:
    if "://" in delta:
        return {name: f"{delta.rstrip('/')}/{name}" for name in TABLES}
    folders = sorted(Path(delta).glob("*/_delta_log"))
    return {folder.parent.name: str(folder.parent) for folder in folders}


def _opened(uri: str, options: dict[str, str], as_of: datetime | None) -> Any:
    """Open a table as a data set of Arrow; None where there was none (then)."""
    try:
        table = DeltaTable(uri, storage_options=options or None)
        if as_of is not None:
            if as_of < _first_commit(table):
                return None
            table.load_as_version(as_of)
        return table.to_pyarrow_dataset()
    except DeltaError as error:
        if "not a Delta table" in str(error) or "No files in log segment" in str(error) or "://" in uri:
            return None
        raise BadInput(f"{uri} cannot be read: {error}") from error


def _first_commit(table: DeltaTable) -> datetime:
    first = min(commit["timestamp"] for commit in table.history())
    return datetime.fromtimestamp(first / 1000, UTC)


def _views(tables: Mapping[str, tuple[str, ...]], schema: Schema) -> dict[str, str]:
    """Write the views that the tables allow; names of columns are quoted."""
    views: dict[str, str] = {}
    primary, amount = schema.primary_key.name, _amount(schema, tables.get("transactions", ()))
    if "labels" in tables:
        views["last_labels"] = _last_labels(tables["labels"], primary)
    if {"decisions", "transactions", "labels"} <= set(tables):
        views["decided"] = _decided(tables, primary)
        views["by_week"] = _BY_WEEK.format(amount=amount)
        if primary in tables["decisions"]:
            views["cases"] = _CASES.format(key=_quoted(primary), amount=amount, days=CASE_DAYS)
    if "decided" in views and "features" in tables:
        known = {*tables["decisions"], *tables["transactions"], "is_fraud", "label_time", *_TOLD}
        features = _listed("f", [name for name in tables["features"] if name not in known])
        keys = _keys(primary, tables["decisions"], tables["transactions"], tables["features"])
        views["vectors"] = f"SELECT d.*{features} FROM decided d JOIN features f USING ({keys})"  # noqa: S608
    return views


def _amount(schema: Schema, columns: tuple[str, ...]) -> str:
    """Write what amounts of all currencies can be added up by, in units of the base currency."""
    name = amount_column(schema)
    if schema.money is None or name not in columns:
        return "amount"
    return f"{_quoted(name)} / {float(schema.money.unit)}"


def _last_labels(columns: tuple[str, ...], primary: str) -> str:
    order: list[str] = [name for name in COLUMNS if name in columns] or ["label_time"]
    last = ", ".join(f"{_quoted(name)} DESC" for name in order)
    window = f"PARTITION BY {_keys(primary, columns)} ORDER BY {last}"
    return f"SELECT * FROM labels QUALIFY row_number() OVER ({window}) = 1"  # noqa: S608


def _decided(tables: Mapping[str, tuple[str, ...]], primary: str) -> str:
    decisions, transactions = tables["decisions"], tables["transactions"]
    fields = _listed("t", [name for name in transactions if name not in decisions])
    label = f"l.is_fraud, l.label_time, {_DAYS} AS label_days"
    label += _listed("l", [name for name in _TOLD if name in tables["labels"]])
    joined = f"decisions d JOIN transactions t USING ({_keys(primary, decisions, transactions)})"
    keys = _keys(primary, decisions, transactions, tables["labels"])
    return f"SELECT d.*{fields}, {label} FROM {joined} LEFT JOIN last_labels l USING ({keys})"  # noqa: S608


def _keys(primary: str, *tables: tuple[str, ...]) -> str:
    """List the columns that tell a transaction in all of the tables."""
    keys = ["transaction_id", *([primary] if all(primary in columns for columns in tables) else [])]
    return ", ".join(map(_quoted, keys))


def _listed(table: str, names: list[str]) -> str:
    return "".join(f", {table}.{_quoted(name)}" for name in names)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_DAYS: Final = "(epoch_us(l.label_time) - epoch_us(t.event_time)) / 86400000000.0"
_BY_WEEK: Final = """
SELECT date_trunc('week', event_time AT TIME ZONE 'UTC')::DATE AS week,
       model_version,
       count(*) AS decisions,
       count(is_fraud) AS labelled,
       count(*) FILTER (is_fraud) AS frauds,
       count(*) FILTER (outcome <> 'approve') AS stopped,
       count(*) FILTER (outcome <> 'approve' AND is_fraud)
           / nullif(count(*) FILTER (outcome <> 'approve' AND is_fraud IS NOT NULL), 0) AS precision,
       count(*) FILTER (outcome <> 'approve' AND is_fraud) / nullif(count(*) FILTER (is_fraud), 0) AS recall,
       sum({amount}) FILTER (outcome <> 'approve' AND is_fraud) AS caught_amount,
       sum({amount}) FILTER (outcome = 'approve' AND is_fraud) AS lost_amount
FROM decided GROUP BY ALL ORDER BY ALL
"""
_CASES: Final = """
WITH frauds AS (
    SELECT {key}, transaction_id, event_time, {amount} AS amount, outcome <> 'approve' AS is_stopped,
           event_time - lag(event_time) OVER card > INTERVAL {days} DAY AS is_later
    FROM decided WHERE is_fraud
    WINDOW card AS (PARTITION BY {key} ORDER BY event_time, transaction_id)
), numbered AS (
    SELECT *, 1 + count(*) FILTER (is_later) OVER card AS number
    FROM frauds
    WINDOW card AS (PARTITION BY {key} ORDER BY event_time, transaction_id ROWS UNBOUNDED PRECEDING)
), reached AS (
    SELECT *, coalesce(bool_or(is_stopped) OVER so_far, false) AS was_stopped
    FROM numbered
    WINDOW so_far AS (PARTITION BY {key}, number ORDER BY event_time, transaction_id ROWS UNBOUNDED PRECEDING)
)
SELECT {key},
       number,
       min(event_time) AS first_fraud,
       max(event_time) AS last_fraud,
       count(*) AS frauds,
       sum(amount) AS amount,
       min(event_time) FILTER (is_stopped) AS stopped_at,
       count(*) FILTER (NOT was_stopped) AS frauds_before,
       coalesce(sum(amount) FILTER (NOT was_stopped), 0) AS amount_before
FROM reached GROUP BY {key}, number ORDER BY {key}, number
"""


def to_arrow(found: duckdb.DuckDBPyRelation, most: int) -> pa.Table:
    """Fetch at most so many rows of a result."""
    table: pa.Table = found.limit(most).to_arrow_table()
    return table


def write(found: duckdb.DuckDBPyRelation, path: Path) -> int:
    """Write all rows of a result to a .csv or .parquet file, batch by batch; return how many."""
    rows = 0
    with found.to_arrow_reader(_BATCH_ROWS) as reader:
        opened = pq.ParquetWriter if path.suffix == ".parquet" else pa_csv.CSVWriter
        with opened(path, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
    return rows
