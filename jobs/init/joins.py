"""Finds out by which column further tables are joined to the transactions."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from fraud.errors import BadInput
from fraud.schema.source import Join
from fraud.settings.names import suggest
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
            f"--join {unknown[0]}={said[unknown[0]]}: there is no such table; {suggest(unknown[0], stems)}"
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
        shares = _shares(main, table, pairs) if pairs else {}
        good = [pair for pair, share in shares.items() if share > 0.0]
        if len(good) != 1:
            raise _unsure(path, other, stem, shares, table)
        by, key = good[0]
        joins.append(Join(_relative(path, other), by, key))
        notes.append(f"{other} is joined by {by}: {shares[good[0]]:.1%} of the transactions have a row there")
    return joins, notes


def _shares(main: Source, other: Source, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Tell which share of the transactions has a row there, by each pair; 0 where a key stands in several."""
    for source, names in ((main, [by for by, _ in pairs]), (other, [key for _, key in pairs])):
        for name in names:
            if name not in source.header:
                raise BadInput(f"{source.path} has no column {name}; it has {', '.join(source.header)}")
    asked = _columns(main, [by for by, _ in pairs], _BATCHES)
    keys = _columns(other, [key for _, key in pairs])
    return {(by, key): _share(asked[by], keys[key]) for by, key in pairs}


def _share(asked: pa.ChunkedArray, keys: pa.ChunkedArray) -> float:
    texts = key_texts(keys.combine_chunks()).drop_null()
    if pc.count_distinct(texts).as_py() < len(texts):
        return 0.0
    found = pc.is_in(key_texts(asked.combine_chunks()), value_set=texts, skip_nulls=True)
    return float(pc.mean(found).as_py() or 0.0)


def _columns(source: Source, names: Sequence[str], batches: int | None = None) -> pa.Table:
    """Read columns of a table at once; of its first batches, where their number is given."""
    only = replace(source, made_of={name: source.made_of[name] for name in names})
    return whole(islice(only.raw_batches(), batches), names)


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
