"""Tables that people bring, of files, Delta or a database: read as meant, checked against the contract."""

from fraud.schema.arrow import TIME
from fraud.schema.source import Reading
from fraud.tables.columns import ARRIVAL, ours_of
from fraud.tables.contract import check, keep_valid
from fraud.tables.files import Unreadable, find_table
from fraud.tables.reading import parse_columns, parse_joins, parse_reading
from fraud.tables.source import Source, check_mapping, open_raw, open_source

__all__ = [
    "ARRIVAL",
    "TIME",
    "Reading",
    "Source",
    "Unreadable",
    "check",
    "check_mapping",
    "find_table",
    "keep_valid",
    "open_raw",
    "open_source",
    "ours_of",
    "parse_columns",
    "parse_joins",
    "parse_reading",
]
