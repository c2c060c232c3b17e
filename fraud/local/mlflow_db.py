"""MLflow's database on one machine: one that was left incomplete at the first start is created again.

MLflow makes its tables one by one, and refuses to start on some of them. Reads ``mlflow.db``.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from fraud.local.jars import Tell


def give_up_half_made(file: Path, tell: Tell) -> None:
    """Delete a database in which nothing was ever kept; any other is left as it is.

    Parameters
    ----------
    file
        It may not exist.
    tell
        Takes words of progress.
    """
    if file.exists() and not _was_used(file):
        tell("the registry's database is incomplete, and is created again")
        for one in file.parent.glob(f"{file.name}*"):
            one.unlink()


def _was_used(file: Path) -> bool:
    """Whether MLflow's first start was finished: its last step is to make an experiment."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True)) as database:
            return database.execute("SELECT 1 FROM experiments LIMIT 1").fetchone() is not None
    except sqlite3.OperationalError as error:
        return "no such table" not in str(error)  # locked, or not to be read: that is for MLflow to say
    except sqlite3.DatabaseError:
        return True
