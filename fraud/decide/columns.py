"""Expressions of rules over the columns of many transactions, in place of CEL row by row.

``vectorise`` reads a CEL expression and makes a function of numpy arrays. It knows comparisons, arithmetic of
doubles, ``&& || !``, ``in``, ``in_list`` and the tests of a text's parts; for anything else it answers None,
and CEL evaluates the rule row by row. The answers are CEL's, with its unknown: a test compares the two on
random expressions and values.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.decide.lists import LiveList
from fraud.decide.past_lists import PastList
from fraud.decide.values import FLAGS, NUMBERS, TEXTS, Lists, is_there
from fraud.schema.tokens import TokenReader

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Truth(NamedTuple):
    """An answer for each transaction; where it is neither true nor false, it is unknown."""

    is_true: Bools
    is_false: Bools


class Numbers(NamedTuple):
    """A number for each transaction, and where it is known."""

    values: Floats
    is_known: Bools


class Columns:
    """Values of many transactions by name, each prepared once.

    Parameters
    ----------
    fields
        A column for each field of a transaction.
    vectors
        [n, features].
    names
        Of the features, in the vectors' order.
    score
        Of the model; NaN where it was away.
    """

    def __init__(self, fields: pa.Table, vectors: Floats, names: Sequence[str], score: Floats) -> None:
        self._fields, self._vectors, self._score = fields, vectors, score
        self._at = {name: at for at, name in enumerate(names)}
        self._numbers: dict[str, Numbers] = {}
        self._texts: dict[str, tuple[NDArray[np.int32], list[str]]] = {}

    def __len__(self) -> int:
        return int(self._fields.num_rows)

    def number(self, name: str) -> Numbers:
        """Take a number."""
        found = self._numbers.get(name)
        if found is None:
            values = np.ascontiguousarray(self._values(name))
            found = self._numbers[name] = Numbers(values, ~np.isnan(values))
        return found

    def flag(self, name: str) -> Truth:
        """Take a flag."""
        column = self._column(name, pa.bool_())
        is_true = column.fill_null(False).to_numpy(zero_copy_only=False)
        return Truth(is_true, ~column.fill_null(True).to_numpy(zero_copy_only=False))

    def text(self, name: str) -> tuple[NDArray[np.int32], list[str]]:
        """Take a text: its number among the distinct ones (-1: missing), and the distinct ones."""
        found = self._texts.get(name)
        if found is None:
            coded = pc.dictionary_encode(self._column(name, pa.string()))
            codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            found = self._texts[name] = codes, coded.dictionary.to_pylist()
        return found

    def all_there(self, names: Sequence[str]) -> Bools:
        """Tell where none of the values is missing."""
        there = np.ones(len(self), np.bool_)
        for name in names:
            if name in TEXTS:
                there &= self.text(name)[0] >= 0
            elif name in FLAGS:
                there &= np.logical_or(*self.flag(name))
            else:
                there &= self.number(name).is_known
        return there

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Give the values that are there, one mapping a transaction."""
        columns = [
            self._column(name).to_pylist() if name in TEXTS or name in FLAGS else self._values(name).tolist()
            for name in names
        ]
        for row in range(len(self)):
            pairs = zip(names, columns, strict=True)
            yield {name: column[row] for name, column in pairs if is_there(column[row])}

    def _column(self, name: str, kind: pa.DataType | None = None) -> pa.Array:
        if name not in self._fields.column_names:
            return pa.nulls(len(self), kind or pa.string())
        return self._fields.column(name).combine_chunks()

    def _values(self, name: str) -> Floats:
        if name == "score":
            return self._score
        if name in self._at:
            return self._vectors[:, self._at[name]]
        column = self._column(name, pa.float64()).cast(pa.float64())
        values: Floats = column.fill_null(np.nan).to_numpy(zero_copy_only=False)
        return values


Question = Callable[[Columns, Lists], Truth]
_Number = Callable[[Columns], Numbers]
_Test = Callable[[str], bool]


class _Unknown(ValueError):
    """An expression that goes row by row."""


@dataclass(frozen=True, slots=True)
class _Value:
    """One part of an expression: exactly one of these is given."""

    truth: Question | None = None
    number: _Number | None = None
    constant: float | None = None
    is_int: bool = False
    """Of the constant; CEL has no arithmetic of an int and a double."""
    field: str | None = None
    """A field that is a text."""
    text: str | None = None
    items: tuple[Any, ...] | None = None


_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<number>(?:\d+\.\d+|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+)(?![\w.])
    |(?P<text>'[^'\\\n]*'|"[^"\\\n]*")(?!['"])
    |(?P<sign>in(?![\w'"])|&&|\|\||[<>=!]=|[-<>!+*/(),.\[\]])
    |(?P<name>[A-Za-z_]\w*)(?!['"]))""",
    re.VERBOSE,
)
_ORDER: Final[Mapping[str, Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_ARITHMETIC: Final[Mapping[str, Any]] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
_PARTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
}
_MOST_INT: Final = 2**53


def vectorise(expression: str) -> Question | None:
    """Make a question to columns of a CEL expression that compiles; None where CEL has to answer.

    Examples
    --------
    >>> vectorise("amount > 10.0 && category in ['grocery']") is None
    False
    >>> vectorise("user_id.matches('^test-')") is None
    True
    """
    try:
        parser = _Parser(expression)
        found = _truth(parser.any_of())
    except (_Unknown, RecursionError):
        return None
    return found if parser.is_done else None


class _Parser(TokenReader):
    """Reads an expression by CEL's precedence, lowest first."""

    def __init__(self, expression: str) -> None:
        super().__init__(expression, _TOKEN, _Unknown, "expression")

    @property
    def is_done(self) -> bool:
        return self._tokens[self._at][0] == "end"

    def _one_of(self, *signs: str) -> str:
        """Go past one of some signs, if it stands here."""
        return next((sign for sign in signs if self._take(sign)), "")

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise _Unknown

    def any_of(self) -> _Value:
        left = self._all_of()
        while self._take("||"):
            left = _Value(truth=_or(_truth(left), _truth(self._all_of())))
        return left

    def _all_of(self) -> _Value:
        left = self._relation()
        while self._take("&&"):
            left = _Value(truth=_and(_truth(left), _truth(self._relation())))
        return left

    def _relation(self) -> _Value:
        left = self._sum()
        while sign := self._one_of("<=", ">=", "==", "!=", "<", ">", "in"):
            left = _Value(truth=_compare(sign, left, self._sum()))
        return left

    def _sum(self) -> _Value:
        left = self._product()
        while sign := self._one_of("+", "-"):
            left = _calculate(sign, left, self._product())
        return left

    def _product(self) -> _Value:
        left = self._unary()
        while sign := self._one_of("*", "/"):
            left = _calculate(sign, left, self._unary())
        return left

    def _unary(self) -> _Value:
        if self._take("!"):
            return _Value(truth=_not(_truth(self._unary())))
        if self._take("-"):
            return _negative(self._unary())
        return self._member(self._primary())

    def _member(self, value: _Value) -> _Value:
        while self._take("."):
            kind, name, _ = self._next()
            self._need("(")
            part = self._primary()
            self._need(")")
            if kind != "name" or name not in _PARTS or value.field is None or part.text is None:
                raise _Unknown
            value = _Value(truth=_tested(value.field, _bind(_PARTS[name], part.text)))
        if self._take("["):
            raise _Unknown
        return value

    def _primary(self) -> _Value:
        if self._take("("):
            value = self.any_of()
            self._need(")")
            return value
        if self._take("["):
            return self._list()
        kind, word, _ = self._next()
        if kind == "number":
            is_int = word.isdigit()
            if is_int and int(word) > _MOST_INT:
                raise _Unknown
            return _Value(constant=float(word), is_int=is_int)
        if kind == "text":
            return _Value(text=word[1:-1])
        if kind == "name":
            return self._named(word)
        raise _Unknown

    def _named(self, name: str) -> _Value:
        if name == "in_list":
            self._need("(")
            field = self._primary().field
            self._need(",")
            wanted = self._primary().text
            self._need(")")
            if field is None or wanted is None:
                raise _Unknown
            return _Value(truth=_listed(field, wanted))
        if name in {"true", "false"}:
            return _Value(truth=_constant(is_true=name == "true"))
        if name in TEXTS:
            return _Value(field=name)
        if name in FLAGS:
            return _Value(truth=lambda columns, _lists: columns.flag(name))
        if name in NUMBERS:
            return _Value(number=lambda columns: columns.number(name))
        raise _Unknown

    def _list(self) -> _Value:
        items: list[Any] = []
        while not self._take("]"):
            if items:
                self._need(",")
            sign = -1.0 if self._take("-") else 1.0
            value = self._primary()
            if value.constant is None and (value.text is None or sign < 0.0):
                raise _Unknown
            items.append(value.text if value.constant is None else sign * value.constant)
        return _Value(items=tuple(items))


def _truth(value: _Value) -> Question:
    if value.truth is None:
        raise _Unknown
    return value.truth


def _or(left: Question, right: Question) -> Question:
    def ask(columns: Columns, lists: Lists) -> Truth:
        a, b = left(columns, lists), right(columns, lists)
        return Truth(a.is_true | b.is_true, a.is_false & b.is_false)

    return ask


def _and(left: Question, right: Question) -> Question:
    def ask(columns: Columns, lists: Lists) -> Truth:
        a, b = left(columns, lists), right(columns, lists)
        return Truth(a.is_true & b.is_true, a.is_false | b.is_false)

    return ask


def _not(of: Question) -> Question:
    def ask(columns: Columns, lists: Lists) -> Truth:
        a = of(columns, lists)
        return Truth(a.is_false, a.is_true)

    return ask


def _constant(*, is_true: bool) -> Question:
    def ask(columns: Columns, _lists: Lists) -> Truth:
        return Truth(np.full(len(columns), is_true), np.full(len(columns), not is_true))

    return ask


def _number(value: _Value) -> _Number:
    if value.number is not None:
        return value.number
    if value.constant is None:
        raise _Unknown
    constant = Numbers(np.array(value.constant), np.array(True))
    return lambda _columns: constant


def _compare(sign: str, left: _Value, right: _Value) -> Question:
    if sign == "in":
        return _in_items(left, right)
    if left.field is not None and right.text is not None and sign in {"==", "!="}:
        return _equal_text(left.field, right.text, sign)
    if left.text is not None and right.field is not None and sign in {"==", "!="}:
        return _equal_text(right.field, left.text, sign)
    if left.constant is not None and right.constant is not None:
        raise _Unknown
    a, b = _number(left), _number(right)
    return _equal(a, b, sign) if sign in {"==", "!="} else _ordered(a, b, sign)


def _equal(left: _Number, right: _Number, sign: str) -> Question:
    def ask(columns: Columns, _lists: Lists) -> Truth:
        a, b = left(columns), right(columns)
        known, is_equal = a.is_known & b.is_known, a.values == b.values
        truth = Truth(known & is_equal, known & ~is_equal)
        return truth if sign == "==" else Truth(truth.is_false, truth.is_true)

    return ask


def _ordered(left: _Number, right: _Number, sign: str) -> Question:
    """Compare by size; what no number is (0.0 / 0.0) has no order, as in CEL."""
    compare = _ORDER[sign]

    def ask(columns: Columns, _lists: Lists) -> Truth:
        a, b = left(columns), right(columns)
        known = a.is_known & b.is_known & ~np.isnan(a.values) & ~np.isnan(b.values)
        holds = compare(a.values, b.values)
        return Truth(known & holds, known & ~holds)

    return ask


def _calculate(sign: str, left: _Value, right: _Value) -> _Value:
    if left.is_int or right.is_int:
        raise _Unknown
    calculate = _ARITHMETIC[sign]
    if left.constant is not None and right.constant is not None:
        with np.errstate(all="ignore"):
            return _Value(constant=float(calculate(np.float64(left.constant), np.float64(right.constant))))
    a, b = _number(left), _number(right)

    def ask(columns: Columns) -> Numbers:
        x, y = a(columns), b(columns)
        with np.errstate(all="ignore"):
            return Numbers(calculate(x.values, y.values), x.is_known & y.is_known)

    return _Value(number=ask)


def _negative(value: _Value) -> _Value:
    if value.constant is not None:
        return _Value(constant=-value.constant, is_int=value.is_int)
    of = _number(value)

    def ask(columns: Columns) -> Numbers:
        found = of(columns)
        return Numbers(-found.values, found.is_known)

    return _Value(number=ask)


def _in_items(left: _Value, right: _Value) -> Question:
    if right.items is None:
        raise _Unknown
    if left.field is not None:
        texts = frozenset(item for item in right.items if isinstance(item, str))
        return _tested(left.field, texts.__contains__)
    of = _number(left)
    items = np.array([item for item in right.items if isinstance(item, float)])

    def ask(columns: Columns, _lists: Lists) -> Truth:
        found = of(columns)
        is_in = np.isin(found.values, items)
        return Truth(found.is_known & is_in, found.is_known & ~is_in)

    return ask


def _equal_text(field: str, text: str, sign: str) -> Question:
    is_equal = _tested(field, text.__eq__)
    return is_equal if sign == "==" else _not(is_equal)


def _listed(field: str, name: str) -> Question:
    def ask(columns: Columns, lists: Lists) -> Truth:
        found = lists.get(name)
        if found is None:
            nowhere = np.zeros(len(columns), np.bool_)
            return Truth(nowhere, nowhere)
        if isinstance(found, PastList):
            codes, texts = columns.text(field)
            holds = found.hold(codes, texts)
            return Truth(holds, (codes >= 0) & ~holds)
        if isinstance(found, LiveList):
            codes, texts = columns.text(field)
            return _spread(codes, np.array(found.hold(texts), np.bool_))
        return _test(columns, field, found.__contains__)

    return ask


def _tested(field: str, test: _Test) -> Question:
    def ask(columns: Columns, _lists: Lists) -> Truth:
        return _test(columns, field, test)

    return ask


def _test(columns: Columns, field: str, test: _Test) -> Truth:
    """Test each distinct text once."""
    codes, texts = columns.text(field)
    return _spread(codes, np.fromiter(map(test, texts), np.bool_, len(texts)))


def _spread(codes: NDArray[np.int32], holds: Bools) -> Truth:
    """Give each transaction the answer of its text."""
    if not len(holds):
        nowhere = np.zeros(len(codes), np.bool_)
        return Truth(nowhere, nowhere)
    known, found = codes >= 0, holds[codes]
    return Truth(known & found, known & ~found)


def _bind(test: Callable[[str, str], bool], part: str) -> _Test:
    return lambda text: test(text, part)
