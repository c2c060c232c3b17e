"""When a transaction happened: one column, a date beside a clock, parts of a date, or steps since a start."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from fraud.schema.expressions import column_text
from fraud.schema.source import Reading
from fraud.tables.values import Form, is_text
from jobs.init import names
from jobs.init.clocks import clock_text, find_clock, is_clock, joined
from jobs.init.guess import Guess, flag, options, time_text, unzoned
from jobs.init.sample import TableColumn
from jobs.init.unread import take_by_pattern

EPOCHS = frozenset({Form.S, Form.MS, Form.US, Form.NS})
"""Numbers that count since 1970."""
_SPREADSHEET = (36_526.0, 73_050.0)
"""Days since 1899-12-30 of the years 2000 to 2099, as spreadsheets count."""
_UNITS = {
    "step": "1h",
    "hour": "1h",
    "day": "1d",
    "days": "1d",
    "seconds": "1s",
    "second": "1s",
    "minutes": "1m",
}
_ZONED = r"(Z|UTC|[+-]\d{2}:?\d{2})\s*$"


def find_time(guess: Guess) -> None:
    """Find the time of the transactions, its form and its zone."""
    if guess.is_said("event_time"):
        return
    ranked = guess.ranked(names.TIME)
    clocks = [one for one in ranked if one.time_forms and one.has_clock]
    texts = [one for one in clocks if not one.time_forms <= EPOCHS]
    best = guess.best(names.TIME, texts or clocks)
    if len(best) > 1:
        guess.ask("event_time", "several columns may be the time", [*options("event_time", best)], best)
    elif best:
        _take_column(guess, best[0])
    elif not (_from_parts(guess) or _from_date(guess, ranked) or take_by_pattern(guess, ranked)):
        _ask_steps(guess, ranked)


def form_of(seen: TableColumn, reading: Reading) -> Form | None:
    """Choose the form of a column's times; None: there are several."""
    if reading.times and Form(reading.times) in seen.time_forms:
        return Form(reading.times)
    if Form.ISO in seen.time_forms:
        return Form.ISO
    return next(iter(seen.time_forms)) if len(seen.time_forms) == 1 else None


def zone_words(guess: Guess, seen: TableColumn, form: Form) -> str:
    """Say which zone the times are read in."""
    if form in EPOCHS:
        return "since 1970 UTC"
    if getattr(seen.values.type, "tz", None) or zoned(seen) == 1.0:
        return "with their own offsets"
    return unzoned(guess.reading)


def zoned(seen: TableColumn) -> float:
    """Tell which share of the texts names its offset."""
    if not is_text(seen.values.type) or not len(seen.present):
        return 0.0
    return float(pc.mean(pc.match_substring_regex(seen.present, _ZONED).cast(pa.float64())).as_py())


def _take_column(guess: Guess, seen: TableColumn) -> None:
    inner = column_text(seen.name)
    form = form_of(seen, guess.reading)
    if form is None:
        _ask_form(guess, seen, inner)
        return
    if form is Form.ISO and 0.0 < zoned(seen) < 1.0 and not guess.reading.zone:
        words = f"{1 - zoned(seen):.0%} of {seen.name} name no offset, the others do"
        ways = [("--read zone=UTC", "those are in UTC"), ("--read zone=Europe/Berlin", "or of another zone")]
        guess.ask("event_time", words, ways, [seen])
        return
    guess.take(
        "event_time",
        time_text(inner, form, guess.reading),
        f"{seen.words[0] if seen.words else form}: {form}, {zone_words(guess, seen, form)}",
    )


def _ask_form(guess: Guess, seen: TableColumn, inner: str) -> None:
    choices = [
        (flag("event_time", time_text(inner, form, guess.reading)), f"{form}")
        for form in sorted(seen.time_forms)
    ]
    guess.ask("event_time", f"{seen.name} can be read in several ways, e.g. {seen.words[0]}", choices, [seen])


def _from_parts(guess: Guess) -> bool:
    """Join Year, Month and Day, and a clock where there is one."""
    parts = {}
    for part in ("year", "month", "day"):
        fitting = [
            one for one in guess.free.values() if names.words(one.name)[-1:] == (part,) and one.number_forms
        ]
        if len(fitting) != 1:
            return False
        parts[part] = fitting[0]
    inner = f"date({', '.join(column_text(seen.name) for seen in parts.values())})"
    clock = find_clock(guess)
    if clock is None:
        _take_days(guess, time_text(inner, Form.ISO, guess.reading), "days alone")
        return True
    text = joined(guess, inner, Form.ISO, "-", clock)
    guess.take("event_time", text, f"parts of the date, and {clock.name}, {unzoned(guess.reading)}")
    return True


def _from_date(guess: Guess, ranked: list[TableColumn]) -> bool:
    """Join a date and a clock, or take the date alone."""
    dates = [one for one in ranked if one.time_forms and not one.has_clock]
    dates = [one for one in dates if not is_clock(one)]
    if not dates:
        return False
    if len(guess.best(names.TIME, dates)) > 1:
        guess.ask("event_time", "several columns may be the date", [*options("event_time", dates)], dates)
        return True
    seen, clock = dates[0], find_clock(guess)
    form, inner = form_of(seen, guess.reading), column_text(seen.name)
    if form is None:
        both = inner if clock is None else f"join({inner}, ' ', {clock_text(clock)})"
        _ask_form(guess, seen, both)
        return True
    if clock is None:
        _take_days(guess, time_text(inner, form, guess.reading), f"{seen.words[0]}: {form}, days alone")
        return True
    sign = next((one for one in "-/." if one in seen.words[0]), "")
    words = f"{seen.name}, e.g. {seen.words[0]}, and {clock.name}, e.g. {clock.words[0]}"
    text = joined(guess, inner, form, sign, clock)
    guess.take("event_time", text, f"{words}, {unzoned(guess.reading)}")
    return True


def _take_days(guess: Guess, text: str, words: str) -> None:
    """Take dates without a clock; where a column is called clock and cannot be read as one, ask."""
    clocks = [one for one in guess.ranked(names.CLOCK, 3) if not one.time_forms and one.distinct > 1]
    if clocks:
        one = clocks[0]
        asked = f"{one.name} may be the time of the day, but {one.words[0]!r} is no clock that is read"
        guess.ask("event_time", asked, [(flag("event_time", text), "the days alone")], clocks[:1])
        return
    guess.take("event_time", text, f"{words}, {unzoned(guess.reading)}; no time of the day")


def _ask_steps(guess: Guess, ranked: list[TableColumn]) -> None:
    """Ask from when on, and in what, a column of numbers counts."""
    counting = [one for one in ranked if one.number_form is not None and one.distinct > 1]
    if not counting:
        others = [one for one in guess.free.values() if one.time_forms and one.distinct > 1][:6]
        guess.ask(
            "event_time", "no column is called time or date", list(options("event_time", others)), others
        )
        return
    seen = counting[0]
    low, high = (
        float(seen.floats[seen.floats == seen.floats].min()),
        float(seen.floats[seen.floats == seen.floats].max()),
    )
    unit = next(
        (_UNITS[word] for word in names.words(seen.name) if word in _UNITS), "1s" if high > 50_000 else "1h"
    )
    other = "1s" if unit != "1s" else "1h"
    days = [(flag("event_time", text), words) for text, words in _day_counts(seen, low, high)]
    choices = [*days] + [
        (
            flag("event_time", f"steps({column_text(seen.name)}, '{one}', '2024-01-01')"),
            f"counted in {one}; put the true start for 2024-01-01",
        )
        for one in (unit, other)
    ]
    words = f"{seen.name} counts from {low:,.0f} to {high:,.0f}: in which unit, and since when?"
    guess.ask("event_time", words, choices, [seen])


def _day_counts(seen: TableColumn, low: float, high: float) -> Iterator[tuple[str, str]]:
    """Offer a reading of days since a known day, where the numbers lie in this century so."""
    if _SPREADSHEET[0] <= low and high <= _SPREADSHEET[1]:
        yield f"steps({column_text(seen.name)}, '1d', '1899-12-30')", "days as a spreadsheet counts them"
