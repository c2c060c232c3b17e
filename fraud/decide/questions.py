"""The parts of a rule's expression as functions over the columns of many transactions.

The answers are CEL's, with its unknown: a comparison with a value that is missing is neither true nor false.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fraud.decide.columns import Bools, Columns, Numbers, ThreeValued
from fraud.decide.lists import LiveList
from fraud.decide.past_lists import PastList
from fraud.decide.values import Lists

Question = Callable[[Columns, Lists], ThreeValued]
_Number = Callable[[Columns], Numbers]
_Test = Callable[[str], bool]


class Unvectorisable(ValueError):
    """An expression that goes row by row."""


@dataclass(frozen=True, slots=True)
class Value:
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


_ORDER: Final[Mapping[str, Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_ARITHMETIC: Final[Mapping[str, Any]] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}


def truth_of(value: Value) -> Question:
    """Take what is true or false; refuse anything else."""
    if value.truth is None:
        raise Unvectorisable
    return value.truth


def either(left: Question, right: Question) -> Question:
    """``||``: true where one of the two is, even if the other is unknown."""

    def ask(columns: Columns, lists: Lists) -> ThreeValued:
        a, b = left(columns, lists), right(columns, lists)
        return ThreeValued(a.is_true | b.is_true, a.is_false & b.is_false)

    return ask


def both(left: Question, right: Question) -> Question:
    """``&&``: false where one of the two is, even if the other is unknown."""

    def ask(columns: Columns, lists: Lists) -> ThreeValued:
        a, b = left(columns, lists), right(columns, lists)
        return ThreeValued(a.is_true & b.is_true, a.is_false | b.is_false)

    return ask


def negated(of: Question) -> Question:
    """``!``: unknown stays unknown."""

    def ask(columns: Columns, lists: Lists) -> ThreeValued:
        a = of(columns, lists)
        return ThreeValued(a.is_false, a.is_true)

    return ask


def constantly(*, is_true: bool) -> Question:
    """Answer ``true`` or ``false`` for each."""

    def ask(columns: Columns, _lists: Lists) -> ThreeValued:
        return ThreeValued(np.full(len(columns), is_true), np.full(len(columns), not is_true))

    return ask


def _number(value: Value) -> _Number:
    if value.number is not None:
        return value.number
    if value.constant is None:
        raise Unvectorisable
    constant = Numbers(np.array(value.constant), np.array(True))
    return lambda _columns: constant


def compared(sign: str, left: Value, right: Value) -> Question:
    """Compare two values by a sign, or look for one in a list."""
    if sign == "in":
        return _in_items(left, right)
    if left.field is not None and right.text is not None and sign in {"==", "!="}:
        return _equal_text(left.field, right.text, sign)
    if left.text is not None and right.field is not None and sign in {"==", "!="}:
        return _equal_text(right.field, left.text, sign)
    if left.constant is not None and right.constant is not None:
        raise Unvectorisable
    a, b = _number(left), _number(right)
    return _equal(a, b, sign) if sign in {"==", "!="} else _ordered(a, b, sign)


def _equal(left: _Number, right: _Number, sign: str) -> Question:
    def ask(columns: Columns, _lists: Lists) -> ThreeValued:
        a, b = left(columns), right(columns)
        known, is_equal = a.is_known & b.is_known, a.values == b.values
        truth = ThreeValued(known & is_equal, known & ~is_equal)
        return truth if sign == "==" else ThreeValued(truth.is_false, truth.is_true)

    return ask


def _ordered(left: _Number, right: _Number, sign: str) -> Question:
    """Compare by size; what no number is (0.0 / 0.0) has no order, as in CEL."""
    compare = _ORDER[sign]

    def ask(columns: Columns, _lists: Lists) -> ThreeValued:
        a, b = left(columns), right(columns)
        known = a.is_known & b.is_known & ~np.isnan(a.values) & ~np.isnan(b.values)
        holds = compare(a.values, b.values)
        return ThreeValued(known & holds, known & ~holds)

    return ask


def calculated(sign: str, left: Value, right: Value) -> Value:
    """Calculate with doubles, as CEL does; two constants at once."""
    if left.is_int or right.is_int:
        raise Unvectorisable
    calculate = _ARITHMETIC[sign]
    if left.constant is not None and right.constant is not None:
        with np.errstate(all="ignore"):
            return Value(constant=float(calculate(np.float64(left.constant), np.float64(right.constant))))
    a, b = _number(left), _number(right)

    def ask(columns: Columns) -> Numbers:
        x, y = a(columns), b(columns)
        with np.errstate(all="ignore"):
            return Numbers(calculate(x.values, y.values), x.is_known & y.is_known)

    return Value(number=ask)


def negative(value: Value) -> Value:
    """``-`` before a number."""
    if value.constant is not None:
        return Value(constant=-value.constant, is_int=value.is_int)
    of = _number(value)

    def ask(columns: Columns) -> Numbers:
        found = of(columns)
        return Numbers(-found.values, found.is_known)

    return Value(number=ask)


def _in_items(left: Value, right: Value) -> Question:
    if right.items is None:
        raise Unvectorisable
    if left.field is not None:
        texts = frozenset(item for item in right.items if isinstance(item, str))
        return tested(left.field, texts.__contains__)
    of = _number(left)
    items = np.array([item for item in right.items if isinstance(item, float)])

    def ask(columns: Columns, _lists: Lists) -> ThreeValued:
        found = of(columns)
        is_in = np.isin(found.values, items)
        return ThreeValued(found.is_known & is_in, found.is_known & ~is_in)

    return ask


def _equal_text(field: str, text: str, sign: str) -> Question:
    is_equal = tested(field, text.__eq__)
    return is_equal if sign == "==" else negated(is_equal)


def is_listed(field: str, name: str) -> Question:
    """``in_list``: whether a text is in a list of the rules' file, or in one that changes meanwhile."""

    def ask(columns: Columns, lists: Lists) -> ThreeValued:
        found = lists.get(name)
        if found is None:
            nowhere = np.zeros(len(columns), np.bool_)
            return ThreeValued(nowhere, nowhere)
        if isinstance(found, PastList):
            codes, texts = columns.text(field)
            holds = found.hold(codes, texts)
            return ThreeValued(holds, (codes >= 0) & ~holds)
        if isinstance(found, LiveList):
            codes, texts = columns.text(field)
            return _spread(codes, np.array(found.hold(texts), np.bool_))
        return _test(columns, field, found.__contains__)

    return ask


def tested(field: str, test: _Test) -> Question:
    """Test a text, each distinct one once."""

    def ask(columns: Columns, _lists: Lists) -> ThreeValued:
        return _test(columns, field, test)

    return ask


def _test(columns: Columns, field: str, test: _Test) -> ThreeValued:
    """Test each distinct text once."""
    codes, texts = columns.text(field)
    return _spread(codes, np.fromiter(map(test, texts), np.bool_, len(texts)))


def _spread(codes: NDArray[np.int32], holds: Bools) -> ThreeValued:
    """Give each transaction the answer of its text."""
    if not len(holds):
        nowhere = np.zeros(len(codes), np.bool_)
        return ThreeValued(nowhere, nowhere)
    known, found = codes >= 0, holds[codes]
    return ThreeValued(known & found, known & ~found)


def bind(test: Callable[[str, str], bool], part: str) -> _Test:
    """Make the test for one part of a text."""
    return lambda text: test(text, part)
