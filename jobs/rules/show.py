"""What ``fraud rules`` reads from its options, and how it shows what rules do."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

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

_WIDEST: Final = 10_000
"""Width by which a table is measured, characters: it is not cut off."""


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


def notes_on_lists(rules: RuleSet, past: PastLists | None) -> list[str]:
    """Say which lists are not there, and from when on all changes of the others are known."""
    if past is None:
        return []
    notes = [
        f"note: there is no list {name}, so rules that read it do not hold; `fraud lists create` makes one"
        for name in sorted(rules.live_lists - past.names)
    ]
    if past.known_since_s:
        since = f"{datetime.fromtimestamp(past.known_since_s, UTC):%Y-%m-%d %H:%M} UTC"
        notes.append(f"note: of changes of lists before {since} only the last of each entry is known")
    return notes


def tried_lines(content: bytes, name: str, days: int) -> str:
    """Try proposed rules on the newest days."""
    stream = LakeSettings()
    rules = compile_rules(content, name)
    try:
        with lists_of(rules) as past:
            words = tried(content, name, stream.delta_path, stream.delta_options, days=days, past=past)
            return "\n".join([words, *notes_on_lists(rules, past)])
    except Unavailable as error:
        return f"no backtest: {error}"


def show(console: Console, effects: RuleEffects, *, daily: bool, examples: bool) -> None:
    """Print what the rules did."""
    rules = ([one.rule, *(write(effects, one) for _, _, write in COLUMNS)] for one in effects.all_rules)
    print_rows(console, heading(effects), ["rule", *(name for name, _, _ in COLUMNS)], rules)
    console.print(together(effects))
    console.print(reviews(effects))
    if daily:
        days = (
            [f"{day:%Y-%m-%d}", f"{n:,}", *(f"{one.days[day]:,}" for one in effects.all_rules)]
            for day, n in sorted(effects.days.items())
        )
        print_rows(console, "hits by day (UTC)", ["day", "transactions", *effects.of], days)
    if examples:
        for one in effects.all_rules:
            found = (f"{two.transaction_id} ({_label(two.is_fraud)})" for two in one.examples)
            console.print(f"{one.rule}: {', '.join(found) or 'no hits'}", highlight=False)


def print_rows(console: Console, title: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table where it fits, else a line a row, so that no name and no number is cut off.

    Parameters
    ----------
    names
        Of the columns; the first one names the row.
    rows
        Their cells; empty ones are left out of lines.
    """
    console.print(title, highlight=False, soft_wrap=True)
    kept, table = list(rows), Table()
    for at, name in enumerate(names):
        table.add_column(name, justify="right" if at else "left")
    for row in kept:
        table.add_row(*row)
    anything = console.options.update(max_width=_WIDEST)
    if console.measure(table, options=anything).maximum <= console.width:
        console.print(table)
        return
    for first, *cells in kept:
        words = (f"{name} {cell}" for name, cell in zip(names[1:], cells, strict=True) if cell)
        console.print(f"{first}: {', '.join(words)}", highlight=False, soft_wrap=True)


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
