"""Expressions of rules over the columns of many transactions, in place of CEL row by row.

``vectorise`` reads a CEL expression and makes a question to columns (``fraud.decide.questions``). It knows
comparisons, arithmetic of doubles, ``&& || !``, ``in``, ``in_list``, ``has_tag`` and the tests of a text's
parts; for anything else it answers None, and CEL evaluates the rule row by row. A test compares the two on
random expressions and values.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from fraud.decide.questions import (
    Question,
    Unvectorisable,
    Value,
    bind,
    both,
    calculated,
    compared,
    constantly,
    either,
    is_listed,
    negated,
    negative,
    tested,
    truth_of,
)
from fraud.decide.values import Vocabulary, vocabulary_of
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.schema.tokens import TokenReader

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<number>(?:\d+\.\d+|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+)(?![\w.])
    |(?P<text>'[^'\\\n]*'|"[^"\\\n]*")(?!['"])
    |(?P<sign>in(?![\w'"])|&&|\|\||[<>=!]=|[-<>!+*/(),.\[\]])
    |(?P<name>[A-Za-z_]\w*)(?!['"]))""",
    re.VERBOSE,
)
_PARTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
}
_MOST_INT: Final = 2**53


def vectorise(expression: str, schema: Schema | None = None) -> Question | None:
    """Make a question to columns of a CEL expression that compiles; None where CEL has to answer.

    Parameters
    ----------
    expression
        In CEL.
    schema
        Whose fields and features it reads; by default the deployment's.

    Examples
    --------
    >>> vectorise("amount > 10.0 && category in ['grocery']") is None
    False
    >>> vectorise("user_id.matches('^test-')") is None
    True
    """
    try:
        parser = _Parser(expression, vocabulary_of(schema or deployed_schema()))
        found = truth_of(parser.any_of())
    except (Unvectorisable, RecursionError):
        return None
    return found if parser.is_done else None


class _Parser(TokenReader):
    """Reads an expression by CEL's precedence, lowest first."""

    def __init__(self, expression: str, known: Vocabulary) -> None:
        self._known = known
        super().__init__(expression, _TOKEN, Unvectorisable, "expression")

    @property
    def is_done(self) -> bool:
        return self._tokens[self._at][0] == "end"

    def _one_of(self, *signs: str) -> str:
        """Go past one of some signs, if it stands here."""
        return next((sign for sign in signs if self._take(sign)), "")

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise Unvectorisable

    def any_of(self) -> Value:
        left = self._all_of()
        while self._take("||"):
            left = Value(truth=either(truth_of(left), truth_of(self._all_of())))
        return left

    def _all_of(self) -> Value:
        left = self._relation()
        while self._take("&&"):
            left = Value(truth=both(truth_of(left), truth_of(self._relation())))
        return left

    def _relation(self) -> Value:
        left = self._sum()
        while sign := self._one_of("<=", ">=", "==", "!=", "<", ">", "in"):
            left = Value(truth=compared(sign, left, self._sum()))
        return left

    def _sum(self) -> Value:
        left = self._product()
        while sign := self._one_of("+", "-"):
            left = calculated(sign, left, self._product())
        return left

    def _product(self) -> Value:
        left = self._unary()
        while sign := self._one_of("*", "/"):
            left = calculated(sign, left, self._unary())
        return left

    def _unary(self) -> Value:
        if self._take("!"):
            return Value(truth=negated(truth_of(self._unary())))
        if self._take("-"):
            return negative(self._unary())
        return self._member(self._primary())

    def _member(self, value: Value) -> Value:
        while self._take("."):
            kind, name, _ = self._next()
            self._need("(")
            part = self._primary()
            self._need(")")
            if kind != "name" or name not in _PARTS or value.field is None or part.text is None:
                raise Unvectorisable
            value = Value(truth=tested(value.field, bind(_PARTS[name], part.text)))
        if self._take("["):
            raise Unvectorisable
        return value

    def _primary(self) -> Value:
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
                raise Unvectorisable
            return Value(constant=float(word), is_int=is_int)
        if kind == "text":
            return Value(text=word[1:-1])
        if kind == "name":
            return self._named(word)
        raise Unvectorisable

    def _named(self, name: str) -> Value:
        if name == "in_list":
            self._need("(")
            field = self._primary().field
            self._need(",")
            wanted = self._primary().text
            self._need(")")
            if field is None or wanted is None:
                raise Unvectorisable
            return Value(truth=is_listed(field, wanted))
        if name == "has_tag":
            self._need("(")
            tag = self._primary().text
            self._need(")")
            if tag is None:
                raise Unvectorisable
            return Value(truth=lambda columns, _lists: columns.tagged(tag))
        if name in {"true", "false"}:
            return Value(truth=constantly(is_true=name == "true"))
        if name in self._known.texts:
            return Value(field=name)
        if name in self._known.flags:
            return Value(truth=lambda columns, _lists: columns.flag(name))
        if name in self._known.numbers:
            return Value(number=lambda columns: columns.number(name))
        raise Unvectorisable

    def _list(self) -> Value:
        items: list[Any] = []
        while not self._take("]"):
            if items:
                self._need(",")
            sign = -1.0 if self._take("-") else 1.0
            value = self._primary()
            if value.constant is None and (value.text is None or sign < 0.0):
                raise Unvectorisable
            items.append(value.text if value.constant is None else sign * value.constant)
        return Value(items=tuple(items))
