"""The rules' part in a micro-batch's decisions: over columns, by the engine of every other path."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.contracts import Outcome
from fraud.contracts.priced import in_base
from fraud.decide.columns import Columns
from fraud.decide.engine import NO_LISTS
from fraud.decide.lists import ListStore
from fraud.decide.overruling import Ruled, overrule
from fraud.decide.rules import RulesAt
from fraud.decide.values import Lists
from fraud.features.kernel import Floats
from fraud.schema.deployed import deployed_schema
from fraud.schema.fields import AMOUNT_BASE
from jobs.stream.rules import rules_of
from jobs.stream.tasks.score import Decisions


def apply_rules(
    decisions: Decisions,
    at: RulesAt,
    table: pa.Table,
    vectors: Floats,
    names: Sequence[str],
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
    vectors, names
        [n, features] and the features' names.
    """
    scores = np.array([np.nan if one is None else one for one in decisions.probability], np.float64)
    if deployed_schema().money is not None:
        table = table.append_column(AMOUNT_BASE, in_base(table, deployed_schema()))
    columns = Columns(table, vectors, names, scores)
    received_s = table.column("received_at").cast(pa.int64()).to_numpy() / 1e6
    keys = table.column(deployed_schema().primary_key.name).to_pylist()
    rules, live = rules_of(at.file), _live_lists(at, received_s)
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


def _live_lists(at: RulesAt, received_s: Floats) -> Lists:
    """Take the lists at the time of the micro-batch's first record: the same one when it runs again."""
    names = rules_of(at.file).live_lists
    if at.lists is None or not names or not len(received_s):
        return NO_LISTS
    return _store(at.lists, os.getpid()).view(names, float(received_s.min()), at.lists_version)


@cache
def _store(folder: Path, _process: int) -> ListStore:
    return ListStore(folder)
