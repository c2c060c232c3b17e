"""Features of whole tables, without Spark: training, backfill and parity call the same fold as the stream."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.features import kernel
from fraud.features.engine import fold_plan
from fraud.features.events import events_of
from fraud.features.kernel import Floats
from fraud.features.passes import (
    EntityPass,
    Passes,
    are_refused,
    as_handed_on,
    deployed_passes,
    handed_on,
    passes_of_schema,
    whole,
)
from fraud.features.profiles import profiles_of
from fraud.features.table_columns import microseconds_of
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema

States = Mapping[float, bytes | None]
REFUSED_WORDS: Final = (
    f"results change no feature: {kernel.PENDING} others of the same primary entity wait for their "
    "transactions, or their own transaction is older than those that it keeps one by one (`events`)"
)
"""Of results that could not be taken, behind their number."""
log = logging.getLogger(__name__)
NO_STATES: Final[Mapping[str, States]] = {}


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Feature vectors of a table of transactions.

    Parameters
    ----------
    vectors
        [transactions, features] in the order of the passes; NaN is missing. Rows of duplicates are all NaN.
    is_duplicate
        [transactions], True where an earlier row has the same transaction_id.
    states
        By entity, state bytes by key hash after all events; empty unless asked for.
    refused
        Results that could not be taken and changed nothing; the stream makes dead letters of them.
    """

    vectors: Floats
    is_duplicate: NDArray[np.bool_]
    states: dict[str, dict[float, bytes]]
    refused: int = 0


@dataclass(frozen=True, slots=True)
class FoldedPasses:
    """What all passes give over the same events.

    Parameters
    ----------
    vectors
        [n, features]; NaN where missing, and in rows of labels and duplicates.
    outcomes
        [n], of the primary pass, as in :class:`~fraud.features.engine.Folded`.
    states
        By entity, state bytes by key after the events.
    sequences
        By entity (of two sides, by side, e.g. ``account_out``), [n]: how many transactions it has counted
        with this event; NaN where it has not seen it, or where no states were kept.
    events
        [n, columns]; labels have here what they leave out of their transactions.
    """

    vectors: Floats
    outcomes: Floats
    states: dict[str, dict[float, bytes]]
    sequences: dict[str, Floats]
    events: Floats


def compute_features(
    transactions: pa.Table,
    labels: pa.Table | None = None,
    results: pa.Table | None = None,
    profiles: pa.Table | None = None,
    *,
    keep_states: bool = False,
    passes: Passes | None = None,
    schema: Schema | None = None,
) -> FeatureTable:
    """Compute the vector that each transaction would have been served with, had it arrived in this order.

    Parameters
    ----------
    transactions
        Fields of :class:`~fraud.contracts.Transaction` as columns. Rows arrive at ``arrival_time``
        when there is such a column, else at ``event_time``; equal times in the table's order.
    labels
        Fields of :class:`~fraud.contracts.Label`; each arrives at its ``label_time``, before the
        transactions of that same microsecond.
    results
        Fields of :class:`~fraud.contracts.Result`; each arrives at ``arrival`` when there is such a column,
        else at its ``result_time``, after the labels and before the transactions of that same microsecond.
    profiles
        Fields of :class:`~fraud.contracts.Profile`; each arrives at ``arrival`` when there is such a column,
        else at its ``profile_time``, after the results and before the transactions of that microsecond.
    keep_states
        Whether to return the entities' states.
    passes
        What to compute; by default all of the schema.
    schema
        Of the records; by default the deployment's.

    Raises
    ------
    BadInput
        When a required column is absent or has missing values; names it.
    """
    schema = schema or deployed_schema()
    passes, writer = passes or passes_of_schema(schema), events_of(schema)
    arrivals = microseconds_of(
        transactions, "arrival_time" if "arrival_time" in transactions.column_names else "event_time"
    )
    events = writer.of_transactions(transactions)
    if profiles is not None and profiles.num_rows:
        events = np.concatenate([profiles_of(schema).of_profiles(profiles), events])
        name = "arrival" if "arrival" in profiles.column_names else "profile_time"
        arrivals = np.concatenate([microseconds_of(profiles, name), arrivals])
    if results is not None and results.num_rows:
        events = np.concatenate([writer.of_results(results), events])
        name = "arrival" if "arrival" in results.column_names else "result_time"
        arrivals = np.concatenate([microseconds_of(results, name), arrivals])
    if labels is not None and labels.num_rows:
        events = np.concatenate([writer.of_labels(labels), events])
        arrivals = np.concatenate([microseconds_of(labels, "label_time"), arrivals])
    order = np.argsort(arrivals, kind="stable")
    folded = fold_passes(events[order], passes=passes, keep_states=keep_states)
    vectors = np.empty_like(folded.vectors)
    vectors[order] = folded.vectors
    outcomes = np.empty(len(events))
    outcomes[order] = folded.outcomes
    first = len(events) - transactions.num_rows
    refused = int(are_refused(events, outcomes).sum())
    if refused:
        log.warning("%s %s", f"{refused:,}", REFUSED_WORDS)
    return FeatureTable(vectors[first:], outcomes[first:] == kernel.DUPLICATE, folded.states, refused)


def fold_passes(
    events: Floats,
    states: Mapping[str, States] = NO_STATES,
    *,
    passes: Passes | None = None,
    keep_states: bool = True,
) -> FoldedPasses:
    """Fold events through the primary pass, then what it hands on through each of the others.

    Parameters
    ----------
    events
        [n, EVENT_COLUMNS] in arrival order.
    states
        By entity and key, before the events.
    passes
        The primary first.
    keep_states
        False leaves states and sequences out (training needs the vectors alone).
    """
    passes = passes or deployed_passes()
    vectors = np.full((len(events), passes[-1].end), np.nan)
    primary, *others = passes
    before = states.get(primary.name, {})
    first = fold_plan(
        primary.plan, events, before, table=vectors, first=primary.first, keep_states=keep_states
    )
    found = FoldedPasses(vectors, first.outcomes, {primary.name: first.states}, {}, first.events)
    if keep_states:
        found.sequences[primary.name] = first.sequences
    is_handed_on = handed_on(first.events, first.outcomes)
    for one in others:
        _fold_further(
            one, first.events, is_handed_on, states.get(one.name, {}), found, keep_states=keep_states
        )
    return replace(found, vectors=whole(passes, found.vectors))


def _fold_further(
    one: EntityPass,
    events: Floats,
    is_handed_on: NDArray[np.bool_],
    states: States,
    found: FoldedPasses,
    *,
    keep_states: bool,
) -> None:
    """Fold what concerns an entity, and write its part of the result."""
    seen = one.see(events, is_handed_on)
    passed = as_handed_on(seen.events, found.outcomes[seen.rows])
    folded = fold_plan(one.plan, passed, states, keep_states=keep_states)
    one.write(found.vectors, seen.rows, passed, folded.vectors)
    found.states[one.name] = folded.states
    if keep_states:
        sequences = one.sequences_of(len(events), seen, folded.sequences)
        found.sequences.update(zip((side.name for side in one.sides), sequences, strict=True))
