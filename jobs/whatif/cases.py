"""Frauds of one card that belong together, and when each case would have been stopped."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from jobs.whatif.read import Floats, History, Ints


@dataclass(frozen=True, slots=True)
class Cases:
    """The frauds of a history by case, in the order of card and time; [frauds] each.

    Parameters
    ----------
    row
        Of the history.
    case
        Number of its case.
    begins
        Place of each case's first fraud among these, [cases].
    """

    row: Ints
    case: Ints
    begins: Ints

    def __len__(self) -> int:
        return len(self.begins)

    def reached(self, level: Floats) -> Floats:
        """Tell the highest level that the case had reached by each fraud, itself included, [frauds].

        Parameters
        ----------
        level
            Score, or what was decided, of every row of the history.
        """
        values, rank = np.unique(level[self.row], return_inverse=True)
        # The running maximum within a case: that of all, with a step between the cases.
        step = self.case * len(values)
        found: Floats = values[np.maximum.accumulate(rank + step) - step]
        return found


def cases_of(history: History, gap_days: float) -> Cases:
    """Put the frauds of a card together that follow each other within so many days."""
    frauds = np.flatnonzero(history.is_fraud)
    row = frauds[np.lexsort([history.event_us[frauds], history.user[frauds]])]
    user, event_us = history.user[row], history.event_us[row]
    apart = (np.diff(user) != 0) | (np.diff(event_us) > gap_days * 86_400e6)
    begins = np.flatnonzero(np.concatenate([[True], apart])) if len(row) else row
    case = np.zeros(len(row), np.int64)
    case[begins[1:]] = 1
    return Cases(row, np.cumsum(case), begins)


@dataclass(frozen=True, slots=True)
class Case:
    """One case, under some threshold."""

    card: str
    fraud_type: str
    first_fraud: datetime
    frauds: int
    amount: float
    stopped_at: datetime | None
    """Time of the first fraud that was stopped; None: none was."""
    stopped_transaction: str
    minutes_to_stop: float | None
    """From the first fraud on; 0: the first one was stopped."""
    frauds_before: int
    """Approved before it; all where none was stopped."""
    amount_before: float
    highest_score: float


def list_cases(history: History, cases: Cases, level: Floats, threshold: float) -> list[Case]:
    """Describe every case, the greatest amounts first.

    Parameters
    ----------
    level
        Of every row; a row is stopped from ``threshold`` on.
    """
    ends = np.append(cases.begins[1:], len(cases.row))
    found = [
        _case(history, cases.row[begin:end], level, threshold)
        for begin, end in zip(cases.begins, ends, strict=True)
    ]
    return sorted(found, key=lambda case: -case.amount)


def _case(history: History, rows: Ints, level: Floats, threshold: float) -> Case:
    stopped = np.flatnonzero(level[rows] >= threshold)
    before = int(stopped[0]) if len(stopped) else len(rows)
    hit = rows[before] if len(stopped) else None
    first = int(history.event_us[rows[0]])
    return Case(
        card=str(history.card[rows[0]]),
        fraud_type=str(history.fraud_type[rows[0]]),
        first_fraud=_moment(first),
        frauds=len(rows),
        amount=float(history.amount[rows].sum()),
        stopped_at=None if hit is None else _moment(int(history.event_us[hit])),
        stopped_transaction="" if hit is None else str(history.transaction[hit]),
        minutes_to_stop=None if hit is None else (int(history.event_us[hit]) - first) / 60e6,
        frauds_before=before,
        amount_before=float(history.amount[rows[:before]].sum()),
        highest_score=float(history.score[rows].max()),
    )


def _moment(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us / 1e6, UTC)
