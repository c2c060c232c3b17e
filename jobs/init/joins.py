"""Finds out by which column further tables are joined to the transactions."""

import os
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow.compute as pc

from fraud.errors import BadInput
from fraud.schema.source import Join
from fraud.tables import Source, open_raw
from fraud.tables.joins import key_texts, stem_of, whole

_BATCHES: Final = 4
"""Of the transactions, that are looked at."""


def find_joins(path: str, others: Sequence[str], said: Mapping[str, str]) -> tuple[list[Join], list[str]]:
    """Find for each further table the one column that names its rows and that the transactions have, too.

    Parameters
    ----------
    path
        Of the transactions.
    others
        Paths of the further tables.
    said
        Stem of a table's name: the column to join by, or ``OURS:THEIRS``.

    Returns
    -------
    list of Join, list of str
        What was found, in words: how many transactions have a row there.

    Raises
    ------
    BadInput
        When no column will do, or several would: names the option that says which.
    """
    main, joins, notes = open_raw(path), list[Join](), list[str]()
    stems = [stem_of(other) for other in others]
    unknown = [stem for stem in said if stem not in stems]
    if unknown:
        raise BadInput(
            f"--join {unknown[0]}={said[unknown[0]]}: there is no such table; there are {', '.join(stems)}"
        )
    for other, stem in zip(others, stems, strict=True):
        table = open_raw(other)
        if set(table.header) == set(main.header):
            raise BadInput(
                f"{other} has the columns of {path}: several files of one table are one pattern in quotes, "
                f"e.g. '{Path(path).parent / '*'}'"
            )
        pairs = (
            [_said(said[stem])]
            if stem in said
            else [(name, name) for name in main.header if name in table.header]
        )
        shares = {pair: _share(main, table, *pair) for pair in pairs}
        good = [pair for pair, share in shares.items() if share > 0.0]
        if len(good) != 1:
            raise _unsure(path, other, stem, shares, table)
        by, key = good[0]
        joins.append(Join(_relative(path, other), by, key))
        notes.append(f"{other} is joined by {by}: {shares[good[0]]:.1%} of the transactions have a row there")
    return joins, notes


def _share(main: Source, other: Source, by: str, key: str) -> float:
    """Tell which share of the transactions has a row there; 0 where a key stands in several rows."""
    for source, name in ((main, by), (other, key)):
        if name not in source.header:
            raise BadInput(f"{source.path} has no column {name}; it has {', '.join(source.header)}")
    keys = key_texts(whole(_only(other, key).raw_batches(), [key])[key].combine_chunks()).drop_null()
    if pc.count_distinct(keys).as_py() < len(keys):
        return 0.0
    batches = islice(_only(main, by).raw_batches(), _BATCHES)
    asked = key_texts(whole(batches, [by])[by].combine_chunks())
    return float(pc.mean(pc.is_in(asked, value_set=keys, skip_nulls=True)).as_py() or 0.0)


def _only(source: Source, name: str) -> Source:
    return Source(
        what=source.what,
        path=source.path,
        format=source.format,
        columns={},
        made_of={name: source.made_of[name]},
        header=source.header,
        dialects=source.dialects,
    )


def _said(text: str) -> tuple[str, str]:
    by, _, key = text.partition(":")
    return by, key or by


def _relative(path: str, other: str) -> str:
    """Write where a table lies, beside the transactions' table if it can be."""
    if "://" in other or "://" in path:
        return other
    return os.path.relpath(other, Path(path).parent)


def _unsure(
    path: str, other: str, stem: str, shares: Mapping[tuple[str, str], float], table: Source
) -> BadInput:
    good = [pair for pair, share in shares.items() if share > 0.0]
    if good:
        words = f"{path} and {other} can be joined by {' or '.join(by for by, _ in good)}"
        flags = " or ".join(f"--join {stem}={by}" for by, _ in good)
        return BadInput(f"{words}; say which with {flags}")
    tried = ", ".join(by for by, _ in shares) or "no column"
    return BadInput(
        f"{other} cannot be joined to {path}: of the columns that both have ({tried}), none names one row "
        f"there for some of the transactions. {other} has {', '.join(table.header)}; say which with "
        f"--join {stem}=COLUMN, or --join {stem}=OURS:THEIRS"
    )
