"""The rules' part in a micro-batch's decisions: over columns, by the engine of every other path."""

import os
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.contracts import Outcome
from fraud.contracts.priced import in_base
from fraud.decide.columns import Columns
from fraud.decide.engine import NO_LISTS, RuleSet
from fraud.decide.lists import ListStore
from fraud.decide.overruling import Ruled, overrule
from fraud.decide.rules import RulesAt
from fraud.decide.values import Lists
from fraud.features.kernel import Floats
from fraud.schema.fields import AMOUNT_BASE
from jobs.stream.rules import rules_of
from jobs.stream.tasks.score import Decisions, FeatureWords


def apply_rules(
    decisions: Decisions,
    at: RulesAt,
    table: pa.Table,
    vectors: Floats,
    of: FeatureWords,
) -> Decisions:
    """Let rules have the last word.

    Parameters
    ----------
    decisions
        Without rules.
    at
        Rules and lists of the micro-batch.
    table
        Fields of the transactions, and ``received_at``, by which a rule expires.
    vectors, of
        [n, features] and the features.
    """
    schema = of.schema
    scores = np.array([np.nan if one is None else one for one in decisions.probability], np.float64)
    if schema.money is not None:
        table = table.append_column(AMOUNT_BASE, in_base(table, schema))
    columns = Columns(table, vectors, of.names, scores, schema)
    received_s = table.column("received_at").cast(pa.int64()).to_numpy() / 1e6
    keys = table.column(schema.primary_key.name).to_pylist()
    rules = rules_of(at.file, schema)
    live = _live_lists(at, rules, received_s)
    held = rules.holding_columns(columns, keys, received_s, live)
    ruled = [
        overrule(outcome, one, score, decisions.thresholds.get(version or ""))
        for outcome, one, score, version in zip(
            decisions.outcomes, held, decisions.probability, decisions.model_versions, strict=True
        )
    ]
    reasons = [
        [*one.reasons, *(theirs if _needs_reasons(one) else [])]
        for one, theirs in zip(ruled, decisions.reasons, strict=True)
    ]
    counts = {
        "live": Counter(rule.name for one in held for rule in one.live),
        "shadow": Counter(rule.name for one in held for rule in one.shadow),
        "failed": Counter(name for one in held for name in one.failed),
    }
    return replace(
        decisions,
        outcomes=[one.outcome for one in ruled],
        reasons=reasons,
        ruled=ruled,
        rule_counts=counts,
        policy_version=rules.version_with(at.lists_version),
    )


def unexplained(decisions: Decisions) -> NDArray[np.int64]:
    """Find what a segment's thresholds stopped and the model's did not: nobody has asked for its reasons."""
    return np.flatnonzero(
        [
            one.by_segment is not None
            and one.outcome_without_rules is Outcome.APPROVE
            and _needs_reasons(one)
            for one in decisions.ruled or ()
        ]
    )


def _needs_reasons(ruled: Ruled) -> bool:
    """Whether the score stopped it, and it is not approved after all: by a rule."""
    by_score = ruled.by_segment or ruled.outcome_without_rules
    return Outcome.APPROVE not in {by_score, ruled.outcome}


def _live_lists(at: RulesAt, rules: RuleSet, received_s: Floats) -> Lists:
    """Take the lists at the time of the micro-batch's first record: the same one when it runs again."""
    names = rules.live_lists
    if at.lists is None or not names or not len(received_s):
        return NO_LISTS
    return _store(at.lists, os.getpid()).view(names, float(received_s.min()), at.lists_version)


@cache
def _store(folder: Path, _process: int) -> ListStore:
    return ListStore(folder)
