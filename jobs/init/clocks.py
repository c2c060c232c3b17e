"""The time of the day beside a date: which column is a clock, and the time that both make together."""

import pyarrow as pa
import pyarrow.compute as pc

from fraud.schema.expressions import column_text, constant_text
from fraud.tables.values import Form, is_text, texts
from jobs.init import names
from jobs.init.guess import Guess, time_text
from jobs.init.sample import TableColumn

_SLASHED = frozenset({Form.DAY_FIRST, Form.MONTH_FIRST})
_CLOCK = r"^\s*\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?\s*$"
_DIGITS = (
    (r"^([01]?\d|2[0-3])$", 2, "%H"),
    (r"^\d{0,2}[0-5]?\d$", 4, "%H%M"),
    (r"^\d{0,4}[0-5]?\d$", 6, "%H%M%S"),
)
"""Clocks of digits alone: what they look like without leading zeros, their width, their pattern."""


def joined(guess: Guess, date: str, form: Form, sign: str, clock: TableColumn) -> str:
    """Write the time of a date and a clock beside it."""
    inner = f"join({date}, ' ', {clock_text(clock)})"
    has_halves = bool(clock.words) and clock.words[0].strip()[-1:] in "mM"
    if (
        is_text(clock.values.type) and ":" in clock.words[0] and form is not Form.DATE and not has_halves
    ) or (has_halves and form in _SLASHED):
        return time_text(inner, form, guess.reading)
    if not is_text(clock.values.type) and _digits(clock) is None:  # a clock of the table's own type
        return time_text(inner, form, guess.reading)
    dates = {Form.DAY_FIRST: "%d{0}%m{0}%Y", Form.MONTH_FIRST: "%m{0}%d{0}%Y", Form.DATE: "%Y%m%d"}
    pattern = f"{dates.get(form, '%Y{0}%m{0}%d').format(sign)} {_clock_pattern(clock)}"
    return f"time({inner}, {constant_text(pattern)}, '{guess.reading.zone or 'UTC'}')"


def _clock_pattern(clock: TableColumn) -> str:
    digits = _digits(clock)
    if digits is not None:
        return digits[1]
    seconds = ":%S" if clock.words[0].count(":") > 1 else ""
    return f"%I:%M{seconds} %p" if clock.words[0].strip()[-1:] in "mM" else f"%H:%M{seconds}"


def _digits(clock: TableColumn) -> tuple[int, str] | None:
    """Tell the width and the pattern of a clock of digits alone: 93015 is 09:30:15; None: it is none."""
    found = clock.values.type
    is_whole = pa.types.is_integer(found) or (is_text(found) and Form.WHOLE in clock.number_forms)
    if not is_whole or not len(clock.present):
        return None
    text = pc.utf8_trim_whitespace(texts(clock.present))
    is_hour = "hour" in names.words(clock.name)
    for like, width, pattern in _DIGITS if is_hour else _DIGITS[1:]:
        padded = pc.utf8_lpad(text, width, "0")
        fits = pc.and_(pc.match_substring_regex(text, like), pc.less(padded, "24"))
        if pc.all(fits).as_py() and pc.max(pc.utf8_length(text)).as_py() > width - 2:
            return width, pattern
    return None


def find_clock(guess: Guess) -> TableColumn | None:
    """Find a column that tells the time of the day."""
    ranked = guess.ranked(names.TIME)
    return next((one for one in ranked if is_clock(one)), None) or next(
        (one for one in guess.ranked(names.CLOCK, 2.5) if _digits(one) is not None), None
    )


def is_clock(seen: TableColumn) -> bool:
    """Whether all values are times of the day."""
    if str(seen.values.type).startswith("time"):
        return not str(seen.values.type).startswith("timestamp")
    if is_text(seen.values.type):
        return bool(len(seen.present)) and bool(
            pc.all(pc.match_substring_regex(seen.present, _CLOCK)).as_py()
        )
    return False


def clock_text(clock: TableColumn) -> str:
    """Write a clock so that hours have two digits."""
    text = column_text(clock.name)
    digits = _digits(clock)
    if digits is not None:
        return f"pad({text}, {digits[0]})"
    if not is_text(clock.values.type):
        return text
    widths = {len(word.strip()) for word in clock.counts}
    return text if len(widths) == 1 else f"pad({text}, {max(widths)})"
