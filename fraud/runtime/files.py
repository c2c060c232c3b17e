"""Files that are there whole or not at all."""

import os
from pathlib import Path


def write_durably(file: Path, content: bytes) -> None:
    """Write a file; when this returns it is on the disk, and until then the old one stands.

    Parameters
    ----------
    file
        In a folder that is there.
    content
        All of it.
    """
    partial = file.with_name(f".{file.name}.partial")  # hidden: a folder's files may be read by their names
    with partial.open("wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    partial.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name, too
    finally:
        os.close(folder)
