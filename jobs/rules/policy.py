"""Proposes thresholds by segment, chosen by cost on past decisions: ``fraud policy suggest``.

Reads the log as the backtest does, and a file of rules, whose ``segments`` it writes again. The earlier part
of the time chooses, the later part tells what it is worth. What a live rule decides is left out, and so is
what has no score. A declined transaction without a label is left out too: it is unknown whether it was fraud.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from typing import Any, Final

import numpy as np
import yaml

from fraud.contracts import Outcome, Thresholds
from fraud.decide.columns import Floats
from fraud.decide.compiling import MOST_SEGMENTS, compile_rules
from fraud.decide.engine import RuleSet
from fraud.decide.past_lists import PastLists
from fraud.decide.values import SCORE, vocabulary_of
from fraud.errors import BadInput
from fraud.log.tables import NO_OPTIONS, Options, floats_of, micros_of
from fraud.rules.backtest import held_in
from fraud.rules.effects import CODES, MATURITY, Costs, Ints
from fraud.rules.history import ALWAYS, BASE, Range, labels_of, last_labels, open_history, outcome_codes
from fraud.rules.policy import (
    LEAST_FRAUDS,
    PolicyLimits,
    Scored,
    busiest,
    choose,
    costs_of,
    of_worth,
    outcomes,
)
from fraud.schema.deployed import deployed_schema
from fraud.settings.definition import read_yaml

MOST_VALUES: Final = 12
"""Of a text, the most frequent ones; the others are in the last segment."""
LAST: Final = "everything_else"
"""Segment of what is in no other one."""
_DAY_US: Final = 86_400_000_000
_DECLINED: Final = CODES[Outcome.DECLINE]
_NOBODY: Final = Thresholds(review=1.0, decline=1.0)


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to set thresholds, and what it costs on later data."""

    words: str
    cost: float
    reviews_a_day: float
    busiest: int
    challenged: int
    declined: int
    missed: int
    """Frauds that are approved."""


@dataclass(frozen=True, slots=True)
class SegmentChoice:
    """A segment, its thresholds, and what they are worth on later data."""

    name: str
    when: str
    thresholds: Thresholds
    transactions: int
    frauds: int
    cost: float
    common_cost: float
    """Of one choice for all."""


@dataclass(frozen=True, slots=True)
class SuggestedPolicy:
    """What was found."""

    segments: list[SegmentChoice]
    tried: int
    """Segments."""
    choices: list[Choice]
    """The model's own thresholds, one choice for all, by segment."""
    split: datetime
    """Where the later part begins."""
    left_out: int
    """Transactions that the score does not decide, or of which nothing is known."""
    content: bytes
    """The file of rules with these segments."""
    currency: str = ""
    """Of the costs: the base currency; empty where all amounts are in one."""


def suggest_policy(
    delta: str,
    options: Options = NO_OPTIONS,
    *,
    rules: RuleSet,
    by: Sequence[str],
    capacity: float,
    costs: Costs,
    with_challenge: bool = True,
    later: float = 0.3,
    when: Range = ALWAYS,
    maturity: timedelta = MATURITY,
    past: PastLists | None = None,
    now: datetime | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> SuggestedPolicy:
    """Find thresholds by segment.

    Parameters
    ----------
    rules
        In force, or meant to be; without ``by`` their own segments get new thresholds.
    by
        What parts the transactions: a text's name, or a number with bounds (``amount:50,200``); several are
        combined.
    capacity
        Reviews that people can do on a day, those that rules ask for included.
    later
        Share of the time that is kept for telling what the choice is worth.

    Raises
    ------
    BadInput
        When there is too little to choose by, or ``by`` names what is not there.
    Unavailable
        When the tables cannot be read.
    """
    tell("reading the log")
    wanted = _segments(delta, options, rules, by, when)
    trial = compile_rules(with_segments(rules.source, [(*one, _NOBODY) for one in wanted]), "suggested")
    log = _read(delta, options, trial, when, past=past, mature_before=(now or datetime.now(UTC)) - maturity)
    tell("choosing")
    split = round(float(np.quantile(log.received_us, 1.0 - later)))
    early, late = log.known.take(log.received_us < split), log.known.take(log.received_us >= split)
    want = PolicyLimits(costs, capacity, log.reviewed, with_challenge)
    common = choose(early.together(), 1, want)
    kept = [at for at in of_worth(early, len(wanted), want) if wanted[at][0] != LAST]
    early, late = _merged(early, kept), _merged(late, kept)
    found = choose(early, len(kept) + 1, want)
    lines = [*(wanted[at] for at in kept), (LAST, "true")]
    became = {
        "the model's own thresholds": log.was[log.received_us >= split],
        "one choice for all": outcomes(late.together(), common),
        "by segment": outcomes(late, found),
    }
    by_outcome = {words: costs_of(late, codes, costs) for words, codes in became.items()}
    return SuggestedPolicy(
        list(_by_segment(lines, found, late, by_outcome["one choice for all"], by_outcome["by segment"])),
        len(wanted) - 1,
        [_choice(words, late, codes, by_outcome[words], log.reviewed) for words, codes in became.items()],
        datetime.fromtimestamp(split / 1e6, UTC),
        log.left_out,
        with_segments(rules.source, [(*one, two) for one, two in zip(lines, found, strict=True)]),
        (rules.schema or deployed_schema()).base_currency,
    )


def _segments(
    delta: str, options: Options, rules: RuleSet, by: Sequence[str], when: Range
) -> list[tuple[str, str]]:
    """Name the segments that are tried, the last one being all others."""
    if by:
        parts = [_part(one, delta, options, when) for one in by]
        found = [
            ("_".join(name for name, _ in some)[:64], " && ".join(text for _, text in some))
            for some in product(*parts)
        ]
    else:
        found = [(one.rule.name, one.rule.when) for one in rules.segments if one.rule.name != LAST]
    if not found:
        raise BadInput(
            "the rules have no segments yet; say what divides the transactions, e.g. --by category"
        )
    if len(found) >= MOST_SEGMENTS:
        raise BadInput(f"{len(found)} segments; at most {MOST_SEGMENTS - 1}: take fewer values or bounds")
    return [*found, (LAST, "true")]


def _part(by: str, delta: str, options: Options, when: Range) -> list[tuple[str, str]]:
    """Read what parts the transactions, into names and expressions.

    Raises
    ------
    BadInput
        When it is neither a text nor a number with rising bounds.
    """
    name, _, given = by.partition(":")
    known = vocabulary_of(deployed_schema())
    if name in known.texts and not given:
        return [
            (_word(name, value), f"{name} == {json.dumps(value, ensure_ascii=False)}")
            for value in _values(delta, options, name, when)
        ]
    if name not in known.numbers - {SCORE} or not given:
        raise BadInput(f"--by {by}: give a field that is a text, or a number with bounds, e.g. amount:50,200")
    try:
        bounds = [float(one) for one in given.split(",")]
    except ValueError as error:
        raise BadInput(f"--by {by}: bounds are numbers, e.g. amount:50,200") from error
    if not all(np.isfinite(bounds)) or any(low >= high for low, high in pairwise(bounds)):
        raise BadInput(f"--by {by}: bounds must rise, e.g. amount:50,200")
    first, last = bounds[0], bounds[-1]
    return [
        (_word(name, f"below_{first:g}"), f"{name} < {first!r}"),
        *(
            (_word(name, f"{low:g}_to_{high:g}"), f"{name} >= {low!r} && {name} < {high!r}")
            for low, high in pairwise(bounds)
        ),
        (_word(name, f"from_{last:g}"), f"{name} >= {last!r}"),
    ]


def _word(name: str, value: str) -> str:
    return re.sub("[^a-z0-9]+", "_", f"{name}_{value}".lower()).strip("_")


def _values(delta: str, options: Options, name: str, when: Range) -> list[str]:
    """Find the most frequent values of a text, in the order of the alphabet."""
    counts = Counter[str]()
    for part in open_history(delta, (name,), options, when=when).parts():
        for one in part[name].value_counts().to_pylist() if name in part.column_names else ():
            counts[one["values"]] += one["counts"]
    return sorted(value for value, _ in counts.most_common(MOST_VALUES) if value is not None)


@dataclass(frozen=True, slots=True)
class _Log:
    """What is chosen from."""

    known: Scored
    was: Ints
    """What the model's own thresholds decided, [n]."""
    received_us: Ints
    reviewed: Counter[int]
    """Reviews that rules ask for, by day."""
    left_out: int


def _read(
    delta: str,
    options: Options,
    rules: RuleSet,
    when: Range,
    *,
    past: PastLists | None,
    mature_before: datetime,
) -> _Log:
    """Read what the score decides, and what came out of it.

    Raises
    ------
    BadInput
        When there is nothing, or there are too few frauds.
    """
    labels, reviewed, left_out = last_labels(delta, options), Counter[int](), 0
    columns: list[tuple[Any, ...]] = []
    for part in open_history(delta, rules.reads, options, when=when, with_versions=True).parts():
        held, was, score = held_in(rules, part, past), outcome_codes(part), floats_of(part["score"])
        received_us = micros_of(part["received_at"])
        day = received_us // _DAY_US
        is_labelled, is_fraud = labels_of(part["transaction_id"].to_pylist(), labels)
        decides = np.array([rule.outcome is not None for rule in held.rules], np.bool_)
        reviews = np.array([rule.outcome is Outcome.REVIEW for rule in held.rules], np.bool_)
        by_rules = held.live[decides].any(axis=0)
        reviewed.update(day[held.live[reviews].any(axis=0)].tolist())
        is_known = is_labelled | (
            (received_us < mature_before.timestamp() * 1e6)
            & (outcome_codes(part, with_rules=True) != _DECLINED)
        )
        rows = is_known & ~by_rules & ~np.isnan(score)
        left_out += int((~rows).sum())
        whole = (score, part[BASE].to_numpy(), is_fraud, day, held.segment, was, received_us)
        columns.append(tuple(column[rows] for column in whole))
    if not columns:
        raise BadInput("there are no decided transactions in this range")
    *parts, was, received_us = (np.concatenate(some) for some in zip(*columns, strict=True))
    known = Scored(*parts)
    if known.is_fraud.sum() < 2 * LEAST_FRAUDS:
        raise BadInput(
            f"{known.is_fraud.sum():,} known frauds that the score decides; at least {2 * LEAST_FRAUDS} are "
            "needed to choose by"
        )
    return _Log(known, was, received_us, reviewed, left_out)


def _merged(known: Scored, kept: Sequence[int]) -> Scored:
    """Put the segments that were not kept into the last one."""
    found = np.full(len(known), len(kept), np.int64)
    for to, at in enumerate(kept):
        found[known.segment == at] = to
    return replace(known, segment=found)


def _by_segment(
    lines: Sequence[tuple[str, str]], found: Sequence[Thresholds], late: Scored, common: Floats, own: Floats
) -> Iterator[SegmentChoice]:
    for at, ((name, text), thresholds) in enumerate(zip(lines, found, strict=True)):
        rows = late.segment == at
        n, frauds = int(rows.sum()), int(late.is_fraud[rows].sum())
        yield SegmentChoice(
            name, text, thresholds, n, frauds, float(own[rows].sum()), float(common[rows].sum())
        )


def _choice(words: str, late: Scored, became: Ints, cost: Floats, reviewed: Counter[int]) -> Choice:
    days = set(late.day.tolist())
    asked = {day: count for day, count in reviewed.items() if day in days}
    counts = {outcome: int((became == code).sum()) for outcome, code in CODES.items()}
    return Choice(
        words,
        float(cost.sum()),
        (counts[Outcome.REVIEW] + sum(asked.values())) / max(1, len(days)),
        busiest(late, became, asked),
        counts[Outcome.CHALLENGE],
        counts[Outcome.DECLINE],
        int(((became == CODES[Outcome.APPROVE]) & late.is_fraud).sum()),
    )


def with_segments(source: bytes, segments: Sequence[tuple[str, str, Thresholds]]) -> bytes:
    """Write segments into a file of rules, in place of those that it has; all else stays as people wrote it.

    Raises
    ------
    BadInput
        When the file is written in one pair of braces, which nothing but people can change.
    """
    text = source.decode() or 'version: "1"\nrules: []\n'
    _, tree = read_yaml(text.encode(), "rules")
    if tree.flow_style:
        raise BadInput(
            "the rules file is written in braces; write `version: ...` and `rules:` on lines of their own"
        )
    for key, value in tree.value:
        if key.value == "segments":
            end = text.find("\n", _last(value).end_mark.index)
            text = text[: key.start_mark.index] + ("" if end < 0 else text[end + 1 :])
    made = [
        {"name": name, "when": when, **one.model_dump(exclude={"schema_version"}, exclude_none=True)}
        for name, when, one in segments
    ]
    order = ("name", "when", "review", "challenge", "decline")
    rows = [{name: one[name] for name in order if name in one} for one in made]
    return (
        text.rstrip("\n") + "\n" + yaml.safe_dump({"segments": rows}, sort_keys=False, width=1_000)
    ).encode()


def _last(node: yaml.Node) -> yaml.Node:
    """Find the last value inside of one; only that tells where a block ends."""
    while isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        found = node.value[-1]
        node = found[1] if isinstance(found, tuple) else found
    return node
