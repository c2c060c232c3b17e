"""Tries rules on what was served, and counts what they would have done: ``fraud rules backtest``.

Each rule is judged at the time of each transaction (an expiry counts), by the vector and the score that were
served, by the engine of every other path. Rules in shadow and drafts are judged too. A score floor changes
nothing outside of segments, as the log has no thresholds of models. Live lists are those that each decision
saw.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from fraud.decide.columns import Columns, Floats
from fraud.decide.compiling import compile_rules
from fraud.decide.engine import NO_LISTS, RuleHitColumns, RuleSet, Segment
from fraud.decide.overruling import overrule
from fraud.decide.past_lists import PastLists, versions_of
from fraud.decide.policy import decide
from fraud.errors import BadInput, Unavailable
from fraud.log.tables import NO_OPTIONS, Options, floats_of, micros_of
from fraud.rules.effects import CODES, MATURITY, OUTCOMES, Costs, HistoryPart, Ints, RuleEffects
from fraud.rules.history import (
    ALWAYS,
    BASE,
    VERSION,
    Range,
    labels_of,
    last_labels,
    open_history,
    outcome_codes,
)
from fraud.rules.words import lines_of
from fraud.schema.deployed import deployed_schema

if TYPE_CHECKING:
    from fraud.decide.values import Lists


def backtest(
    rules: RuleSet,
    delta: str,
    options: Options = NO_OPTIONS,
    *,
    costs: Costs | None = None,
    maturity: timedelta = MATURITY,
    when: Range = ALWAYS,
    past: PastLists | None = None,
    now: datetime | None = None,
    scratch: Path | None = None,
    on_progress: Callable[[int], None] = lambda _transactions: None,
) -> RuleEffects:
    """Try rules on a range of the log.

    Parameters
    ----------
    maturity
        After which a transaction without a label counts as honest.
    when
        Which transactions, by the time when they were received.
    past
        The live lists, with what they were.
    now
        By default the clock's.
    scratch
        Folder for the states of a fold, where a feature was not served yet.

    Raises
    ------
    BadInput
        When a table is not there.
    Unavailable
        When the tables cannot be read.
    """
    rules = rules.with_drafts()
    by_name = {rule.name: rule for rule in rules.rules}
    found = RuleEffects(rules.version, by_name, costs or Costs(), (now or datetime.now(UTC)) - maturity)
    found.currency = (rules.schema or deployed_schema()).base_currency
    with_versions = bool(rules.live_lists)
    log = open_history(
        delta,
        rules.reads,
        options,
        when=when,
        scratch=scratch,
        with_versions=with_versions,
        schema=rules.schema,
    )
    labels = last_labels(delta, options)
    for table in log.parts():
        found.count(judged(table, held_in(rules, table, past), labels))
        on_progress(found.transactions)
    return found


def tried(
    content: bytes, name: str, delta: str, options: Options, *, days: int, past: PastLists | None = None
) -> str:
    """Say what proposed rules would have done in the newest days of the log.

    What keeps a backtest from running is said in its place: it must not keep a rule from being proposed.

    Raises
    ------
    BadConfig
        When the rules do not compile.
    """
    rules = compile_rules(content, name)
    when = Range(datetime.now(UTC) - timedelta(days=days))
    try:
        return "\n".join(lines_of(backtest(rules, delta, options, when=when, past=past)))
    except (BadInput, Unavailable) as error:
        return f"no backtest: {error}"


def held_in(rules: RuleSet, table: pa.Table, past: PastLists | None = None) -> RuleHitColumns:
    """Find the rules that hold for rows of the history, each at the time when it was received."""
    schema = rules.schema or deployed_schema()
    names = [name for name in schema.feature_names if name in table.column_names]
    vectors = np.empty((table.num_rows, len(names)), order="F")
    for at, name in enumerate(names):
        vectors[:, at] = floats_of(table[name])
    keys = table[schema.primary_key.name].to_pylist()
    received_s: Floats = micros_of(table["received_at"]) / 1e6
    live: Lists = NO_LISTS
    if past is not None and rules.live_lists:
        told = table[VERSION].to_pylist() if VERSION in table.column_names else [None] * table.num_rows
        live = past.view(rules.live_lists, versions_of(told), received_s)
    columns = Columns(table, vectors, names, floats_of(table["score"]), schema)
    return rules.masks(columns, keys, received_s, live)


def judged(table: pa.Table, held: RuleHitColumns, labels: Mapping[str, bool]) -> HistoryPart:
    """Tell what rules that hold would have made of the model's decisions."""
    ids, was = table["transaction_id"].to_pylist(), outcome_codes(table)
    is_labelled, is_fraud = labels_of(ids, labels)
    return HistoryPart(
        ids=ids,
        received_us=micros_of(table["received_at"]),
        was=was,
        became=_overruled(was, held, floats_of(table["score"])),
        amounts=table[BASE].to_numpy(),
        is_fraud=is_fraud,
        is_labelled=is_labelled,
        names=[rule.name for rule in held.rules],
        live=held.live,
        shadow=held.shadow,
    )


def _overruled(was: Ints, held: RuleHitColumns, scores: Floats) -> Ints:
    """Apply what holds, once to each combination of rules, segment, and what was decided by score."""
    segment = np.where(np.isnan(scores), -1, held.segment)
    became, by_segment = was.copy(), _by_segment(held.segments, segment, scores)
    hit = np.flatnonzero(held.live.any(axis=0) | (segment >= 0))
    if not len(hit):
        return became
    parts = [was[hit], segment[hit], by_segment[hit]]
    keys = np.vstack([*(part.astype(np.uint8) for part in parts), np.packbits(held.live[:, hit], axis=0)]).T
    whole = np.ascontiguousarray(keys).view([("", np.uint8, keys.shape[1])]).ravel()
    _, first, of = np.unique(whole, return_index=True, return_inverse=True)
    answers = []
    for row in hit[first].tolist():
        score = float(scores[row]) if segment[row] >= 0 else None
        answers.append(CODES[overrule(OUTCOMES[was[row]], held.held(row), score).outcome])
    became[hit] = np.array(answers)[of]
    return became


def _by_segment(segments: tuple[Segment, ...], segment: Ints, scores: Floats) -> Ints:
    """Tell what the thresholds of each transaction's segment make of its score; -1 where there is none."""
    found = np.full(len(scores), -1, np.int64)
    for at, one in enumerate(segments):
        rows = np.flatnonzero(segment == at)
        found[rows] = [CODES[outcome] for outcome in decide(scores[rows], one.thresholds)]
    return found
