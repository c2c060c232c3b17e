"""The home folder of the embedded platform, as the jobs beside it find it.

A job that is told nothing else reads and writes in the home that holds its Delta tables; else in
``FRAUD_LOCAL_HOME``, by default ``.fraud`` in the current folder.
"""

import os
from pathlib import Path
from typing import Final

MARK: Final = ".fraud-home"
"""File in a home folder that was empty when it became one: what lies beside it is ours to delete."""


def platform_home(delta: str = "") -> Path:
    """Return the home folder that Delta tables lie in; without such a one the platform's own.

    Parameters
    ----------
    delta
        Folder or URI of the tables; empty: those of the stream.
    """
    stream = os.environ.get("FRAUD_STREAM_HOME", "")
    for given in (delta, stream):
        if given and "://" not in given:
            folder = Path(given).expanduser().absolute()
            for above in (folder, *folder.parents):
                if (above / MARK).exists():
                    return above
    return Path(os.environ.get("FRAUD_LOCAL_HOME") or ".fraud").expanduser()


def in_home(name: str, delta: str = "") -> Path:
    """Return a file or folder in that home."""
    return platform_home(delta) / name
