"""The further fields: places, categories, numbers, flags, times; and what is left out, with the reason."""

from datetime import timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.schema.arrow import TIME
from fraud.schema.expressions import Column, column_text, columns_of, parse_expression
from fraud.schema.fields import CORE_NAMES, MOST_UNITS, RESERVED, FieldType
from fraud.tables.values import FALSE, TRUE, Form, is_text
from jobs.init import names
from jobs.init.guess import Guess, flag, time_text, values_of
from jobs.init.moments import EPOCHS, form_of
from jobs.init.sample import TableColumn
from jobs.init.strength import strength_of

MOST: Final = 60
"""Further fields; a table has hundreds of columns at times."""
MOST_WORDS: Final = 2_000
"""Different values of a category."""
LEAK: Final = 0.99
"""Area under the curve, of one column alone, above which it must know the label."""
_STRAY: Final = 0.01
"""Share of rows whose times may be out of order by mistake."""


def find_places(guess: Guess) -> None:
    """Find pairs of latitude and longitude: of the transaction, and of the cardholder's home."""
    pairs = _pairs(guess)
    own = {"merchant", "merch", "terminal", "shop", "transaction", "trans", "event"}
    first = [pair for pair in pairs if own & {*names.words(pair[0].name)}]
    others = [pair for pair in pairs if pair not in first]
    home = [pair for pair in others if first or {"home", "user", "customer"} & {*names.words(pair[0].name)}]
    for place, found in (("", first or [pair for pair in others if pair not in home]), ("home_", home)):
        ours = [f"{place}latitude", f"{place}longitude"]
        if [guess.is_said(our) for our in ours] == [False, False] and found:
            for our, seen in zip(ours, found[0], strict=True):
                guess.take(our, f"number({column_text(seen.name)})", "degrees", FieldType.PLACE)


def _pairs(guess: Guess) -> list[tuple[TableColumn, TableColumn]]:
    found = []
    for latitude in guess.ranked(names.LATITUDE):
        rest = set(names.words(latitude.name)) - {*names.LATITUDE.points}
        for longitude in guess.ranked(names.LONGITUDE):
            is_pair = set(names.words(longitude.name)) - {*names.LONGITUDE.points} == rest
            if is_pair and _within(latitude, 90) and _within(longitude, 180):
                found.append((latitude, longitude))
    return found


def _within(seen: TableColumn, bound: float) -> bool:
    values = seen.floats[np.isfinite(seen.floats)]
    return seen.number_form is Form.PLAIN and bool(len(values)) and bool((np.abs(values) <= bound).all())


def find_named(guess: Guess) -> None:
    """Find fields with a meaning of their own: category, country, channel, currency."""
    for our, role in (
        ("category", names.CATEGORY),
        ("country", names.COUNTRY),
        ("channel", names.CHANNEL),
        ("currency", names.CURRENCY),
    ):
        if guess.is_said(our):
            continue
        ranked = [one for one in guess.ranked(role, 1.5) if _is_category(one)]
        if our == "currency":
            ranked = [one for one in ranked if all(len(word) == 3 and word.isupper() for word in one.words)]
        if ranked:
            guess.take(our, column_text(ranked[0].name), _list_of(ranked[0]), FieldType.CATEGORY)


def find_label_time(guess: Guess) -> None:
    """Find since when a label is known."""
    if guess.is_said("label_time"):
        return
    for seen in guess.ranked(names.LABEL_TIME):
        form = form_of(seen, guess.reading)
        if form is not None and {"time", "date", "at", "on"} & {*names.words(seen.name)}:
            text = time_text(column_text(seen.name), form, guess.reading)
            guess.take("label_time", text, "when the label became known")
            return


def check_label_time(guess: Guess) -> None:
    """Ask about labels that are older than their transactions: the column is another time."""
    known, times = values_of(guess, "label_time"), values_of(guess, "event_time")
    if known is None or times is None or guess.is_said("label_time"):
        return
    share = _share(pc.less(known, pc.subtract(times, pa.scalar(timedelta(days=1)))))
    if share <= _STRAY:
        return
    found = guess.found.pop("label_time")
    seen = [guess.look.columns[name] for name in columns_of(parse_expression(found.text))]
    words = f"{seen[0].name} lies before the transaction in {share:.0%} of the rows that have it"
    ways = [
        (flag("label_time", "null"), "it is not when the label became known"),
        (flag("label_time", found.text), "it is, all the same"),
    ]
    guess.ask("label_time", words, ways, seen)


def _share(holds: pa.Array) -> float:
    return float(pc.mean(holds.cast(pa.float64())).as_py() or 0.0)


def _is_later(guess: Guess, our: str, times: pa.Array | None) -> str:
    """Say in how many rows a time lies after the transaction; empty: it does not."""
    found = values_of(guess, our)
    if found is None or times is None or found.type != TIME or times.type != TIME:
        return ""
    days = (
        timedelta(days=1) if "no time of the day" in guess.found["event_time"].why else timedelta(minutes=5)
    )
    share = _share(pc.greater(found, pc.add(times, pa.scalar(days))))
    words = f"lies after the transaction in {share:.0%} of the rows: known only afterwards (a leak)?"
    return words if share > _STRAY else ""


def find_others(guess: Guess) -> None:
    """Give every column that is free its field, or the reason why it has none."""
    for our in guess.given:
        if our not in guess.found:
            guess.is_said(our)
    is_fraud, times = label_of(guess), values_of(guess, "event_time")
    for name, seen in guess.free.items():
        why = _useless(seen)
        if not why and is_fraud is not None and knows_label(seen, is_fraud):
            why = "tells the label by itself: known only afterwards (a leak)?"
        if not why and is_afterwards(name):
            why = "by its name it is known only after the decision (a leak)?"
        further = [one for one in guess.found.values() if one.type is not None]
        if not why and len(further) >= MOST:
            why = f"{MOST} fields are enough for a beginning"
        if why:
            guess.left_out[name] = why
        else:
            _take(guess, seen, times)


def is_afterwards(name: str) -> bool:
    """Whether a column's name says that it was made after the decision.

    Examples
    --------
    >>> is_afterwards("newbalanceOrig"), is_afterwards("settlement_date"), is_afterwards("balance")
    (True, True, False)
    """
    found = {*names.words(name)}
    return bool(names.AFTERWARDS & found) or {"new", "balance"} <= found


def _take(guess: Guess, seen: TableColumn, times: pa.Array | None) -> None:
    text = column_text(seen.name)
    kind = type_of(seen, guess)
    if kind is None:
        guess.left_out[seen.name] = _kindless(seen)
        return
    our = names.field_name(seen.name, [*guess.found, *CORE_NAMES, *RESERVED])
    if kind is FieldType.NUMBER and seen.number_form is not Form.PLAIN:
        text = f"number({text}, '{seen.number_form}')"
    elif kind is FieldType.NUMBER:
        text = f"number({text})"
    elif kind is FieldType.TIME:
        text = time_text(text, form_of(seen, guess.reading) or Form.ISO, guess.reading)
    guess.take(our, text, _list_of(seen), kind)
    later = _is_later(guess, our, times) if kind is FieldType.TIME else ""
    if later:
        del guess.found[our]
        guess.left_out[seen.name] = later


def type_of(seen: TableColumn, guess: Guess) -> FieldType | None:
    """Tell the type of a field by its values and its name; None: none fits."""
    tokens = {*names.words(seen.name)}
    if seen.distinct <= 2 and {word.lower() for word in seen.words} <= {*TRUE, *FALSE} - {"fraud", "honest"}:
        return FieldType.FLAG
    if names.MOMENT.score(seen.name) and seen.time_forms and form_of(seen, guess.reading):
        return FieldType.TIME
    if seen.number_form is not None and not names.CODES & tokens:
        return FieldType.NUMBER
    if _is_category(seen):
        return FieldType.CATEGORY
    return FieldType.KEY if _repeats(seen) else None


def scale_of(seen: TableColumn) -> int | None:
    """Choose how many decimals of a number are kept; None: it is too large."""
    values = np.abs(seen.floats[np.isfinite(seen.floats)])
    greatest = float(values.max()) if len(values) else 0.0
    return next((n for n in range(seen.decimals, -1, -1) if greatest * 10**n <= MOST_UNITS / 2), None)


def label_of(guess: Guess) -> NDArray[np.bool_] | None:
    """Read the label of the sample, [rows]; None where it is not known yet what it is."""
    found = guess.found.get("is_fraud")
    if found is None:
        return None
    expression = parse_expression(found.text)
    if isinstance(expression, Column):
        seen = guess.look.columns[expression.name]
        meanings = {word: word.lower() in TRUE for word in seen.words}
    elif getattr(expression, "cases", ()) and isinstance(expression.arguments[0], Column):  # type: ignore[union-attr]
        seen = guess.look.columns[expression.arguments[0].name]  # type: ignore[union-attr]
        meanings = {_key(value): bool(meaning) for value, meaning in expression.cases}  # type: ignore[union-attr]
    else:
        return None
    values = [_key(value) for value in seen.values.to_pylist()]
    return np.asarray([meanings.get(value, False) for value in values], bool)


def _key(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value).strip()


def knows_label(seen: TableColumn, is_fraud: NDArray[np.bool_]) -> bool:
    """Whether a column alone parts frauds from others nearly wholly."""
    values = pa.array(seen.floats, from_pandas=True) if seen.number_form is not None else seen.values
    return strength_of(values, is_fraud) >= LEAK


def _kindless(seen: TableColumn) -> str:
    if seen.time_forms:
        return f"a further time; --column NAME=time({column_text(seen.name)}) reads it"
    return "its values are of no single kind"


def _is_category(seen: TableColumn) -> bool:
    return 1 < seen.distinct <= 20 or (1 < seen.distinct <= MOST_WORDS and seen.uniqueness < 0.5)


def _is_epoch(seen: TableColumn) -> bool:
    return bool(names.TIME.score(seen.name) >= 2 and seen.time_forms and seen.time_forms <= EPOCHS)


def _repeats(seen: TableColumn) -> bool:
    """Whether it is too varied for a category, and comes often enough for a key."""
    return is_text(seen.values.type) and seen.distinct > MOST_WORDS and seen.uniqueness < 0.5


def _useless(seen: TableColumn) -> str:
    """Say why a column can be no field; empty: it can."""
    tokens = {*names.words(seen.name)}
    is_index = not seen.name.strip() or "unnamed" in tokens or "index" in tokens
    is_text_alone = is_text(seen.values.type) and seen.number_form is None and not seen.time_forms
    reasons = {
        "empty": not len(seen.present),
        "one value in all rows": seen.distinct == 1,
        "personal, and no feature would read it": bool(names.UNREAD & tokens),
        "numbers the rows": is_index and seen.uniqueness == 1,
        f"{seen.distinct:,} different texts": is_text_alone and not _is_category(seen) and not _repeats(seen),
        "another time of the transaction": _is_epoch(seen),
        "numbers beyond a thousand million": seen.number_form is not None and scale_of(seen) is None,
    }
    return next((words for words, holds in reasons.items() if holds), "")


def _list_of(seen: TableColumn) -> str:
    if seen.number_form is not None and seen.distinct > 12:
        finite = seen.floats[np.isfinite(seen.floats)]
        return f"{finite.min():g} to {finite.max():g}"
    more = f", ... ({seen.distinct:,} values)" if seen.distinct > 4 else ""
    return ", ".join(seen.words[:4]) + more
