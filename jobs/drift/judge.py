"""Which columns of a day have drifted: against the training, against the weeks before, over several days.

A column is flagged on a day when all of this holds:

1. it lies further from the training's days of that weekday than ordinary days do: the p-values of all
   columns together keep the false discovery rate under whatever dependence (Benjamini and Yekutieli, 2001);
2. by an amount that matters (``gate``, PSI beyond an ordinary day's);
3. it is new: it also lies away from the four weeks that ended a week before. What ages slowly (there are
   ever fewer merchants that a user has never seen) is part of a model's life and alarms only when it has
   become great (``major``).

A column alarms when it is flagged on enough of the last days. Pure: counts in, alarms out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

import numpy as np
from scipy.stats import false_discovery_control

from fraud.watch.profile import DAY_US, HOURS, Column, Ints, Profile, Tally
from jobs.drift.distance import jensen_shannon, kolmogorov_smirnov, psi, psi_parts
from jobs.drift.ordinary import Spread, same_weekday, spread_of, volume_p_value
from jobs.drift.settings import Limits

VOLUME: Final = "volume"
GAP_DAYS: Final = 7
"""Between a day and the weeks that it is compared with: a drift of some days must not hide itself."""
RECENT_DAYS: Final = 28
SILENT: Final = 0.1
"""Share of its usual rows below which an hour counts as silent."""
LOUD: Final = 20
"""Usual rows an hour that make silence strange."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One column on one day."""

    name: str
    kind: str
    """feature, score, field or volume."""
    psi: float
    """Against the training; of the volume: the logarithm of the ratio."""
    ks: float
    js: float
    psi_recent: float
    """Against the weeks before."""
    missing: float
    missing_before: float
    new: float
    """Share of values that the training had not seen."""
    p_value: float
    is_flagged: bool
    cause: str
    """In words, of a flagged one."""


@dataclass(frozen=True, slots=True)
class Day:
    """What one day shows."""

    day: int
    rows: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    """What could not be judged, and why; silent hours."""

    @property
    def date(self) -> str:
        """The day, ISO 8601."""
        return datetime.fromtimestamp(self.day * DAY_US / 1e6, UTC).date().isoformat()

    @property
    def flagged(self) -> frozenset[str]:
        """Names of the columns that are flagged."""
        return frozenset(one.name for one in self.findings if one.is_flagged)


@dataclass(frozen=True)
class Judge:
    """Compares days with a profile.

    Parameters
    ----------
    profile
        Of the training.
    live
        Counts in the profile's bins: the days to judge and, where there are any, the weeks before.
    limits
        What counts as drift.
    """

    profile: Profile
    live: Tally
    limits: Limits

    def day(self, day: int) -> Day:
        """Judge one day of the live counts."""
        rows = int(self.live.hours[self._row(day)].sum())
        volume = self._volume(day, rows)
        notes = self._silent_hours(day)
        if rows < self.limits.min_rows:
            words = (
                "no transaction" if rows == 0 else f"{rows} transactions, fewer than {self.limits.min_rows}"
            )
            notes = (f"{words} on this day: columns are not judged", *notes)
            return Day(day, rows, (self._flag(volume, volume.p_value),), notes)
        found, unjudged = [volume], []
        for column in self.profile.columns:
            count = int(self.live.counts[column.name][self._row(day)].sum())
            known = int(self._training[column.name].sum())
            if count < self.limits.min_rows or known < self.limits.min_rows:
                unjudged.append(column.name)
                continue
            found.append(self._column(column, day))
        if unjudged:
            notes = (f"too few rows to judge: {', '.join(unjudged)}", *notes)
        adjusted = false_discovery_control([one.p_value for one in found], method="by")
        return Day(
            day, rows, tuple(self._flag(one, p) for one, p in zip(found, adjusted, strict=True)), notes
        )

    def alarms(self, days: list[Day]) -> dict[str, int]:
        """Name the columns that are flagged on enough of these days (the last ones), and on how many."""
        names = {name for day in days for name in day.flagged}
        counts = {name: sum(name in day.flagged for day in days) for name in sorted(names)}
        return {name: count for name, count in counts.items() if count >= self.limits.persistence}

    def compared(self, name: str, day: int) -> tuple[Ints, Ints]:
        """Give a column's counts of a day and the training's of that weekday, [bins] each."""
        training = self._training[name]
        before = training[same_weekday(self._days, day)].sum(axis=0)
        return self.live.counts[name][self._row(day)], before if before.sum() else training.sum(axis=0)

    @cached_property
    def _days(self) -> Ints:
        return np.array(self.profile.days, np.int64)

    @cached_property
    def _training(self) -> Mapping[str, Ints]:
        return {column.name: self.profile.matrix(column.name) for column in self.profile.columns}

    @cached_property
    def _spreads(self) -> Mapping[str, Spread]:
        return {name: spread_of(self._days, counts) for name, counts in self._training.items()}

    @cached_property
    def _timeline(self) -> Ints:
        """All known days, the training's first; a day that both know is the live one."""
        return np.concatenate([self._days[~np.isin(self._days, self.live.days)], self.live.days])

    def _history(self, training: Ints, live: Ints) -> Ints:
        return np.concatenate([training[~np.isin(self._days, self.live.days)], live])

    def _recent(self, day: int, training: Ints, live: Ints) -> Ints:
        """Rows of the weeks before a day, [days, ...], of its weekday; without days that nobody counted."""
        last = day - GAP_DAYS
        history = self._history(training, live)
        chosen = (self._timeline <= last) & (self._timeline > last - RECENT_DAYS)
        chosen &= history.reshape(len(history), -1).sum(axis=1) > 0
        days, rows = self._timeline[chosen], history[chosen]
        return np.asarray(rows[same_weekday(days, day)] if len(days) else rows)

    def _row(self, day: int) -> int:
        return int(np.searchsorted(self.live.days, day))

    def _column(self, column: Column, day: int) -> Finding:
        training, live = self._training[column.name], self.live.counts[column.name]
        now, before = self.compared(column.name, day)
        recent = self._recent(day, training, live).sum(axis=0)
        spread = self._spreads[column.name]
        distance = float(psi(now, before))
        weight = spread.weight(now.sum(), before.sum())
        recent_weight = spread.weight(now.sum(), recent.sum())
        recent_distance = float(psi(now, recent)) if recent.sum() else np.nan
        beyond = distance - spread.usual(weight)
        is_new = np.isnan(recent_distance) or (
            recent_distance - spread.usual(recent_weight) >= self.limits.gate / 2.0
            and spread.p_value(recent_distance, recent_weight) <= self.limits.alpha
        )
        matters = beyond >= self.limits.gate and (is_new or beyond >= self.limits.major)
        is_text = column.kind == "field"
        return Finding(
            name=column.name,
            kind=column.kind,
            psi=distance,
            ks=float(kolmogorov_smirnov(now, before)),
            js=float(jensen_shannon(now, before)),
            psi_recent=recent_distance,
            missing=float(now[-1] / now.sum()),
            missing_before=float(before[-1] / before.sum()),
            new=float(now[-2] / now.sum()) if is_text else 0.0,
            p_value=spread.p_value(distance, weight),
            is_flagged=bool(matters),
            cause=self._cause(column, now, before),
        )

    def _cause(self, column: Column, now: Ints, before: Ints) -> str:
        """Say where most of the distance comes from."""
        parts = psi_parts(now, before)
        at = int(np.argmax(parts))
        label, share, was = column.labels[at], now[at] / now.sum(), before[at] / before.sum()
        if label == "new" and column.kind == "field":
            found = ", ".join(value for value, _ in self.live.new_values[column.name].most_common(3))
            return f"values that the training had not seen: {share:.1%}" + (f" ({found})" if found else "")
        return f"{label}: {share:.1%}, was {was:.1%}"

    def _volume(self, day: int, rows: int) -> Finding:
        training = np.array(self.profile.hours, np.int64).reshape(-1, HOURS)
        before = training[same_weekday(self._days, day)].sum(axis=1).astype(np.float64)
        recent = self._recent(day, training, self.live.hours).sum(axis=1).astype(np.float64)
        ratio = rows / max(float(before.mean()) if len(before) else 0.0, 1.0)
        ratio_recent = rows / max(float(recent.mean()), 1.0) if len(recent) else np.nan
        change, change_recent = (abs(np.log(max(one, 1e-6))) for one in (ratio, ratio_recent))
        limit = np.log(self.limits.volume_factor)
        p_recent = volume_p_value(rows, recent)
        is_new = np.isnan(ratio_recent) or (change_recent >= limit / 2.0 and p_recent <= self.limits.alpha)
        return Finding(
            name=VOLUME,
            kind=VOLUME,
            psi=float(change),
            ks=np.nan,
            js=np.nan,
            psi_recent=float(change_recent),
            missing=0.0,
            missing_before=0.0,
            new=0.0,
            p_value=volume_p_value(rows, before),
            is_flagged=bool(change >= limit and is_new),
            cause=f"{rows:,} transactions, {ratio:.2f} times the training's on this weekday",
        )

    def _silent_hours(self, day: int) -> tuple[str, ...]:
        training = np.array(self.profile.hours, np.int64).reshape(-1, HOURS)
        usual = training[same_weekday(self._days, day)].mean(axis=0)
        silent = np.flatnonzero((usual >= LOUD) & (self.live.hours[self._row(day)] < SILENT * usual))
        return (
            (f"almost no transactions in the hours {', '.join(map(str, silent))} UTC",) if len(silent) else ()
        )

    def _flag(self, found: Finding, adjusted: float) -> Finding:
        """Set the p-value to the adjusted one, and flag by it."""
        is_flagged = found.is_flagged and bool(adjusted <= self.limits.alpha)
        return replace(
            found, p_value=float(adjusted), is_flagged=is_flagged, cause=found.cause if is_flagged else ""
        )
