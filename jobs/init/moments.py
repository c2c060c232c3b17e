"""When a transaction happened: one column, a date beside a clock, parts of a date, or steps since a start."""

import pyarrow.compute as pc

from fraud.schema.expressions import column_text
from fraud.schema.source import Reading
from fraud.tables.values import Form, is_text
from jobs.init import names
from jobs.init.guess import Guess, flag, options
from jobs.init.sample import TableColumn

EPOCHS = frozenset({Form.S, Form.MS, Form.US, Form.NS})
"""Numbers that count since 1970."""
_SLASHED = frozenset({Form.DAY_FIRST, Form.MONTH_FIRST})
_CLOCK = r"^\s*\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s*$"
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
    elif not (_from_parts(guess) or _from_date(guess, ranked)):
        _ask_steps(guess, ranked)


def time_text(inner: str, form: Form, reading: Reading) -> str:
    """Write the expression of a time, with its form and zone where they are not the usual ones."""
    if reading.zone:
        return f"time({inner}, '{form}', '{reading.zone}')"
    return f"time({inner})" if form is Form.ISO else f"time({inner}, '{form}')"


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
    kind = seen.values.type
    has_zone = getattr(kind, "tz", None) or (
        is_text(kind) and pc.all(pc.match_substring_regex(seen.present, _ZONED)).as_py()
    )
    if has_zone:
        return "with their own offsets"
    return (
        f"in {guess.reading.zone}"
        if guess.reading.zone
        else "the values name no time zone: UTC (--read zone=... changes it)"
    )


def _take_column(guess: Guess, seen: TableColumn) -> None:
    inner = column_text(seen.name)
    form = form_of(seen, guess.reading)
    if form is None:
        _ask_form(guess, seen, inner)
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
    clock = _clock(guess)
    zone = guess.reading.zone or "UTC"
    if clock is None:
        guess.take(
            "event_time",
            time_text(inner, Form.ISO, guess.reading),
            f"days alone, in {zone}: no time of the day",
        )
    else:
        joined = f"join({inner}, ' ', {_clock_text(clock)})"
        guess.take(
            "event_time",
            time_text(joined, Form.ISO, guess.reading),
            f"parts of the date, and {clock.name}, in {zone}",
        )
    return True


def _from_date(guess: Guess, ranked: list[TableColumn]) -> bool:
    """Join a date and a clock, or take the date alone."""
    dates = [one for one in ranked if one.time_forms and not one.has_clock]
    dates = [one for one in dates if not _is_clock(one)]
    if not dates:
        return False
    if len(guess.best(names.TIME, dates)) > 1:
        guess.ask("event_time", "several columns may be the date", [*options("event_time", dates)], dates)
        return True
    seen, clock = dates[0], _clock(guess)
    form = form_of(seen, guess.reading)
    inner = (
        column_text(seen.name)
        if clock is None
        else f"join({column_text(seen.name)}, ' ', {_clock_text(clock)})"
    )
    if form is None:
        _ask_form(guess, seen, inner)
        return True
    zone = guess.reading.zone or "UTC"
    words = f"{seen.words[0]}: {form}, days alone, in {zone}: no time of the day"
    if clock is not None:
        words = f"{seen.name}, e.g. {seen.words[0]}, and {clock.name}, e.g. {clock.words[0]}, in {zone}"
    if form is Form.DATE and clock is not None:
        text = f"time({inner}, '%Y%m%d %H:%M:%S', '{zone}')"
        guess.take("event_time", text, words)
        return True
    guess.take("event_time", time_text(inner, form, guess.reading), words)
    return True


def _clock(guess: Guess) -> TableColumn | None:
    return next((one for one in guess.ranked(names.TIME) if _is_clock(one)), None)


def _is_clock(seen: TableColumn) -> bool:
    if str(seen.values.type).startswith("time"):
        return True
    if is_text(seen.values.type):
        return bool(len(seen.present)) and bool(
            pc.all(pc.match_substring_regex(seen.present, _CLOCK)).as_py()
        )
    return False


def _clock_text(clock: TableColumn) -> str:
    """Write a clock so that hours have two digits."""
    text = column_text(clock.name)
    if not is_text(clock.values.type):
        return text
    widths = {len(word.strip()) for word in clock.words}
    return text if len(widths) == 1 else f"pad({text}, {max(widths)})"


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
    choices = [
        (
            flag("event_time", f"steps({column_text(seen.name)}, '{one}', '2024-01-01')"),
            f"counted in {one}; put the true start for 2024-01-01",
        )
        for one in (unit, other)
    ]
    words = f"{seen.name} counts from {low:,.0f} to {high:,.0f}: in which unit, and since when?"
    guess.ask("event_time", words, choices, [seen])
