"""What the model servers say of a version, and whether it is good enough; pure, but for one GET each.

Reads ``/metrics`` of every model server that the requests pass through (``services/predictor/metrics.py``).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, Self

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from fraud.errors import BadConfig, Unavailable
from fraud.rollout.settings import RolloutSettings

TIMEOUT_S: Final = 10.0
_PREFIX: Final = "fraud_predictor_"


@dataclass(slots=True)
class Served:
    """Sums of one version: of one model server, or over all of them."""

    failures: float = 0.0
    rows: float = 0.0
    flagged: float = 0.0
    """Rows at or above the version's own review threshold."""
    seconds: Counter[float] = field(default_factory=Counter)
    """Upper bound, seconds: answers up to it."""
    scores: Counter[int] = field(default_factory=Counter)
    """Bin of the probability: rows."""

    @property
    def answers(self) -> float:
        """Requests answered."""
        return self.seconds[float("inf")]

    def __add__(self, other: Self) -> "Served":
        return Served(
            self.failures + other.failures,
            self.rows + other.rows,
            self.flagged + other.flagged,
            self.seconds + other.seconds,
            self.scores + other.scores,
        )

    def since(self, before: Self) -> "Served":
        """Tell what one server has counted since; one that counts less than before has started again."""
        if (self.rows, self.answers, self.failures) < (before.rows, before.answers, before.failures):
            return self
        return Served(
            self.failures - before.failures,
            self.rows - before.rows,
            self.flagged - before.flagged,
            self.seconds - before.seconds,
            self.scores - before.scores,
        )

    def quantile_s(self, level: float) -> float:
        """Upper bound of the bucket that a quantile of the latency lies in, seconds; 0 without answers."""
        wanted = level * self.answers
        return next((bound for bound, n in sorted(self.seconds.items()) if n >= wanted > 0), 0.0)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Result of one comparison of canary and champion."""

    word: Literal["good", "bad", "wait"]
    reasons: tuple[str, ...] = ()


Scraped = dict[str, dict[str, Served]]
"""Server's address, version: what it has counted since its start."""


def read(urls: Iterable[str]) -> tuple[Scraped, float]:
    """Read every server's counts.

    Parameters
    ----------
    urls
        Base addresses.

    Returns
    -------
    tuple
        The counts by server and version, and the greatest share that any of the servers gives to a canary,
        percent.

    Raises
    ------
    Unavailable
        When one does not answer; look again.
    """
    found: Scraped = {}
    percent = 0.0
    for url in urls:
        percent = max(percent, _take(_metrics(url), found.setdefault(url, {})))
    return found, percent


def canary_port(server: str) -> int:
    """Ask a model server on which port of this machine it expects a canary.

    Raises
    ------
    Unavailable
        When it does not answer.
    BadConfig
        When it expects none.
    """
    for family in text_string_to_metric_families(_metrics(server)):
        for sample in family.samples:
            port = httpx.URL(sample.labels.get("url", "")).port
            if sample.name == f"{_PREFIX}canary_info" and port:
                return port
    raise BadConfig(
        f"the model server at {server} has no address of a canary (FRAUD_PREDICTOR_CANARY_URL); "
        "start it with `fraud up`"
    )


def _metrics(url: str) -> str:
    try:
        return httpx.get(f"{url}/metrics", timeout=TIMEOUT_S, trust_env=False).raise_for_status().text
    except httpx.HTTPError as error:
        raise Unavailable(f"the metrics of {url} cannot be read: {error}") from error


class ServedSums:
    """What all servers count from its first look on, whichever come, go or start again meanwhile."""

    def __init__(self) -> None:
        self._last: Scraped = {}
        self._sums: dict[str, Served] = {}

    def take(self, looked: Scraped) -> None:
        """Take a look in; an empty one is none."""
        none = Served()
        for url, versions in looked.items() if self._last else ():
            for version, seen in versions.items():
                grown = seen.since(self._last.get(url, {}).get(version, none))
                self._sums[version] = self._sums.get(version, none) + grown
        self._last = self._last | looked

    def of(self, version: str) -> Served:
        """Tell the sums of a version."""
        return self._sums.get(version, Served())


def judge(champion: Served, canary: Served, settings: RolloutSettings) -> Judgement:
    """Compare what was seen of two versions over the same time.

    ``wait`` where the canary has not been seen enough; failures alone need no such number.
    """
    asked = canary.answers + canary.failures
    if canary.failures >= settings.min_failures and canary.failures > settings.max_failures * asked:
        share = canary.failures / asked
        return Judgement("bad", (f"{share:.1%} of {asked:,.0f} requests failed",))
    if canary.rows < settings.stage_rows or champion.rows < settings.stage_rows:
        return Judgement("wait")
    reasons: list[str] = []
    slow, usual = canary.quantile_s(0.99), champion.quantile_s(0.99)
    if slow > max(settings.latency_factor * usual, settings.latency_floor_ms / 1e3):
        reasons.append(f"p99 of {slow * 1e3:g} ms against {usual * 1e3:g} ms")
    # One row more on either side, so that a share of nothing is not a ratio of nothing.
    own, other = ((one.flagged + 1.0) / (one.rows + 1.0) for one in (canary, champion))
    if not 1.0 / settings.flagged_factor <= own / other <= settings.flagged_factor:
        reasons.append(f"{own:.2%} of the rows at or above the review threshold against {other:.2%}")
    moved = psi(champion, canary)
    if moved > settings.max_psi:
        reasons.append(f"the scores are distributed otherwise: PSI {moved:.2f}")
    return Judgement("bad" if reasons else "good", tuple(reasons))


def psi(champion: Served, canary: Served) -> float:
    """Compute the population stability index of two samples of scores, less what chance gives on average.

    Under equal distributions the index is near ``chi2(bins - 1) * (1/n + 1/m)`` (Yurdakul, 2018).
    """
    bins = sorted(champion.scores.keys() | canary.scores.keys())
    counts = np.array([[one.scores[at] for at in bins] for one in (champion, canary)], np.float64) + 0.5
    share = counts / counts.sum(axis=1, keepdims=True)
    index = float(((share[0] - share[1]) * np.log(share[0] / share[1])).sum())
    chance = (len(bins) - 1) * (1.0 / max(champion.rows, 1.0) + 1.0 / max(canary.rows, 1.0))
    return max(index - chance, 0.0)


def _take(text: str, found: dict[str, Served]) -> float:
    """Add one server's counts; returns the share that it gives to a canary."""
    percent = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix(_PREFIX)
            if name == "canary_percent":
                percent = sample.value
            version = sample.labels.get("version")
            if version is None or name == sample.name:
                continue
            seen = found.setdefault(version, Served())
            if name == "failures_total":
                seen.failures += sample.value
            elif name == "scored_rows_total":
                seen.rows += sample.value
            elif name == "flagged_rows_total":
                seen.flagged += sample.value
            elif name == "scores_total":
                seen.scores[int(sample.labels["bin"])] += int(sample.value)
            elif name == "answer_seconds_bucket":
                seen.seconds[float(sample.labels["le"])] += int(sample.value)
    return percent
