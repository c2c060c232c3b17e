"""Score first, then learn: compares the learner with the frozen champion, day by day, on the same data.

Each day is scored by what was known when it began; only then do its labels count. So every score is one
that could have been served.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from fraud.learn.examples import Codes, Examples
from fraud.learn.fit import average_precision
from fraud.model.card import Floats
from jobs.online.learner import DAY_US, known_at
from jobs.online.settings import OnlineSettings

ROLLING_DAYS: Final = 14
"""Length of the stretch whose average precision the curve shows at its last day."""


class Learner(Protocol):
    """What can be asked for scores, and told what became known."""

    def score(self, examples: Examples) -> Floats:
        """Rank transactions, [n]; higher is likelier fraud."""

    def learn(self, known: Examples) -> None:
        """Take up what is known now: the whole window."""


@dataclass(frozen=True, slots=True)
class ReplayedScores:
    """Scores of transactions, each made before a learner saw its label."""

    examples: Examples
    day: Codes
    """Days since the beginning, of each row."""
    scores: Mapping[str, Floats]
    """By learner, [n]."""

    def curve(self, name: str, days: int = ROLLING_DAYS, rows: Floats | None = None) -> Floats:
        """Average precision of the ``days`` up to each day, [days]; NaN where there is no fraud.

        ``rows``, a mask, keeps a part of the frauds; the honest always stay.
        """
        truth = self.examples.is_fraud
        wanted = np.ones(len(truth), bool) if rows is None else rows.astype(bool) | ~truth
        found = np.full(int(self.day.max()) + 1, np.nan)
        for last in range(days - 1, len(found)):
            part = (self.day > last - days) & (self.day <= last) & wanted
            if truth[part].any():
                found[last] = average_precision(truth[part], self.scores[name][part])
        return found


def play(
    examples: Examples,
    learners: Mapping[str, Learner],
    begin_us: int,
    end_us: int,
    settings: OnlineSettings,
    *,
    on_day: Callable[[int], None] = lambda _: None,
) -> ReplayedScores:
    """Play days, first scoring and then learning.

    Parameters
    ----------
    examples
        All transactions, also those of the window before the beginning.
    learners
        By name; each is told at the end of each day what is known then.
    begin_us, end_us
        The days, microseconds since 1970 UTC.
    settings
        Of what is known.
    on_day
        Told each day.
    """
    rows = np.flatnonzero((examples.event_us >= begin_us) & (examples.event_us < end_us))
    played = examples.take(rows)
    day = (played.event_us - begin_us) // DAY_US
    scores = {name: np.zeros(len(played)) for name in learners}
    for today in range(int(day.max()) + 1):
        on_day(today)
        part = np.flatnonzero(day == today)
        if len(part):
            for name, learner in learners.items():
                scores[name][part] = learner.score(played.take(part))
        known = known_at(examples, begin_us + (today + 1) * DAY_US, settings)
        for learner in learners.values():
            learner.learn(known)
    return ReplayedScores(played, day, scores)
