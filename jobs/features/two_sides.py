"""The pass of an entity with two sides, in the parallel build: part the records, fold by account, merge.

A record becomes a row for each account that it names; each account's rows, from both sides, are folded in the
order of arrival; then the rows of one record become one again.
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np
import pyarrow as pa

from fraud.features.engine import fold_plan
from fraud.features.passes import EntityPass, Passes
from fraud.features.sides import see_again
from fraud.schema.schema import Schema
from jobs.features import layout

Batches = Iterator[pa.RecordBatch]


def part(one: EntityPass, batches: Batches) -> Batches:
    """Make a row of each record for each account that it names; one that names none stays as it is."""
    for batch in batches:
        if not batch.num_rows:
            continue
        events = layout.unpack(batch.column("event"), one.event_width)
        is_named = one.concerns(events)
        seen = one.see(events, is_named)
        others = np.flatnonzero(~is_named)
        rows = pa.array(np.concatenate([seen.rows, others]))
        none = np.zeros(len(others), np.int64)
        keys = np.concatenate([one.keys_of(seen.events).astype(np.int64), none])
        found = {layout.key_name(one): keys, layout.sides_name(one): np.concatenate([seen.sides, none])}
        taken = batch.take(rows)
        columns = [
            pa.array(found[name]) if name in found else taken.column(name) for name in batch.schema.names
        ]
        yield pa.record_batch(columns, schema=batch.schema)


def run(of: tuple[Passes, Schema], at: int, batches: Batches) -> Batches:
    """Fold rows sorted by account; an account may go on in the next batch."""
    one = of[0][at]
    carried: dict[float, bytes | None] = {}
    for batch in batches:
        if not batch.num_rows:
            continue
        bits = batch.column(layout.sides_name(one)).to_numpy()
        rows = np.flatnonzero(bits)  # the last ones: no key is the least
        events = layout.unpack(batch.column("event"), one.event_width)
        seen = see_again(one.sides, one.events, events[rows], bits[rows])
        folded = fold_plan(one.plan, seen, carried)
        if len(rows):
            last = float(one.keys_of(seen)[-1])
            carried = {last: folded.states[last]}
        vectors = np.full((len(events), one.end), np.nan)
        vectors[:, : one.first] = layout.unpack(batch.column("vector"), one.first)
        one.write(vectors, rows, seen, folded.vectors)
        place = batch.schema.names.index("vector")
        yield batch.set_column(place, "vector", layout.pack(vectors))


def merge(of: tuple[Passes, Schema], at: int, batches: Batches) -> Batches:
    """Make one row of those of a record, which stand side by side."""
    one, is_last = of[0][at], at + 1 == len(of[0])
    for batch in _whole_records(batches):
        sequence = batch.column("sequence").to_numpy()
        is_first = np.r_[True, sequence[1:] != sequence[:-1]]
        record, first = np.cumsum(is_first) - 1, np.flatnonzero(is_first)
        parts = layout.unpack(batch.column("vector"), one.end)
        vectors, bits = parts[first], batch.column(layout.sides_name(one)).to_numpy()
        for side in one.sides:
            mine = np.flatnonzero(bits & side.bit)
            of_side = slice(one.first + side.first, one.first + side.end)
            vectors[record[mine], of_side] = parts[mine, of_side]
        records = batch.take(pa.array(first))
        events = layout.unpack(records.column("event"), one.event_width)
        yield from layout.handed_batches(records, events, vectors, of, is_last=is_last)


def _whole_records(batches: Batches) -> Batches:
    """Cut sorted rows so that a record's lie in one batch."""
    held: list[pa.RecordBatch] = []
    for batch in chain(batches, [None]):
        if batch is None:
            whole = held
        elif not batch.num_rows:
            continue
        else:
            held = [_joined([*held, batch])]
            sequence = held[0].column("sequence").to_numpy()
            end = int(np.searchsorted(sequence, sequence[-1]))
            whole, held = [held[0].slice(0, end)], [held[0].slice(end)]
        if whole and whole[0].num_rows:
            yield whole[0]


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    (found,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return found
