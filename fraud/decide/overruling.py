"""Effects of the rules that apply: the outcome of a decision, its reasons, tags and queue.

Of the live rules that hold:

1. The first segment that holds gives the thresholds that the score is compared with; without one, the model.
2. Score floors raise the score that the thresholds see; without a model they change nothing.
3. Decline goes before approve, approve before challenge, challenge before review, review before the score.
   A challenge never softens a decline by score, a review neither that nor a challenge.
4. Every rule adds its tags; the first one in the file that names a queue routes the transaction.
"""

from dataclasses import dataclass
from typing import Any, Final

from fraud.contracts import Outcome, Reason, Thresholds
from fraud.contracts.columns import names_of
from fraud.contracts.decision import RulesPart
from fraud.decide.engine import NOTHING, RuleHits
from fraud.decide.policy import by_thresholds

_STRENGTH: Final = (Outcome.DECLINE, Outcome.APPROVE, Outcome.CHALLENGE, Outcome.REVIEW)
_NEVER_SOFTENS: Final = {
    Outcome.CHALLENGE: frozenset({Outcome.DECLINE}),
    Outcome.REVIEW: frozenset({Outcome.DECLINE, Outcome.CHALLENGE}),
}


@dataclass(frozen=True, slots=True)
class Ruled:
    """What rules made of a decision."""

    outcome: Outcome
    outcome_without_rules: Outcome
    reasons: tuple[Reason, ...] = ()
    """Of the rules that made the outcome."""
    rules: tuple[str, ...] = ()
    """Live rules that held, also those that another one went before."""
    shadow_rules: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    queue: str | None = None
    segment: str | None = None
    """Whose thresholds the score was compared with; None: the model's, or there was no score."""
    by_segment: Outcome | None = None
    """What they made of the score."""


UNTOUCHED: Final = {outcome: Ruled(outcome, outcome) for outcome in Outcome}
"""What no rule has touched, by outcome."""
RULED_FIELDS: Final = names_of(RulesPart, but=["policy_version"])
"""Of a decision's record, from :class:`Ruled`."""
MOST_NAMES: Final = 64
"""Rules, and tags, that a decision's record names at most; so it stays small whatever the file holds."""


def ruled_fields(ruled: Ruled) -> dict[str, Any]:
    """Make the fields of a decision's record."""
    return {
        "outcome_without_rules": str(ruled.outcome_without_rules),
        "rules": ruled.rules[:MOST_NAMES],
        "shadow_rules": ruled.shadow_rules[:MOST_NAMES],
        "tags": ruled.tags[:MOST_NAMES],
        "queue": ruled.queue,
        "segment": ruled.segment,
    }


def overrule(
    decided: Outcome, held: RuleHits, score: float | None = None, thresholds: Thresholds | None = None
) -> Ruled:
    """Apply the rules, and the thresholds of the segment, that hold to what was decided without them.

    Parameters
    ----------
    decided
        By the model, or without it.
    held
        The rules that hold.
    score, thresholds
        The model's; None where it was unavailable.
    """
    if held is NOTHING:
        return UNTOUCHED[decided]
    without, reasons = decided, list[Reason]()
    segment = held.segment if score is not None else None
    if segment is not None and score is not None:
        thresholds = segment.thresholds
        decided = by_thresholds(score, thresholds)
        reasons = [] if decided is without else [segment.rule.reason]
    by_segment = decided if segment else None
    decided, reasons = _raise_score(decided, reasons, held, score, thresholds)
    for outcome in _STRENGTH:
        theirs = [rule.reason for rule in held.live if rule.outcome is outcome]
        if theirs:
            if decided not in _NEVER_SOFTENS.get(outcome, ()):
                decided, reasons = outcome, theirs
            break
    return Ruled(
        decided,
        without,
        tuple(reasons),
        tuple(rule.name for rule in held.live),
        tuple(rule.name for rule in held.shadow),
        tuple(dict.fromkeys(tag for rule in held.live for tag in rule.tags)),
        next((rule.queue for rule in held.live if rule.queue), None),
        segment.rule.name if segment else None,
        by_segment,
    )


def _raise_score(
    decided: Outcome,
    reasons: list[Reason],
    held: RuleHits,
    score: float | None,
    thresholds: Thresholds | None,
) -> tuple[Outcome, list[Reason]]:
    """Decide by the score floors, where they change what was decided by score."""
    floors = [rule for rule in held.live if rule.score_floor is not None]
    if not floors or score is None or thresholds is None:
        return decided, reasons
    raised = by_thresholds(max([score, *(rule.score_floor or 0.0 for rule in floors)]), thresholds)
    if raised is decided:
        return decided, reasons
    needed = {Outcome.DECLINE: thresholds.decline, Outcome.CHALLENGE: thresholds.challenge}.get(raised)
    needed = thresholds.review if needed is None else needed
    return raised, [rule.reason for rule in floors if (rule.score_floor or 0.0) >= needed]
