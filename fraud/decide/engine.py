"""Evaluates rules: which of them apply, row by row or over whole columns.

Every path decides here: the scoring service row by row, the stream and the backtest over columns
(``fraud.decide.vectorise``), which give the same answers.
What those that hold do stands in ``fraud.decide.overruling``.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from fraud.contracts import Outcome, Reason, Thresholds
from fraud.decide.columns import Bools, Columns
from fraud.decide.past_lists import PastList
from fraud.decide.questions import Question
from fraud.decide.values import Lists, context_of, is_there
from fraud.schema.schema import Schema

log = logging.getLogger(__name__)

Instants = NDArray[np.float64]
Ints = NDArray[np.int64]


class RuleState(StrEnum):
    """Where a rule is in its life."""

    DRAFT = "draft"
    """Checked; evaluated by backtests alone."""
    SHADOW = "shadow"
    """Evaluated and recorded, without effect."""
    LIVE = "live"
    RETIRED = "retired"
    """Neither checked nor evaluated: it may read what is gone."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What sends a live rule back to shadow (``fraud rules guard``)."""

    precision_at_least: float | None = None
    """Share of fraud among its matured hits; below it only when that is certain to 95 %."""
    hits_at_most_per_day: int | None = None


NO_GUARD: Final = Guard()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, compiled."""

    name: str
    when: str
    outcome: Outcome | None
    """None: it only tags, routes or raises the score."""
    reason: Reason
    expires_s: float
    """Unix time; infinity: never."""
    program: Any
    """Of CEL; for one transaction."""
    reads: tuple[str, ...]
    state: RuleState = RuleState.LIVE
    share: float = 1.0
    """Of the primary entities for which it is live; for the others it is in shadow."""
    tags: tuple[str, ...] = ()
    queue: str | None = None
    score_floor: float | None = None
    starts_s: float = -math.inf
    """Unix time from which it is in force."""
    guard: Guard = NO_GUARD
    question: Question | None = None
    """The same over columns; None: it has to go row by row."""

    def is_live(self, key: str) -> bool:
        """Whether it has an effect for an entity: the same for every caller; a larger share adds entities."""
        if self.state is not RuleState.LIVE:
            return False
        return self.share >= 1.0 or xxh3_64_intdigest(f"{self.name}:{key}".encode()) / 2.0**64 < self.share


@dataclass(frozen=True, slots=True)
class Segment:
    """Transactions with thresholds of their own."""

    rule: Rule
    """Tells which they are, and from when to when."""
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class RuleHits:
    """The rules that apply to one transaction, in the file's order."""

    live: tuple[Rule, ...] = ()
    shadow: tuple[Rule, ...] = ()
    failed: tuple[str, ...] = ()
    """Rules and segments that failed although all that they read was there; they do not hold."""
    segment: Segment | None = None
    """The first one that holds."""


@dataclass(frozen=True, slots=True)
class RuleHitColumns:
    """The rules that apply to many transactions: masks, [rules, transactions]."""

    rules: tuple[Rule, ...]
    live: Bools
    shadow: Bools
    failed: Bools
    """Where a rule failed although all that it reads was there; it does not hold."""
    segments: tuple[Segment, ...]
    segment: Ints
    """Number of the first segment that holds, [transactions]; -1: none."""
    failed_segments: Bools
    """Where a segment failed, [segments, transactions]."""

    def held(self, row: int) -> RuleHits:
        """Give what holds for one transaction."""
        live, shadow, failed = (
            tuple(rule for rule, holds in zip(self.rules, mask[:, row].tolist(), strict=True) if holds)
            for mask in (self.live, self.shadow, self.failed)
        )
        at = int(self.segment[row])
        lost = zip(self.segments, self.failed_segments[:, row].tolist(), strict=True)
        names = (*(one.name for one in failed), *(one.rule.name for one, is_lost in lost if is_lost))
        return RuleHits(live, shadow, names, self.segments[at] if at >= 0 else None)


NOTHING: Final = RuleHits()
NO_LISTS: Final[Lists] = MappingProxyType({})


class RuleSet:
    """The rules of one file; may be used by several threads.

    Parameters
    ----------
    version
        The file's own, with the beginning of its content's hash.
    rules
        In the file's order.
    lists
        Values by list.
    live_lists
        Names of the lists that change beside the file (``fraud.decide.lists``).
    source
        The file's content.
    segments
        With thresholds of their own, in the file's order.
    schema
        Whose fields and features they read; None: of rules that read nothing.
    """

    def __init__(
        self,
        version: str,
        rules: Sequence[Rule],
        lists: Lists,
        *,
        live_lists: frozenset[str] = frozenset(),
        source: bytes = b"",
        segments: Sequence[Segment] = (),
        schema: Schema | None = None,
    ) -> None:
        self.schema = schema
        self.version = version
        self.live_lists = live_lists
        self.rules = tuple(rules)
        self.source = source
        self.segments = tuple(segments)
        self._lists = lists
        self._told: set[str] = set()
        self._active = tuple(rule for rule in rules if rule.state in {RuleState.SHADOW, RuleState.LIVE})
        asked = (*self._active, *(one.rule for one in self.segments))
        self.is_empty = not asked
        """Whether nothing can hold."""
        self.reads = tuple(sorted({name for rule in asked for name in rule.reads}))
        """Names that a decision must give."""

    def with_drafts(self) -> "RuleSet":
        """Give the same rules with drafts in shadow: what a backtest tries."""
        rules = [
            replace(rule, state=RuleState.SHADOW) if rule.state is RuleState.DRAFT else rule
            for rule in self.rules
        ]
        return RuleSet(
            self.version,
            rules,
            self._lists,
            live_lists=self.live_lists,
            source=self.source,
            segments=self.segments,
            schema=self.schema,
        )

    def version_with(self, lists_version: int) -> str:
        """Name what decides: the file's version, and that of the live lists where it has some."""
        return f"{self.version}@{lists_version}" if self.live_lists else self.version

    def holding(self, values: Mapping[str, Any], key: str, now_s: float, live: Lists = NO_LISTS) -> RuleHits:
        """Find the rules that hold for one transaction.

        Parameters
        ----------
        values
            Fields, features and score by name; None and NaN are missing.
        key
            Of the primary entity.
        now_s
            When it was received, Unix time.
        live
            The live lists by name; one that is missing is unknown.
        """
        if self.is_empty:
            return NOTHING
        there = {name: values[name] for name in self.reads if is_there(values.get(name))}
        tags: set[str] = set()
        context = context_of({**self._lists, **live} if live else self._lists, there, tags)
        held, failed = [], []
        for rule in self._active:
            if rule.starts_s <= now_s < rule.expires_s:
                answer = _ask(rule, context, there)
                if answer is None:
                    failed.append(rule.name)
                elif answer:
                    held.append(rule)
                    if rule.tags and rule.is_live(key):
                        tags.update(rule.tags)
        segment = self._segment(context, there, now_s, failed) if self.segments else None
        self._tell(failed)
        return _held(held, key, failed, segment) if held or failed or segment else NOTHING

    def _segment(
        self, context: Any, there: Mapping[str, Any], now_s: float, failed: list[str]
    ) -> Segment | None:
        """Find the first segment that holds; adds those that fail before it."""
        for one in self.segments:
            if one.rule.starts_s <= now_s < one.rule.expires_s:
                answer = _ask(one.rule, context, there)
                if answer:
                    return one
                if answer is None:
                    failed.append(one.rule.name)
        return None

    def holding_columns(
        self, columns: Columns, keys: Sequence[str], received_s: Instants, live: Lists = NO_LISTS
    ) -> list[RuleHits]:
        """Find the rules that hold for many transactions; see :meth:`holding`."""
        found = self.masks(columns, keys, received_s, live)
        held: list[tuple[list[Rule], list[Rule], list[str]]] = [([], [], []) for _ in keys]
        for at, rule in enumerate(found.rules):
            for kind, what in enumerate((rule, rule, rule.name)):
                for row in np.flatnonzero((found.live, found.shadow, found.failed)[kind][at]).tolist():
                    held[row][kind].append(what)  # type: ignore[arg-type]
        for at, segment in enumerate(found.segments):
            for row in np.flatnonzero(found.failed_segments[at]).tolist():
                held[row][2].append(segment.rule.name)
        chosen = [found.segments[at] if at >= 0 else None for at in found.segment.tolist()]
        return [
            RuleHits(tuple(live), tuple(shadow), tuple(bad), segment)
            if live or shadow or bad or segment
            else NOTHING
            for (live, shadow, bad), segment in zip(held, chosen, strict=True)
        ]

    def masks(
        self, columns: Columns, keys: Sequence[str], received_s: Instants, live: Lists = NO_LISTS
    ) -> RuleHitColumns:
        """Find the rules that hold for many transactions, a row of each mask a rule."""
        lists, n = {**self._lists, **live}, len(keys)
        live_of, shadow_of, failed_of = (np.zeros((len(self._active), n), np.bool_) for _ in range(3))
        no_segment, failed_segments = np.full(n, -1, np.int64), np.zeros((len(self.segments), n), np.bool_)
        found = RuleHitColumns(
            self._active, live_of, shadow_of, failed_of, self.segments, no_segment, failed_segments
        )
        columns.tags.clear()
        for at, rule in enumerate(self._active):
            holds, fails = _ask_columns(rule, columns, lists)
            in_force = (rule.starts_s <= received_s) & (received_s < rule.expires_s)
            holds, found.failed[at] = holds & in_force, fails & in_force
            found.live[at] = _live_of(rule, holds, keys)
            columns.give_tags(rule.tags, found.live[at])
            found.shadow[at] = holds & ~found.live[at]
            if found.failed[at].any():
                self._tell([rule.name])
        for at, segment in enumerate(self.segments):
            holds, fails = _ask_columns(segment.rule, columns, lists)
            is_open = (segment.rule.starts_s <= received_s) & (received_s < segment.rule.expires_s)
            is_open &= found.segment < 0
            found.segment[holds & is_open] = at
            found.failed_segments[at] = fails & is_open
            if found.failed_segments[at].any():
                self._tell([segment.rule.name])
        return found

    def _tell(self, failed: Sequence[str]) -> None:
        """Log each rule that fails once; how often it does, the metrics say."""
        for name in failed:
            if name not in self._told:
                self._told.add(name)
                log.warning("rule %s fails and does not hold", name)


def _live_of(rule: Rule, holds: Bools, keys: Sequence[str]) -> Bools:
    """Tell where a rule that holds has an effect."""
    if rule.state is not RuleState.LIVE:
        return np.zeros(len(holds), np.bool_)
    if rule.share >= 1.0:
        return holds
    found = np.zeros(len(holds), np.bool_)
    at = np.flatnonzero(holds)
    found[at] = [rule.is_live(keys[row]) for row in at.tolist()]
    return found


def _ask_columns(rule: Rule, columns: Columns, lists: Lists) -> tuple[Bools, Bools]:
    """Tell for each transaction whether a rule holds, and whether it fails."""
    if rule.question is not None:
        truth = rule.question(columns, lists)
        return truth.is_true, ~(truth.is_true | truth.is_false) & columns.all_there(rule.reads)
    past = [name for name, one in lists.items() if isinstance(one, PastList)]
    tags = columns.tags if "has_tag" in rule.when else {}
    answers = [
        _ask(
            rule,
            context_of(_lists_at(lists, past, row) if past else lists, there, _tags_at(tags, row)),
            there,
        )
        for row, there in enumerate(columns.rows(rule.reads))
    ]
    return (
        np.array([answer is True for answer in answers], np.bool_),
        np.array([answer is None for answer in answers], np.bool_),
    )


def _lists_at(lists: Mapping[str, Any], past: Sequence[str], row: int) -> Lists:
    """Give the lists as one transaction of many saw them."""
    return {**lists, **{name: lists[name].at(row) for name in past}}


def _tags_at(tags: Mapping[str, Bools], row: int) -> set[str]:
    return {tag for tag, mask in tags.items() if mask[row]}


def _ask(rule: Rule, context: Any, there: Mapping[str, Any]) -> bool | None:
    """Ask a rule; None where it fails with all values there."""
    try:
        return bool(rule.program.execute(context))
    except Exception as error:  # noqa: BLE001  whatever it is, one rule must not stop a decision
        # CEL fails where an unknown value decides; with all values there, the rule is wrong.
        if not all(name in there for name in rule.reads):
            return False
        log.debug("rule %s fails and does not hold: %s", rule.name, error)
        return None


def _held(rules: Sequence[Rule], key: str, failed: Sequence[str], segment: Segment | None) -> RuleHits:
    live = [rule.is_live(key) for rule in rules]
    return RuleHits(
        tuple(rule for rule, is_live in zip(rules, live, strict=True) if is_live),
        tuple(rule for rule, is_live in zip(rules, live, strict=True) if not is_live),
        tuple(failed),
        segment,
    )


NO_RULES: Final = RuleSet("none", (), {})
