"""What ``fraud rules`` reads from its options, and how it shows what rules do."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from fraud.decide.compiling import compile_rules
from fraud.decide.engine import RuleSet
from fraud.decide.list_changes import opened
from fraud.decide.past_lists import PastLists
from fraud.errors import BadInput, Unavailable
from fraud.rules.backtest import tried
from fraud.rules.effects import Costs, RuleEffects
from fraud.rules.history import Range
from fraud.rules.words import COLUMNS, heading, reviews, together
from fraud.settings.stream import KafkaSettings, LakeSettings


def options_of(
    since: str, until: str, maturity_days: float, review_cost: float, wrong_decline_cost: float
) -> dict[str, Any]:
    """Read the options that every count of rules takes.

    Raises
    ------
    BadInput
        When a time is none, or the range is empty.
    """
    when = Range(read_moment("--from", since), read_moment("--to", until))
    if when.since and when.until and when.since >= when.until:
        raise BadInput(f"--from {since} is not before --to {until}")
    return {
        "when": when,
        "maturity": timedelta(days=maturity_days),
        "costs": Costs(review=review_cost, wrong_decline=wrong_decline_cost),
    }


@contextmanager
def lists_of(rules: RuleSet) -> Iterator[PastLists | None]:
    """Give the live lists with what they were; None where the rules read none."""
    if not rules.live_lists:
        yield None
        return
    with opened(KafkaSettings()) as store:
        yield PastLists(store)


def known_since(past: PastLists | None) -> str:
    """Say from when on all changes of the lists are known; empty where that is always."""
    if past is None or not past.known_since_s:
        return ""
    since = datetime.fromtimestamp(past.known_since_s, UTC)
    return f"note: of changes of lists before {since:%Y-%m-%d %H:%M} UTC only the last of each entry is known"


def tried_lines(content: bytes, name: str, days: int) -> str:
    """Try proposed rules on the newest days."""
    stream = LakeSettings()
    try:
        with lists_of(compile_rules(content, name)) as past:
            words = tried(content, name, stream.delta_path, stream.delta_options, days=days, past=past)
            return "\n".join(filter(None, (words, known_since(past))))
    except Unavailable as error:
        return f"no backtest: {error}"


def show(console: Console, effects: RuleEffects, *, daily: bool, examples: bool) -> None:
    """Print what the rules did."""
    table = Table(title=heading(effects), title_justify="left")
    table.add_column("rule")
    for name, _, _ in COLUMNS:
        table.add_column(name, justify="left" if name == "most beside" else "right")
    for one in effects.all_rules:
        table.add_row(one.rule, *(write(effects, one) for _, _, write in COLUMNS))
    console.print(table)
    console.print(together(effects))
    console.print(reviews(effects))
    if daily:
        console.print(_days(effects))
    if examples:
        for one in effects.all_rules:
            found = (f"{two.transaction_id} ({_label(two.is_fraud)})" for two in one.examples)
            console.print(f"{one.rule}: {', '.join(found) or 'no hits'}", highlight=False)


def _days(effects: RuleEffects) -> Table:
    table = Table(title="hits by day (UTC)", title_justify="left")
    for name in ("day", "transactions", *effects.of):
        table.add_column(name, justify="right")
    for day in sorted(effects.days):
        hits = (f"{one.days[day]:,}" for one in effects.all_rules)
        table.add_row(f"{day:%Y-%m-%d}", f"{effects.days[day]:,}", *hits)
    return table


def _label(is_fraud: bool | None) -> str:
    return "no label" if is_fraud is None else "fraud" if is_fraud else "honest"


def read_moment(option: str, text: str) -> datetime | None:
    """Read a time of an option; one without an offset is UTC, none is None.

    Raises
    ------
    BadInput
        When it is none.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(
            f"{option} {text}: not a time; write it like 2026-11-01 or 2026-11-01T12:00"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
