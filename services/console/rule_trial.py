"""A backtest of rules as the page of rules shows it: what each rule does, its hits by day, and examples.

Reads the Delta tables; writes nothing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fraud.decide.compiling import compile_rules
from fraud.decide.past_lists import PastLists
from fraud.errors import BadInput
from fraud.rules.backtest import backtest
from fraud.rules.effects import RuleEffects
from fraud.rules.history import Range
from fraud.rules.words import COLUMNS, heading, reviews, together
from fraud.schema.schema import Schema
from services.console.settings import ConsoleSettings


def range_of(form: Mapping[str, str], days: int) -> Range:
    """Read the range of days that a person has chosen: both ends count.

    Parameters
    ----------
    form
        With ``since`` and ``until`` like 2026-11-01; each may be empty.
    days
        How many of the newest days are taken where ``since`` is empty.

    Raises
    ------
    BadInput
        When a day is none, or the range is empty.
    """
    since, last = _day(form, "since"), _day(form, "until")
    try:
        until = last + timedelta(days=1) if last else None
        if since is None:
            since = (until or datetime.now(UTC)) - timedelta(days=days)
    except OverflowError as error:
        raise BadInput(f"{form.get('until')} is too far away; choose a day of this century") from error
    if until is not None and since >= until:
        raise BadInput(f"{form.get('since')} comes after {form.get('until')}; choose an earlier first day")
    return Range(since, until)


def try_rules(
    content: str, when: Range, settings: ConsoleSettings, past: PastLists | None, schema: Schema
) -> dict[str, Any]:
    """Try rules on a range of the log, and prepare what the page shows.

    Raises
    ------
    BadConfig
        When the rules do not compile.
    BadInput
        When there are no tables.
    Unavailable
        When they cannot be read.
    """
    rules = compile_rules(content.encode(), "rules", schema)
    return shown(backtest(rules, settings.delta, settings.delta_options, when=when, past=past))


def shown(effects: RuleEffects) -> dict[str, Any]:
    """Prepare what the page shows of a backtest."""
    return {
        "heading": heading(effects),
        "together": together(effects),
        "reviews": reviews(effects),
        "rules": [
            (one.rule, [write(effects, one) for _, _, write in COLUMNS], one.examples)
            for one in effects.all_rules
        ],
        "days": [
            (day, effects.days[day], [one.days[day] for one in effects.all_rules])
            for day in sorted(effects.days, reverse=True)
        ],
    }


def _day(form: Mapping[str, str], name: str) -> datetime | None:
    text = form.get(name, "").strip()
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise BadInput(f"{text!r:.40} is not a day; write it like 2026-11-01") from error
