"""From what a column holds to the values that it means: numbers, times, truth; a guess of the form is shown.

A form is chosen by the whole column, not by its first rows: every part of it says which forms are possible.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts.wire import EARLIEST, LATEST
from fraud.errors import BadInput
from fraud.schema.arrow import TIME
from fraud.schema.kinds import REFUND
from fraud.schema.source import Reading

TRUE: Final = ("1", "1.0", "true", "t", "yes", "y", "fraud")
FALSE: Final = ("0", "0.0", "false", "f", "no", "n", "honest")


class Form(StrEnum):
    """How numbers or times are written."""

    WHOLE = "whole"
    """Digits alone, which mean the same with point and comma. It always goes with other forms."""
    PLAIN = "plain"
    POINT = "point"
    COMMA = "comma"
    ISO = "iso"
    DATE = "yyyymmdd"
    DAY_FIRST = "day-first"
    MONTH_FIRST = "month-first"
    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"


Forms = frozenset[Form]
_UNITS: Final = {Form.S: 10**6, Form.MS: 10**3, Form.US: 1, Form.NS: -1000}
"""Factor to microseconds; negative: divisor."""
SIGN: Final = r"[$€£¥₹]|(?:EUR|USD|GBP|CHF|JPY|CAD|AUD|INR|BRL|SEK|NOK|DKK|PLN|CNY|MXN)"
"""Of money, in front of an amount or behind it: the signs, and the codes that tables use most."""
_FRONT: Final = rf"^[+-]?(?:{SIGN})? ?[+-]?"
_BEHIND: Final = rf" ?(?:{SIGN})?$"
_TEXT_FORMS: Final[Mapping[Form, str]] = {
    Form.WHOLE: rf"{_FRONT}\d+{_BEHIND}",
    Form.PLAIN: rf"{_FRONT}(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?{_BEHIND}",
    Form.POINT: rf"{_FRONT}([1-9]\d{{0,2}}([,']\d{{3}})+|\d+)(\.\d+)?{_BEHIND}",
    Form.COMMA: rf"{_FRONT}([1-9]\d{{0,2}}([. ]\d{{3}})+|\d+)(,\d+)?{_BEHIND}",
    Form.ISO: r"^\d{4}[-/]\d{2}[-/]\d{2}([T ]\d{2}(:\d{2}(:\d{2}([.,]\d{1,9})?)?)?)?"
    r" ?(Z|UTC|[+-]\d{2}(:?\d{2})?)?$",
    Form.DATE: r"^(19|20)\d{6}$",
}
_PARTS: Final = (
    r"^(?P<a>\d{1,2})(?P<sign>[/.-])(?P<b>\d{1,2})[/.-](?P<year>\d{4})"
    r"(?:[T ,]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:\.\d{1,6})?))?"
    r"(?: ?(?P<half>[AaPp])[Mm])?)?$"
)
_AS_A_PATTERN: Final = """; say how they are written: --column OURS="time(THEIRS, '%d %b %Y %H:%M')\""""
NUMBERS: Final[Forms] = frozenset({Form.WHOLE, Form.PLAIN, Form.POINT, Form.COMMA})
TIMES: Final[Forms] = frozenset(Form) - NUMBERS
_WORDS: Final = {
    Form.POINT: "amounts such as 1,234.50",
    Form.COMMA: "amounts such as 1.234,50",
    Form.DAY_FIRST: "dates with the day first",
    Form.MONTH_FIRST: "dates with the month first",
    Form.DATE: "dates such as 20240131",
    **{unit: f"times in {unit} since 1970 UTC" for unit in _UNITS},
}


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether a column holds numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def plain(column: pa.Array) -> pa.Array:
    """Take dictionaries apart, widen half floats, and take an empty text as missing."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_float16(column.type):  # few of Arrow's functions read it
        column = column.cast(pa.float32())
    if is_text(column.type):
        column = column.cast(pa.string())
        return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    return column


def forms_of(column: pa.Array, wanted: pa.DataType) -> Forms:
    """Tell in which forms all values of a part of a column can be read as numbers or times."""
    column = plain(column).drop_null()
    every = TIMES if wanted == TIME else NUMBERS
    if is_number(column.type):
        return _epochs(column.cast(pa.float64(), safe=False)) if wanted == TIME else every
    if not is_text(column.type) or not len(column):
        return every
    column = pc.utf8_trim_whitespace(column)
    found = {
        form
        for form, pattern in _TEXT_FORMS.items()
        if form in every and pc.all(pc.match_substring_regex(column, pattern=pattern)).as_py()
    }
    if wanted == TIME:
        found |= _slashed(column)
        if pc.all(pc.match_substring_regex(column, pattern=r"^\d{9,19}(\.\d+)?$")).as_py():
            found |= _epochs(column.cast(pa.float64()))
    return frozenset(found)


def has_two_readings(forms: Forms) -> bool:
    """Whether the points of all values may part thousands as well: ``1.234``, ``12.500``.

    Examples
    --------
    >>> has_two_readings(forms_of(pa.array(["1.234", "7"]), pa.float64()))
    True
    >>> has_two_readings(forms_of(pa.array(["1.234", "7.5"]), pa.float64()))
    False
    """
    return {Form.PLAIN, Form.COMMA} <= forms and Form.WHOLE not in forms


def has_form(text: pa.Array, form: Form) -> pa.Array:
    """Tell which texts are written in a form of numbers, or as ISO times; null stays null."""
    return pc.match_substring_regex(text, pattern=_TEXT_FORMS[form])


def choose(forms: Forms, wanted: pa.DataType, reading: Reading) -> tuple[Form | None, str]:
    """Choose one form.

    Returns
    -------
    tuple
        The form, and the guess in words where it is one; None and the flag where a guess is not possible.
    """
    said: str = reading.times if wanted == TIME else reading.decimal
    usual = Form.ISO if wanted == TIME else Form.PLAIN
    if said and Form(said) in forms:
        return Form(said), ""
    if not said and has_two_readings(forms):
        forms = frozenset({Form.COMMA, Form.POINT})
    if usual in forms and (wanted == TIME or not said or said == Form.POINT):
        return usual, ""
    if said:
        return None, f"cannot be read with --read {_flag(wanted)}={said}"
    if len(forms) == 1:
        form = next(iter(forms))
        return form, f"read as {_WORDS[form]}, by a guess; --read {_flag(wanted)}=... changes it"
    ways = " or ".join(f"--read {_flag(wanted)}={form}" for form in sorted(forms))
    return None, f"can be read in several ways; say {ways}" if ways else ""


def convert(column: pa.Array, wanted: pa.DataType, form: Form | None, reading: Reading) -> pa.Array:
    """Make values of the type that is wanted.

    Raises
    ------
    ValueError
        When a value cannot be read; pyarrow's own errors are such.
    """
    column = plain(column)
    if pa.types.is_null(column.type):
        return column.cast(wanted)
    if wanted == TIME:
        return times(column, form, reading.zone)
    if wanted == pa.bool_():
        return _truth(column, reading)
    if wanted == pa.string():
        return texts(column)
    if wanted == pa.float64():
        found = numbers(column, form)
        return pc.if_else(pc.is_nan(found), pa.scalar(None, pa.float64()), found)
    if not is_number(column.type) and not is_text(column.type):
        raise ValueError(f"got {column.type}")
    return column.cast(wanted)


def _flag(wanted: pa.DataType) -> str:
    return "times" if wanted == TIME else "decimal"


def _epochs(values: pa.Array) -> Forms:
    if not len(values):
        return frozenset(_UNITS)
    low, high = pc.min(values).as_py(), pc.max(values).as_py()
    first, last = EARLIEST.timestamp() * 1e6, LATEST.timestamp() * 1e6
    factors = {unit: factor if factor > 0 else 1 / -factor for unit, factor in _UNITS.items()}
    found = {unit for unit, factor in factors.items() if first <= low * factor and high * factor < last}
    if pc.all(pc.equal(values, pc.floor(values))).as_py() and low > 19_000_000 and high < 21_000_000:
        found.add(Form.DATE)
    return frozenset(found)


def _slashed(column: pa.Array) -> set[Form]:
    parts = pc.extract_regex(column, pattern=_PARTS)
    if parts.null_count:
        return set()
    one, other = (pc.max(pc.struct_field(parts, name).cast(pa.int64())).as_py() for name in ("a", "b"))
    found = {Form.DAY_FIRST} if other <= 12 else set()
    has_dots = pc.any(
        pc.equal(pc.struct_field(parts, "sign"), ".")
    ).as_py()  # 31.12.2024: always the day first
    return found | ({Form.MONTH_FIRST} if one <= 12 and not has_dots else set())


def numbers(column: pa.Array, form: Form | None) -> pa.Array:
    """Read numbers; signs of money and of thousands are dropped.

    Raises
    ------
    ValueError
        Naming the first value that is none.
    """
    if is_number(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.float64())
    if not is_text(column.type):
        raise ValueError(f"got {column.type}")
    column = pc.utf8_trim_whitespace(column)
    pattern = _TEXT_FORMS[form or Form.PLAIN]
    wrong = column.filter(pc.invert(pc.match_substring_regex(column, pattern=pattern)))
    if len(wrong):
        raise ValueError(f"got {wrong[0].as_py()!r}")
    drop = "[ .]" if form is Form.COMMA else "[ ,']"
    column = pc.replace_substring_regex(column, pattern=f"{drop}|{SIGN}", replacement="")
    return pc.replace_substring(column, pattern=",", replacement=".").cast(pa.float64())


def times(column: pa.Array, form: Form | str | None, zone: str = "") -> pa.Array:
    """Read times; those without an offset are of a zone.

    A local time that comes twice, when the clock is put back, is the first of the two; one that is left
    out, when it is put forward, is the moment of that.

    Parameters
    ----------
    column
        Texts, numbers or times.
    form
        How they are written; a text that is no form is a pattern such as ``%d%m%Y %H:%M``.
    zone
        Of times without an offset; empty: UTC.
    """
    if pa.types.is_null(column.type):
        return column.cast(TIME)
    if pa.types.is_timestamp(column.type) and column.type.tz:
        return column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(TIME)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _in_zone(column.cast(pa.timestamp("us"), safe=False), zone)
    if not is_text(column.type) and not is_number(column.type):
        raise ValueError(f"got {column.type}")
    if form in _UNITS:
        return _from_epoch(column, _UNITS[Form(form)])
    return _from_text(pc.utf8_trim_whitespace(texts(column)), form, zone)


def _from_text(text: pa.Array, form: Form | str | None, zone: str) -> pa.Array:
    if form is not None and "%" in form:
        return _by_pattern(text, form, zone)
    if form == Form.DATE:
        return _by_pattern(text, "%Y%m%d", zone)
    if form in {Form.DAY_FIRST, Form.MONTH_FIRST}:
        text = _as_iso(text, is_day_first=form == Form.DAY_FIRST)
    return _from_iso(text, zone)


def _in_zone(column: pa.Array, zone: str) -> pa.Array:
    """Place naive times in a zone."""
    if zone in {"", "UTC"}:
        return column.cast(TIME)
    return pc.assume_timezone(column, zone, ambiguous="earliest", nonexistent="latest").cast(TIME)


def _by_pattern(column: pa.Array, pattern: str, zone: str) -> pa.Array:
    found = pc.strptime(column, format=pattern, unit="us", error_is_null=True)
    wrong = column.filter(pc.and_(column.is_valid(), pc.is_null(found)))
    if len(wrong):
        raise ValueError(f"got {wrong[0].as_py()!r}, which is not of the form {pattern}")
    return found.cast(TIME) if "%z" in pattern else _in_zone(found, zone)


def _from_epoch(column: pa.Array, factor: int) -> pa.Array:
    whole = column
    if is_text(column.type) and pc.any(pc.match_substring(column, pattern=".")).as_py():
        whole = column.cast(pa.float64())
    if pa.types.is_floating(whole.type) or pa.types.is_decimal(whole.type):
        whole = pc.round(pc.multiply(whole.cast(pa.float64()), abs(factor) if factor > 0 else 1.0))
        factor = 1 if factor > 0 else factor
    whole = whole.cast(pa.int64())
    micros = pc.multiply(whole, factor) if factor > 0 else pc.divide(whole, -factor)
    return micros.cast(pa.timestamp("us")).cast(TIME)


def _from_iso(column: pa.Array, zone: str) -> pa.Array:
    column = pc.replace_substring(column, pattern="/", replacement="-")
    column = pc.replace_substring_regex(column, pattern=r" ?(Z|UTC)$", replacement="Z")
    column = pc.replace_substring_regex(column, pattern=r" ([+-]\d{2}:?\d{0,2})$", replacement=r"\1")
    column = pc.replace_substring_regex(column, pattern=r"(:\d{2})[.,](\d{1,6})\d*", replacement=r"\1.\2")
    column = pc.replace_substring_regex(column, pattern=r"([T ]\d{2})(Z|[+-].*)?$", replacement=r"\1:00\2")
    has_zone = pc.match_substring_regex(column, pattern=r":\d{2}(\.\d+)?(Z|[+-]\d{2}(:?\d{2})?)$")
    none = pa.scalar(None, pa.string())
    with_zone = pc.if_else(has_zone, column, none).cast(TIME)
    without = _in_zone(pc.if_else(has_zone, none, column).cast(pa.timestamp("us")), zone)
    return pc.coalesce(with_zone, without)


def _as_iso(column: pa.Array, *, is_day_first: bool) -> pa.Array:
    parts = pc.extract_regex(column, pattern=_PARTS)
    part = {
        name: pc.struct_field(parts, name) for name in ("a", "b", "year", "hour", "minute", "second", "half")
    }
    part |= {name: _or(part[name], "00") for name in ("hour", "minute", "second")}
    half, hour = pc.utf8_lower(part["half"]), part["hour"].cast(pa.int64())
    is_twelve = pc.equal(hour, 12)
    hour = pc.if_else(pc.and_(pc.equal(half, "a"), is_twelve), 0, hour)
    hour = pc.if_else(pc.and_(pc.equal(half, "p"), pc.invert(is_twelve)), pc.add(hour, 12), hour)
    day, month = (part["a"], part["b"]) if is_day_first else (part["b"], part["a"])
    day, month, hours = (pc.utf8_lpad(one.cast(pa.string()), 2, "0") for one in (day, month, hour))
    date = pc.binary_join_element_wise(part["year"], month, day, "-")
    time = pc.binary_join_element_wise(hours, part["minute"], part["second"], ":")
    return pc.binary_join_element_wise(date, time, "T")


def _or(column: pa.Array, value: str) -> pa.Array:
    """Put a value instead of a part that was not there (extract_regex gives an empty one)."""
    return pc.if_else(pc.equal(column, ""), value, column)


def texts(column: pa.Array) -> pa.Array:
    """Write values as texts; those of whole numbers have no fraction."""
    if pa.types.is_date(column.type) or pa.types.is_time(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.string())
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "true", "false")
    if pa.types.is_floating(column.type):
        column = column.cast(pa.int64())  # whole numbers that a missing value made fractional
    elif not (is_text(column.type) or pa.types.is_integer(column.type) or pa.types.is_decimal(column.type)):
        raise ValueError(f"got {column.type}")
    return column.cast(pa.string())


def _truth(column: pa.Array, reading: Reading) -> pa.Array:
    if pa.types.is_boolean(column.type):
        return column
    if not is_text(column.type) and not is_number(column.type):
        raise ValueError(f"got {column.type}")
    text = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))
    said = {value.strip().lower(): meaning for value, meaning in reading.labels.items()}
    own: dict[str, Any] = dict.fromkeys(TRUE, True) | dict.fromkeys(FALSE, False)
    own |= {
        value: {"fraud": True, "honest": False, "unknown": None}[meaning] for value, meaning in said.items()
    }
    place = pc.index_in(text, value_set=pa.array(list(own)))
    strange = text.filter(pc.and_(text.is_valid(), pc.is_null(place)))
    if len(strange):
        value = strange[0].as_py()
        raise ValueError(f"got {value!r}; say what it means: --read label:{value}=unknown (or fraud, honest)")
    return pa.array(list(own.values()), pa.bool_()).take(place)


def refuse(name: str, wanted: pa.DataType, error: object) -> BadInput:
    """Make the error for a column whose values cannot be read."""
    words = {pa.string(): "text", TIME: "times", pa.bool_(): "true or false (1 or 0)"}.get(wanted, "numbers")
    hint = "" if wanted != TIME or "--read" in str(error) else _AS_A_PATTERN
    return BadInput(f"{name} must hold {words}: {error}{hint}")


def with_kinds(batch: pa.RecordBatch, reading: Reading) -> pa.RecordBatch:
    """Write the kind of each transaction, as the reading says, and amounts without their sign.

    Examples
    --------
    >>> batch = pa.record_batch({"amount": [5.0, -5.0]})
    >>> with_kinds(batch, Reading(negative="refund")).to_pydict()
    {'amount': [5.0, 5.0], 'kind': [None, 'refund']}
    """
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    kind = columns.pop("kind", pa.nulls(batch.num_rows, pa.string()))
    if reading.kinds:
        place = pc.index_in(kind, value_set=pa.array(list(reading.kinds)))
        kind = pc.coalesce(pa.array(list(reading.kinds.values())).take(place), kind)
    if reading.negative == "refund":
        amount = columns["amount"]
        kind = pc.if_else(pc.fill_null(pc.less(amount, 0.0), False), pa.scalar(REFUND), kind)
        columns["amount"] = pc.abs(amount)
    return pa.record_batch({**columns, "kind": kind})
