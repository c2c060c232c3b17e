"""Features of whole tables, without Spark: training, backfill and parity call the same fold as the stream."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.features import kernel
from fraud.features.engine import Folded, fold_events
from fraud.features.events import events_of_labels, events_of_transactions, microseconds_of
from fraud.features.kernel import Floats
from fraud.schema.features import MERCHANT, USER

NO_STATES: Final[Mapping[float, bytes | None]] = {}


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Feature vectors of a table of transactions.

    Parameters
    ----------
    vectors
        [transactions, features] in the order of ``FEATURE_NAMES``; NaN is missing. Rows of
        duplicates are all NaN.
    is_duplicate
        [transactions], True where an earlier row has the same transaction_id.
    user_states, merchant_states
        State bytes by key hash after all events; empty unless asked for.
    """

    vectors: Floats
    is_duplicate: NDArray[np.bool_]
    user_states: dict[float, bytes]
    merchant_states: dict[float, bytes]


def compute_features(
    transactions: pa.Table, labels: pa.Table | None = None, *, keep_states: bool = False
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
    keep_states
        Whether to return the entities' states.

    Raises
    ------
    BadInput
        When a required column is absent or has missing values; names it.
    """
    arrivals = microseconds_of(
        transactions, "arrival_time" if "arrival_time" in transactions.column_names else "event_time"
    )
    events = events_of_transactions(transactions)
    if labels is not None and labels.num_rows:
        events = np.concatenate([events_of_labels(labels), events])
        arrivals = np.concatenate([microseconds_of(labels, "label_time"), arrivals])
    order = np.argsort(arrivals, kind="stable")
    user, merchant = fold_both(events[order], keep_states=keep_states)
    vectors = np.empty((len(events), user.vectors.shape[1] + merchant.vectors.shape[1]))
    vectors[order] = np.hstack([user.vectors, merchant.vectors])
    outcomes = np.empty(len(events))
    outcomes[order] = user.outcomes
    first = len(events) - transactions.num_rows
    return FeatureTable(vectors[first:], outcomes[first:] == kernel.DUPLICATE, user.states, merchant.states)


def fold_both(
    events: Floats,
    user_states: Mapping[float, bytes | None] = NO_STATES,
    merchant_states: Mapping[float, bytes | None] = NO_STATES,
    *,
    keep_states: bool = True,
) -> tuple[Folded, Folded]:
    """Fold events through the user pass, then what it lets pass through the merchant pass.

    Returns
    -------
    tuple
        Both passes' results, each over all rows of ``events``.
    """
    user = fold_events(USER, events, user_states, keep_states=keep_states)
    passed, rows = merchant_events(events, user.outcomes)
    folded = fold_events(MERCHANT, passed, merchant_states, keep_states=keep_states)
    vectors = np.full((len(events), folded.vectors.shape[1]), np.nan)
    vectors[rows] = folded.vectors
    sequences = np.full(len(events), np.nan)
    sequences[rows] = folded.sequences if keep_states else np.nan
    return user, Folded(vectors, user.outcomes, folded.states, sequences)


def merchant_events(events: Floats, outcomes: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Select what the merchant pass sees: new transactions, and labels that changed a verdict.

    Returns
    -------
    tuple
        The events (a label carries its change of verdict), and their rows in ``events``.
    """
    is_label = events[:, kernel.E_KIND] == kernel.KIND_LABEL
    rows = np.flatnonzero(np.where(is_label, outcomes != 0.0, outcomes == kernel.NEW))
    passed = events[rows]
    passed[:, kernel.E_CENTS] = np.where(is_label[rows], outcomes[rows], passed[:, kernel.E_CENTS])
    return passed, rows
