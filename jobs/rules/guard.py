"""Watches the rules: ``fraud rules guard``, daily by the DAG ``watch_model``.

Reads the Delta tables ``decisions`` and ``labels``, the rules and their audit. Writes figures for Prometheus
and, where it is told to, the rules with a rule in shadow that broke its guard, and a record of it.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, Gauge

from fraud.decide.engine import RuleSet
from fraud.decide.rules import read_rules
from fraud.errors import BadConfig, Unavailable
from fraud.log.mirror import mirrored
from fraud.rules.audit import Entry
from fraud.rules.effects import RuleEffects
from fraud.rules.guard import RuleFinding, RuleProblem, find, in_shadow, since_last_undo
from fraud.rules.history import Range
from fraud.rules.publishing import Publishing
from fraud.rules.report import report
from fraud.rules.versions import newest_rules
from fraud.settings.stream import LakeSettings
from fraud.watch.figures import publish_figures
from jobs.rules.settings import RuleGuardSettings, copies_of_audit

WHO = "guard"
"""In the place of a person, in the audit."""


def run(
    settings: RuleGuardSettings, tell: Callable[[str], None] = lambda _: None, now: datetime | None = None
) -> tuple[list[RuleFinding], Entry | None]:
    """Judge the rules; returns what was found, and the record where rules went back to shadow.

    Raises
    ------
    BadInput
        When there are no decisions.
    BadConfig
        When rules should go back to shadow, and no file is named; or the rules are wrong.
    BadState
        When the audit is broken, or the file is not what was published.
    Unavailable
        When the tables cannot be read.
    """
    if settings.returns_to_shadow and settings.file is None:
        raise BadConfig("FRAUD_GUARD_RETURNS_TO_SHADOW needs FRAUD_GUARD_FILE: the rules that are changed")
    stream, now = LakeSettings(), now or datetime.now(UTC)
    with mirrored(stream) as (here, _):
        rules = read_rules(settings.file) if settings.file else newest_rules(here.rules_path)
    copies = copies_of_audit() if settings.copies else ()
    publishing = (
        Publishing(settings.file, WHO, settings.audit, copies=copies, tell=tell) if settings.file else None
    )
    since = now - timedelta(days=settings.days)
    undone = since_last_undo(publishing.audit.entries()) if publishing else None
    effects = report(
        rules,
        settings.delta or stream.delta_path,
        stream.delta_options,
        maturity=timedelta(days=settings.maturity_days),
        when=Range(max(since, undone.at) if undone else since, now),
        now=now,
    )
    found = find(rules, effects)
    troubles = publishing.troubles() if publishing else []
    for words in (*(f"{one.rule}: {one.trouble}: {one.words}" for one in found), *troubles):
        tell(words)
    if settings.publishes:
        try:
            gauges = as_gauges(rules, effects, found, troubles)
            publish_figures(settings.delta or stream.delta_path, stream.delta_options, "rules", gauges)
        except Unavailable as error:  # the judgement stands
            tell(f"warning: {error}")
    if publishing is None or not settings.returns_to_shadow:
        return found, None
    return found, _return(publishing, found)


def as_gauges(
    rules: RuleSet, effects: RuleEffects, found: list[RuleFinding], troubles: list[str]
) -> CollectorRegistry:
    """Show what was found to Prometheus; a rule that is in order has zeros."""
    registry = CollectorRegistry()
    broken = {(one.rule, one.trouble) for one in found}
    texts = {
        RuleProblem.DEAD: "1 where a rule has no hits for long, where it had some.",
        RuleProblem.WILD: "1 where a rule has more hits than belong to its band.",
        RuleProblem.GUARD: "1 where a rule breaks the guard that its file states.",
    }
    for trouble, text in texts.items():
        gauge = Gauge(f"fraud_rules_{trouble}", text, ["rule"], registry=registry)
        for rule in rules.rules:
            gauge.labels(rule.name).set((rule.name, trouble) in broken)
    audit = Gauge("fraud_rules_audit_troubles", "Differences of rules, audit and copies.", registry=registry)
    audit.set(len(troubles))
    rate = Gauge("fraud_rules_hit_ratio", "Hits of the newest 7 days.", ["rule"], registry=registry)
    precision = Gauge(
        "fraud_rules_precision_ratio", "Share of fraud among matured hits.", ["rule"], registry=registry
    )
    recent = effects.recent_transactions
    for one in effects.all_rules:
        rate.labels(one.rule).set(effects.recent(one) / recent if recent else 0.0)
        if one.precision is not None:
            precision.labels(one.rule).set(one.precision)
    return registry


def _return(publishing: Publishing, found: list[RuleFinding]) -> Entry | None:
    """Put the rules that broke their guard into shadow."""
    broken = [one for one in found if one.trouble is RuleProblem.GUARD]
    if not broken:
        return None
    content = in_shadow(publishing.file.read_bytes(), [one.rule for one in broken], file=publishing.file.name)
    words = "; ".join(f"{one.rule} back to shadow: {one.words}" for one in broken)
    return publishing.guard(content, words)
