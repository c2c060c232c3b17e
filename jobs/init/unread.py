"""Columns that fit by their names, and whose values are written in a way of their own."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.schema.expressions import column_text, constant_text
from fraud.tables.values import Form, has_form, is_text, texts
from jobs.init import names
from jobs.init.clocks import is_clock
from jobs.init.guess import Guess, flag, unzoned
from jobs.init.sample import TableColumn

_PATTERNS = (
    *(
        f"{date}{sign}{clock}"
        for date, sign in (("%d/%m/%y", " "), ("%m/%d/%y", " "), ("%d.%m.%y", " "))
        for clock in ("%H:%M:%S", "%H:%M")
    ),
    *(
        f"{date} {clock}".strip()
        for date in ("%d-%b-%Y", "%d %b %Y", "%d-%b-%y", "%b %d %Y", "%b %d, %Y")
        for clock in ("%H:%M:%S", "%H:%M", "")
    ),
    *("%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%y-%m-%d", "%y-%m-%d %H:%M:%S", "%d%b%Y:%H:%M:%S"),
    *("%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%d %H:%M:%S", "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p"),
    *("%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S"),
)
"""Further ways to write a time, which are tried on a column that is called time."""
_MISSING = frozenset({"null", "none", "nan", "nat", "na", "n/a", "-", "--", "?", "\\n", "unknown", "missing"})
"""Texts that mean that there is no value, in small letters."""
_FEW = 4
"""Different values that are no amounts, for which an option is offered."""


def ask_amount(guess: Guess, seen: TableColumn) -> None:
    """Ask about the values that are no numbers; where they are few, offer to leave their rows out."""
    fits = {form: is_of_form(seen, form) for form in (Form.PLAIN, Form.POINT, Form.COMMA)}
    form = max(fits, key=lambda one: int(fits[one].sum()))
    strange = list(dict.fromkeys(seen.values.filter(pa.array(~fits[form])).drop_null().to_pylist()))
    rows = int((~fits[form]).sum()) - seen.values.null_count
    words = f"{seen.name} holds {strange[0]!r}, which is not read as a number ({rows:,} rows are not)"
    listed = ", ".join(constant_text(value) for value in strange)
    inner = f"missing({column_text(seen.name)}, {listed})"
    text = f"number({inner})" if form is Form.PLAIN else f"number({inner}, '{form}')"
    few = [(f"{flag('amount', text)} --read invalid=skip", "such rows are left out, counted")]
    guess.ask("amount", words, few if len(strange) <= _FEW else [], [seen])


def is_of_form(seen: TableColumn, form: Form) -> NDArray[np.bool_]:
    """Tell which values can be read as numbers in a form, [rows]; missing ones can not."""
    text = pc.utf8_trim_whitespace(seen.values)
    return np.asarray(pc.fill_null(has_form(text, form), False).to_numpy(zero_copy_only=False), np.bool_)


def unreadable(guess: Guess, role: names.Role) -> list[TableColumn]:
    """List the text columns whose names fit a role, and whose values are neither numbers nor times."""
    return [
        one
        for one in guess.ranked(role, 2)
        if is_text(one.values.type) and len(one.present) and not one.number_forms and not one.time_forms
    ]


def take_by_pattern(guess: Guess, ranked: list[TableColumn]) -> bool:
    """Try further ways to write a time on a column that is called time; ask where none or several fit."""
    digits = [one for one in ranked if one.number_form is not None and one.distinct > 1 and _patterns(one)]
    unread = [*digits, *(one for one in unreadable(guess, names.TIME) if not is_clock(one))]
    if not unread:
        return False
    seen = unread[0]
    missing = [word for word in seen.counts if word.strip().lower() in _MISSING]
    inner = column_text(seen.name)
    if missing:
        inner = f"missing({inner}, {', '.join(map(constant_text, missing))})"
    zone = guess.reading.zone
    found = [
        f"time({inner}, {constant_text(way)}{f', {constant_text(zone)}' if zone else ''})"
        for way in _patterns(seen, missing)
    ]
    if len(found) == 1 and not missing:
        guess.take("event_time", found[0], f"{seen.words[0]}, {unzoned(guess.reading)}")
        return True
    words = f"{seen.name}, e.g. {seen.words[0]!r}, is not read as a time"
    if missing:
        share = sum(seen.counts[word] for word in missing) / len(seen.values)
        words = f"{seen.name} holds {missing[0]!r} in {share:.1%} of the rows"
    hint = (
        "" if found else """; say how it is written: --column "event_time=time(COLUMN, '%d %b %Y %H:%M')\""""
    )
    more = (" --read invalid=skip", "; such rows are left out, counted") if missing else ("", "")
    ways = [(flag("event_time", text) + more[0], "as written so" + more[1]) for text in found]
    guess.ask("event_time", words + hint, ways, [seen])
    return True


def _patterns(seen: TableColumn, missing: list[str] | None = None) -> list[str]:
    """List the ways in which all values of a column can be read as times."""
    text = (
        pc.utf8_trim_whitespace(texts(seen.present))
        if not _has_fractions(seen)
        else pa.array([], pa.string())
    )
    if missing:
        text = text.filter(pc.invert(pc.is_in(text, value_set=pa.array([one.strip() for one in missing]))))
    if not len(text):
        return []
    return [way for way in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d", *_PATTERNS) if _all_of(text, way)]


def _has_fractions(seen: TableColumn) -> bool:
    return not is_text(seen.values.type) and seen.decimals > 0


def _all_of(text: pa.Array, way: str) -> bool:
    found = pc.strptime(text, format=way, unit="s", error_is_null=True)
    if found.null_count:
        return False
    years = pc.year(found)
    return bool(pc.min(years).as_py() >= 2000 and pc.max(years).as_py() < 2100)
