"""The small language of ``source:`` and ``--column``: what a field is made of, by a table's columns.

::

    cc_num                                        a column
    "Is Fraud?"                                   a column whose name is no single word
    number(Amount, 'comma')                       1.234,50; also 'point' (1,234.50); drops $ and the like
    number(cents) / 100                           also *
    abs(number(Amount))                           without its sign
    time(join(Day, ' ', Clock), 'day-first', 'Europe/Berlin')
    time(created, 'ms')                           also s, us, ns, iso, yyyymmdd, month-first, '%d%b%Y'
    steps(step, '1h', '2024-01-01')               whole or broken steps of a length since a moment
    date(Year, Month, Day), pad(Clock, 6)         parts of a date, and leading zeros
    map(Class, 'Yes' = true, 'No' = false, 2 = null)      with else = ... for all others
    missing(Amount, 'N/A', '-')                   such values are missing
    when(number(Amount) < 0, 'refund', 'purchase')
    coalesce(card, account), text(zip), row()     the first that is there; as text; number of the row

It has no loops, no names but columns and these functions, and reads nothing but the row. Two single quotes in
a text are one; two double quotes in a column's name, too.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from fraud.schema.tokens import TokenReader
from fraud.settings.names import suggest

LONGEST: Final = 2_000
"""Most characters of an expression."""
DEEPEST: Final = 20
"""Most calls inside each other."""
TIME_FORMS: Final = ("iso", "yyyymmdd", "day-first", "month-first", "s", "ms", "us", "ns")
NUMBER_FORMS: Final = ("plain", "point", "comma")
ELSE: Final = "else"
_STEP: Final = re.compile(r"(\d{1,6})(ms|s|m|h|d)")
_STEP_US: Final = {"ms": 10**3, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86_400 * 10**6}
_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")*")
    |(?P<number>-?\d+(?:\.\d+)?(?![A-Za-z_]))
    |(?P<word>[^\W\d][\w.]*)
    |(?P<sign>==|!=|<=|>=|<|>|=|\(|\)|,|\*|/)
    )""",
    re.VERBOSE,
)
_COMPARE: Final = ("==", "!=", "<", "<=", ">", ">=")


class BadExpression(ValueError):
    """An expression that cannot be read; says what, where, and what may stand there."""


Value = str | float | bool | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value in every row."""

    value: Value


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or a sign between two terms, over its arguments."""

    function: str
    arguments: tuple["Expression", ...]
    cases: tuple[tuple[Value, Value], ...] = ()
    """Of ``map``: value and meaning."""
    rest: tuple[Value, ...] = ()
    """Of ``map``: what all others mean; empty: they are refused."""


Expression = Column | Constant | Call


@dataclass(frozen=True, slots=True)
class _Function:
    least: int
    most: int
    check: Callable[[Call], str] = lambda _: ""
    """Says what is wrong with constant arguments."""


def columns_of(expression: Expression) -> tuple[str, ...]:
    """Name the columns that an expression reads, each once.

    Examples
    --------
    >>> columns_of(parse_expression("time(join(Day, ' ', Clock))"))
    ('Day', 'Clock')
    """
    if isinstance(expression, Column):
        return (expression.name,)
    if isinstance(expression, Call):
        inner = (name for one in expression.arguments for name in columns_of(one))
        return tuple(dict.fromkeys(inner))
    return ()


def uses(expression: Expression, function: str) -> bool:
    """Whether an expression calls a function anywhere."""
    if not isinstance(expression, Call):
        return False
    return expression.function == function or any(uses(one, function) for one in expression.arguments)


def column_text(name: str) -> str:
    """Write a column's name as the language reads it.

    Examples
    --------
    >>> column_text("amt"), column_text("Is Fraud?")
    ('amt', '"Is Fraud?"')
    """
    found = _TOKEN.fullmatch(name)
    is_word = found is not None and found.lastgroup == "word" and name not in {"true", "false", "null", ELSE}
    return name if is_word else '"' + name.replace('"', '""') + '"'


def constant_text(value: Value) -> str:
    """Write a constant as the language reads it.

    Examples
    --------
    >>> constant_text("it's"), constant_text(None), constant_text(2.0)
    ("'it''s'", 'null', '2')
    """
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.15g}"


def step_us(text: str) -> int:
    """Read the length of a step in microseconds.

    Examples
    --------
    >>> step_us("1h")
    3600000000
    """
    found = _STEP.fullmatch(text)
    if found is None or not int(found[1]):
        raise BadExpression(f"{text!r} is not the length of a step; write e.g. '1s', '10m', '1h', '1d'")
    return int(found[1]) * _STEP_US[found[2]]


def start_of(text: str) -> datetime:
    """Read the moment that steps count from; without an offset it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadExpression(f"{text!r} is not a time; write e.g. '2024-01-01T06:00Z'") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def parse_expression(text: str) -> Expression:
    """Read an expression.

    Raises
    ------
    BadExpression
        Says what is wrong, at which character, and what may stand there.

    Examples
    --------
    >>> parse_expression("number(amt)")
    Call(function='number', arguments=(Column(name='amt'),), cases=(), rest=())
    """
    if len(text) > LONGEST:
        raise BadExpression(f"{len(text):,} characters; an expression has at most {LONGEST:,}")
    reader = _Reader(text)
    found = reader.comparison()
    reader.end()
    return found


def _literal(call: Call, at: int, words: str) -> str:
    """Return a constant argument that must be a text."""
    found = call.arguments[at]
    if not isinstance(found, Constant) or not isinstance(found.value, str):
        raise BadExpression(f"{call.function}: argument {at + 1} must be {words} in single quotes")
    return found.value


def _check_number(call: Call) -> str:
    form = _literal(call, 1, "a form") if len(call.arguments) > 1 else "plain"
    return "" if form in NUMBER_FORMS else f"no form {form!r} of numbers; {suggest(form, NUMBER_FORMS)}"


def _check_time(call: Call) -> str:
    form = _literal(call, 1, "a form") if len(call.arguments) > 1 else "iso"
    if form not in TIME_FORMS and "%" not in form:
        return f"no form {form!r} of times; {suggest(form, TIME_FORMS)}; or write e.g. '%d%m%Y %H:%M'"
    return check_zone(_literal(call, 2, "a zone")) if len(call.arguments) > 2 else ""


def check_zone(name: str) -> str:
    """Say what is wrong with the name of a zone; empty: nothing."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = suggest(name, sorted(available_timezones()), "write e.g. 'Europe/Berlin' or 'UTC'")
        return f"no zone {name!r}; {hint}"
    return ""


def _check_steps(call: Call) -> str:
    step_us(_literal(call, 1, "the length of a step"))
    start_of(_literal(call, 2, "the first moment"))
    return ""


def _check_map(call: Call) -> str:
    kinds = {bool if isinstance(v, bool) else str if isinstance(v, str) else float for v in _meanings(call)}
    if not call.cases:
        return "map needs cases; write map(column, 'Yes' = true, 'No' = false)"
    return "" if len(kinds) <= 1 else "the meanings must be of one kind: true and false, or texts, or numbers"


def _check_pad(call: Call) -> str:
    found = call.arguments[1]
    is_width = isinstance(found, Constant) and isinstance(found.value, float) and 1 <= found.value <= 64
    return "" if is_width else "pad: argument 2 must be the number of characters, 1 to 64"


def _check_missing(call: Call) -> str:
    wrong = [one for one in call.arguments[1:] if not isinstance(one, Constant) or one.value is None]
    return "missing: the values that mean nothing must be constants" if wrong else ""


FUNCTIONS: Final[Mapping[str, _Function]] = {
    "text": _Function(1, 1),
    "number": _Function(1, 2, _check_number),
    "time": _Function(1, 3, _check_time),
    "steps": _Function(3, 3, _check_steps),
    "date": _Function(3, 3),
    "pad": _Function(2, 2, _check_pad),
    "join": _Function(2, 20),
    "map": _Function(1, 1, _check_map),
    "abs": _Function(1, 1),
    "missing": _Function(2, 20, _check_missing),
    "when": _Function(3, 3),
    "coalesce": _Function(2, 20),
    "row": _Function(0, 0),
}


def _meanings(call: Call) -> Iterator[Value]:
    yield from (meaning for _, meaning in call.cases if meaning is not None)
    yield from (meaning for meaning in call.rest if meaning is not None)


class _Reader(TokenReader):
    """Reads by recursive descent: comparison, product, one term."""

    def __init__(self, text: str) -> None:
        hint = "; write a column's name with such a sign in double quotes"
        super().__init__(text, _TOKEN, BadExpression, "expression", hint)
        self._depth = 0

    def comparison(self) -> Expression:
        """Read a product, or two of them with a sign between."""
        left = self._product()
        kind, sign, _ = self._tokens[self._at]
        if kind != "sign" or sign not in _COMPARE:
            return left
        self._at += 1
        return Call(sign, (left, self._product()))

    def end(self) -> None:
        """Make sure that nothing follows."""
        kind, text, at = self._tokens[self._at]
        if kind != "end":
            raise BadExpression(
                f"{text!r} at character {at + 1} is not expected here; "
                "write a name with spaces in double quotes"
            )

    def _product(self) -> Expression:
        found = self._one()
        while (sign := self._tokens[self._at])[0] == "sign" and sign[1] in {"*", "/"}:
            self._at += 1
            found = Call(sign[1], (found, self._one()))
        return found

    def _one(self) -> Expression:
        kind, text, at = self._next()
        if kind in {"text", "number"} or (kind == "word" and text in {"true", "false", "null"}):
            return Constant(_value(kind, text))
        if kind == "quoted":
            return Column(text[1:-1].replace('""', '"'))
        if kind != "word":
            raise BadExpression(f"{text!r} at character {at + 1}: a column, a value or a function is missing")
        return self._call(text, at) if self._take("(") else Column(text)

    def _call(self, name: str, at: int) -> Call:
        if name not in FUNCTIONS:
            raise BadExpression(
                f"no function {name} (character {at + 1}); {suggest(name, FUNCTIONS)}; write a column's name "
                "with brackets in double quotes"
            )
        self._depth += 1
        if self._depth > DEEPEST:
            raise BadExpression(f"calls are nested more than {DEEPEST} deep")
        arguments: list[Expression] = []
        cases: list[tuple[Value, Value]] = []
        rest: list[Value] = []
        while not self._take(")"):
            if (arguments or cases or rest) and not self._take(","):
                raise BadExpression(
                    f"{name}: write a comma or ) at character {self._tokens[self._at][2] + 1}"
                )
            if name == "map" and arguments:
                self._case(cases, rest)
            else:
                arguments.append(self.comparison())
        self._depth -= 1
        return _checked(Call(name, tuple(arguments), tuple(cases), tuple(rest)))

    def _case(self, cases: list[tuple[Value, Value]], rest: list[Value]) -> None:
        kind, text, at = self._next()
        is_else = kind == "word" and text == ELSE
        if not is_else and kind not in {"text", "number"} and text not in {"true", "false"}:
            raise BadExpression(f"{text!r} at character {at + 1}: write a value here, e.g. 'Yes' = true")
        if not self._take("="):
            raise BadExpression(f"after {text} at character {at + 1}: write = here, e.g. 'Yes' = true")
        meaning = self._constant()
        if is_else:
            rest.append(meaning)
        elif any(_value(kind, text) == value for value, _ in cases):
            raise BadExpression(f"map: {text} is given twice; leave one out")
        else:
            cases.append((_value(kind, text), meaning))

    def _constant(self) -> Value:
        kind, text, at = self._next()
        if kind not in {"text", "number"} and text not in {"true", "false", "null"}:
            raise BadExpression(
                f"{text!r} at character {at + 1}: write a text in single quotes, a number, true, "
                "false or null"
            )
        return _value(kind, text)


def _checked(call: Call) -> Call:
    function = FUNCTIONS[call.function]
    count = len(call.arguments)
    if not function.least <= count <= function.most:
        least, most = function.least, function.most
        words = f"{least}" if least == most else f"{least} to {most}"
        raise BadExpression(f"{call.function} takes {words} arguments, not {count}")
    wrong = function.check(call)
    if wrong:
        raise BadExpression(wrong)
    return call


def _value(kind: str, text: str) -> Value:
    if kind == "text":
        return text[1:-1].replace("''", "'")
    return {"true": True, "false": False, "null": None}[text] if kind == "word" else float(text)
