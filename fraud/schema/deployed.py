"""The schema of this deployment, which every program reads once.

It is the file that ``FRAUD_SCHEMA_FILE`` names; else ``schema.yaml`` in the platform's home
(``fraud schema use``); else the packaged one.
"""

import os
from functools import cache
from pathlib import Path
from typing import Final

from fraud.schema.reading import read_schema
from fraud.schema.schema import Schema
from fraud.settings.home import platform_home

VARIABLE: Final = "FRAUD_SCHEMA_FILE"
FILE: Final = "schema.yaml"
RATES_VARIABLE: Final = "FRAUD_RATES_FILE"
RATES_FILE: Final = "rates.csv"


def schema_file() -> Path | None:
    """Find the deployment's own file; None: it has none."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    own = platform_home() / FILE
    return own if own.exists() else None


def rates_file() -> Path | None:
    """Find the deployment's reference rates: what ``FRAUD_RATES_FILE`` names, else ``rates.csv`` at home."""
    named = os.environ.get(RATES_VARIABLE)
    if named:
        return Path(named).expanduser()
    own = platform_home() / RATES_FILE
    return own if own.exists() else None


def has_run(home: Path) -> bool:
    """Whether a platform has taken transactions in a home folder."""
    return (home / "stream" / "checkpoint").exists()


@cache
def deployed_schema() -> Schema:
    """Read the deployment's schema, once a process.

    Raises
    ------
    BadConfig
        When the file cannot be read, or something in it is wrong: ``file:line:column: where: what``.
    """
    return read_schema(schema_file())
