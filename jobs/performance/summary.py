"""The summary: quality by window and version from matured labels, estimates, and figures that have dropped.

A stretch ends with the newest transaction that is old enough for its window, so that a window never counts
what is too young for it, and every transaction of a window had the same time for its label.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np

from fraud.watch.profile import DAY_US
from jobs.performance.measure import METRICS, Estimate, Quality, Rows, estimate
from jobs.performance.read import Bools, Decided, Floats, Ints
from jobs.performance.settings import PerformanceSettings

ALL: Final = "all"
"""In the place of a version: every decision, the fallback's too."""
ESTIMATED: Final = "estimated"
MATURED: Final = "matured"
MOST_TYPES: Final = 20
"""Kinds of fraud with a row of their own: the most frequent ones."""
MOST_VERSIONS: Final = 5
"""Model versions with a row of their own: those that decided last."""
SMOOTHED_DAYS: Final = 7
"""Days that a point of the plot looks back on: each weekday once, and enough frauds."""


@dataclass(frozen=True, slots=True)
class VersionQuality:
    """Quality of one model version over a period; ``window_days`` is None where labels have not matured."""

    version: str
    window_days: int | None
    since: datetime
    until: datetime
    truth: Quality | None
    expected: Estimate | None
    """Of the same transactions, by their scores; None where none has a score."""


@dataclass(frozen=True, slots=True)
class QualityDrop:
    """Whether one figure is significantly lower than before, by more than the tolerance."""

    metric: str
    basis: str
    """``matured`` or ``estimated``."""
    now: float
    """Mean of the draws, as is the next."""
    earlier: float
    has_fallen: bool


@dataclass(frozen=True, slots=True)
class TypeQuality:
    """Quality for one kind of fraud, in the newest period with the longest maturity window."""

    fraud_type: str
    window_days: int
    since: datetime
    until: datetime
    frauds: int
    recall: float
    """Share of them that was not approved."""
    amount_caught: float
    """Share of their amount that was not approved."""
    lost: float
    """Their amount that was approved."""


@dataclass(frozen=True, slots=True)
class Week:
    """Known frauds of the seven days up to a moment, by kind."""

    until: datetime
    frauds: dict[str, int]


@dataclass(frozen=True, slots=True)
class Point:
    """The days up to one, in the plot."""

    until: datetime
    expected: Estimate
    truths: dict[int, Quality]
    """Window in days: truth, where all of its transactions are old enough."""


@dataclass(frozen=True, slots=True)
class Performance:
    """What a run found."""

    as_of: datetime
    lines: tuple[VersionQuality, ...]
    falls: tuple[QualityDrop, ...]
    notes: tuple[str, ...]
    """What could not be judged, and why."""
    points: tuple[Point, ...]
    types: tuple[TypeQuality, ...] = ()
    """By kind of fraud, the most frequent first."""
    weeks: tuple[Week, ...] = ()

    @property
    def fallen(self) -> list[QualityDrop]:
        """What has fallen."""
        return [one for one in self.falls if one.has_fallen]


def summarise(decided: Decided, settings: PerformanceSettings) -> Performance:
    """Measure every window and version, estimate the newest, and look for falls."""
    windows = sorted(set(settings.windows_days))
    falls, notes = find_drops(decided, windows[0], settings)
    waiting = [
        f"no transaction is {days} days old yet"
        for days in windows
        if decided.event_us.min() > decided.matured_until(days)
    ]
    return Performance(
        as_of=_moment(decided.as_of_us),
        lines=tuple(_lines(decided, windows, settings)),
        falls=tuple(falls),
        notes=(*waiting, *notes),
        points=tuple(_points(decided, windows, settings)),
        types=tuple(_types(decided, windows, settings)),
        weeks=tuple(_weeks(decided, windows[0])),
    )


def find_drops(
    decided: Decided, window: int, settings: PerformanceSettings
) -> tuple[list[QualityDrop], list[str]]:
    """Compare the newest period with the stretch before it, by truth and by estimate.

    Parameters
    ----------
    window
        Maturity window of the truth, days.

    Returns
    -------
    tuple
        One fall a figure and basis, and words on what could not be judged.
    """
    truth = decided.is_fraud(window).astype(np.float64)
    is_scored = ~np.isnan(decided.score)
    everything = np.ones(len(is_scored), np.bool_)
    falls, notes = [], []
    for basis, end, chance, usable in (
        (MATURED, _end(decided, window), truth, everything),
        (ESTIMATED, _end(decided, None), decided.score, is_scored),
    ):
        begin = end - settings.period_days * DAY_US
        recent = usable & decided.between(begin, end)
        earlier = usable & decided.between(begin - settings.earlier_days * DAY_US, begin)
        frauds = [float(chance[chosen].sum()) for chosen in (recent, earlier)]
        if min(frauds) < settings.min_frauds:
            notes.append(
                f"falls by {basis} figures are not judged: {frauds[0]:.0f} frauds in the last "
                f"{settings.period_days} days and {frauds[1]:.0f} in the {settings.earlier_days} before, "
                f"{settings.min_frauds} are needed"
            )
            continue
        now = _drawn(decided, recent, chance, settings.draws, settings.seed)
        before = _drawn(decided, earlier, chance, settings.draws, settings.seed + 1)
        falls += [_drop(metric, basis, now[metric], before[metric], settings) for metric in METRICS]
    return falls, notes


def _lines(decided: Decided, windows: list[int], settings: PerformanceSettings) -> Iterator[VersionQuality]:
    for window in (*windows, None):
        until = _end(decided, window)
        since = until - settings.period_days * DAY_US
        inside = decided.between(since, until)
        if not inside.any():
            continue
        truth = None if window is None else decided.is_fraud(window).astype(np.float64)
        whole = VersionQuality(
            ALL,
            window,
            _moment(since),
            _moment(until),
            None if truth is None else Rows.of(decided, inside).measure(truth[inside]),
            _expected(decided, inside, settings.draws, settings.seed),
        )
        yield whole
        versions = _versions(decided, inside)
        if len(versions) == 1:  # all there is
            yield replace(whole, version=versions[0])
            continue
        for version in versions:
            chosen = inside & (decided.version == version)
            yield replace(
                whole,
                version=version,
                truth=None if truth is None else Rows.of(decided, chosen).measure(truth[chosen]),
                expected=_expected(decided, chosen, settings.draws, settings.seed),
            )


def _versions(decided: Decided, inside: Bools) -> list[str]:
    """List the versions that decided last, the newest first."""
    names, at = np.unique(decided.version[inside][::-1], return_index=True)
    return [str(names[one]) for one in np.argsort(at)][:MOST_VERSIONS]


def _drawn(decided: Decided, chosen: Bools, chance: Floats, draws: int, seed: int) -> dict[str, Floats]:
    rows, rng = Rows.of(decided, chosen), np.random.default_rng(seed)
    found = list(rows.draw(chance[chosen], draws, rng, by_user=True))
    return {metric: np.array([getattr(one, metric) for one in found]) for metric in METRICS}


def _drop(
    metric: str, basis: str, now: Floats, earlier: Floats, settings: PerformanceSettings
) -> QualityDrop:
    """Whether the difference stays below the tolerance in all but ``alpha`` of the draws."""
    beyond = now - (1.0 - settings.tolerance) * earlier
    beyond = beyond[~np.isnan(beyond)]
    has_fallen = len(beyond) > 0 and bool(np.quantile(beyond, 1.0 - settings.alpha) < 0.0)
    return QualityDrop(metric, basis, float(np.nanmean(now)), float(np.nanmean(earlier)), has_fallen)


def _points(decided: Decided, windows: list[int], settings: PerformanceSettings) -> Iterator[Point]:
    """Look back from the end of every day that has a whole stretch before it."""
    truths = {window: decided.is_fraud(window).astype(np.float64) for window in windows}
    length = SMOOTHED_DAYS * DAY_US
    last = (int(decided.event_us[-1]) + 1) // DAY_US
    shown = settings.period_days + settings.earlier_days
    first = max(-(-int(decided.event_us[0]) // DAY_US) + SMOOTHED_DAYS, last - shown)
    for day in range(first, last + 1):
        until = day * DAY_US - 1
        chosen = decided.between(until - length, until)
        expected = _expected(decided, chosen, max(settings.draws // 2, 50), settings.seed + day)
        if expected is None:
            continue
        rows = Rows.of(decided, chosen)
        yield Point(
            _moment(until),
            expected,
            {
                window: rows.measure(truth[chosen])
                for window, truth in truths.items()
                if until <= decided.matured_until(window)
            },
        )


def _types(decided: Decided, windows: list[int], settings: PerformanceSettings) -> Iterator[TypeQuality]:
    """Measure each kind of fraud, by the longest window for which a transaction is old enough."""
    mature = [days for days in windows if decided.event_us.min() <= decided.matured_until(days)]
    if not mature:
        return
    until = _end(decided, mature[-1])
    since = until - settings.period_days * DAY_US
    types = np.where(decided.between(since, until), decided.types(mature[-1]), -1)
    for name, count in _counts(decided, types).most_common(MOST_TYPES):
        chosen = types == decided.type_names.index(name)
        found = Rows.of(decided, chosen).measure(np.ones(count))
        yield TypeQuality(
            name,
            mature[-1],
            _moment(since),
            _moment(until),
            count,
            found.recall,
            found.amount_caught,
            found.lost,
        )


def _weeks(decided: Decided, window: int) -> Iterator[Week]:
    """Count the frauds of each whole week by kind, back from the newest transaction that is old enough."""
    types, length = decided.types(window), SMOOTHED_DAYS * DAY_US
    until, first = _end(decided, window), int(decided.event_us[0])
    ends = range(until, first + length - 1, -length)
    for end in reversed(ends):
        yield Week(_moment(end), dict(_counts(decided, types[decided.between(end - length, end)])))


def _counts(decided: Decided, types: Ints) -> Counter[str]:
    """Count frauds by the name of their kind, those that there are."""
    numbers, counts = np.unique(types[types >= 0], return_counts=True)
    return Counter({decided.type_names[at]: int(count) for at, count in zip(numbers, counts, strict=True)})


def _expected(decided: Decided, chosen: Bools, draws: int, seed: int) -> Estimate | None:
    scored = chosen & ~np.isnan(decided.score)
    return estimate(Rows.of(decided, scored), draws, seed) if scored.any() else None


def _end(decided: Decided, window: int | None) -> int:
    """Find where the newest stretch ends: with the newest transaction that is old enough."""
    newest = int(decided.event_us[-1])
    return newest if window is None else min(newest, decided.matured_until(window))


def _moment(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us / 1e6, UTC)
