"""Filters: conditions over a record's own fields, in a part of the rules' language (CEL).

::

    channel == 'online'
    amount >= 500 && !(country in ['DE', 'AT'])
    is_card_present == false || !has(device_id)

A comparison with a missing value is unknown, and three-valued logic decides what that means, as in the
rules; a filter holds only where its condition is true. The same tree is evaluated on one record and on a
table's columns.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.schema.fields import NAMED, Field, FieldType
from fraud.schema.results import REASON, RESULT
from fraud.schema.sides import IN, OUT, SIDE
from fraud.schema.tokens import TokenReader
from fraud.settings.names import suggest

LONGEST: Final = 1_000
"""Most characters of a condition."""
_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<text>'[^'\\]*'|"[^"\\]*")
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>==|!=|<=|>=|<|>|&&|\|\||!|\(|\)|\[|\]|,)
    )""",
    re.VERBOSE,
)
_ORDERS: Final[dict[str, tuple[Callable[[Any, Any], bool], str]]] = {
    "==": (operator.eq, "equal"),
    "!=": (operator.ne, "not_equal"),
    "<": (operator.lt, "less"),
    "<=": (operator.le, "less_equal"),
    ">": (operator.gt, "greater"),
    ">=": (operator.ge, "greater_equal"),
}
_COMPARED: Final = {*NAMED, FieldType.NUMBER, FieldType.FLAG}
Value = str | float | bool


class BadCondition(ValueError):
    """A condition that cannot be read; says what and where."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field against a value."""

    field: str
    sign: str
    value: Value

    def of(self, values: Mapping[str, Any]) -> bool | None:
        """Evaluate on one record; None: unknown."""
        found = values.get(self.field)
        return None if found is None else _ORDERS[self.sign][0](found, self.value)

    def over(self, table: pa.Table) -> Any:
        """Evaluate on a table's columns, [rows]; null: unknown."""
        if self.field not in table.column_names:
            return pa.nulls(table.num_rows, pa.bool_())
        column = _plain(table[self.field])
        found = getattr(pc, _ORDERS[self.sign][1])(column, pa.scalar(self.value, column.type))
        # Arrow calls NaN unequal to everything; here it is a missing number.
        return pc.if_else(pc.is_nan(column), None, found) if pa.types.is_floating(column.type) else found


@dataclass(frozen=True, slots=True)
class IsOneOf:
    """Whether a field has one of the listed values."""

    field: str
    values: tuple[Value, ...]

    def of(self, values: Mapping[str, Any]) -> bool | None:
        """Evaluate on one record; None: unknown."""
        found = values.get(self.field)
        return None if found is None else found in self.values

    def over(self, table: pa.Table) -> Any:
        """Evaluate on a table's columns, [rows]; null: unknown."""
        found = [Comparison(self.field, "==", value).over(table) for value in self.values]
        return reduce(pc.or_kleene, found)


@dataclass(frozen=True, slots=True)
class HasValue:
    """Whether a field has a value."""

    field: str

    def of(self, values: Mapping[str, Any]) -> bool | None:
        """Evaluate on one record."""
        return values.get(self.field) is not None

    def over(self, table: pa.Table) -> Any:
        """Evaluate on a table's columns, [rows]."""
        if self.field not in table.column_names:
            return pa.array(np.zeros(table.num_rows, np.bool_))
        return pc.invert(pc.is_null(table[self.field], nan_is_null=True))


@dataclass(frozen=True, slots=True)
class Not:
    """The negation of a condition; unknown stays unknown."""

    term: "Condition"

    def of(self, values: Mapping[str, Any]) -> bool | None:
        """Evaluate on one record; None: unknown."""
        found = self.term.of(values)
        return None if found is None else not found

    def over(self, table: pa.Table) -> Any:
        """Evaluate on a table's columns, [rows]; null: unknown."""
        return pc.invert(self.term.over(table))


@dataclass(frozen=True, slots=True)
class Joined:
    """Several conditions, all (``&&``) or one of them (``||``)."""

    sign: str
    terms: tuple["Condition", ...]

    def of(self, values: Mapping[str, Any]) -> bool | None:
        """Evaluate on one record; None: unknown."""
        decisive = self.sign == "||"
        found = [term.of(values) for term in self.terms]
        if decisive in found:
            return decisive
        return None if None in found else not decisive

    def over(self, table: pa.Table) -> Any:
        """Evaluate on a table's columns, [rows]; null: unknown."""
        join = pc.or_kleene if self.sign == "||" else pc.and_kleene
        return reduce(join, [term.over(table) for term in self.terms])


Condition = Comparison | IsOneOf | HasValue | Not | Joined


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition with a name, which features are called by."""

    name: str
    text: str
    condition: Condition
    results: tuple[str, ...] = ()
    """Results that decide it, the last one that came; empty: it reads the record itself."""
    side: str = ""
    """The side from which the record is seen; empty: it does not matter."""

    @property
    def is_declared(self) -> bool:
        """Whether the schema names it; a filter that reads the side stands a second time for the side in."""
        return self.side != IN

    def on_each_side(self) -> tuple["Filter", ...]:
        """Make one filter for each side, where the condition reads the side.

        Examples
        --------
        >>> received = Filter("received", "side == 'in'", Comparison("side", "==", "in"))
        >>> [(one.name, one.holds({})) for one in received.on_each_side()]
        [('received', False), ('received:in', True)]
        """
        if SIDE not in values_of(self.condition):
            return (self,)
        return replace(self, side=OUT), replace(self, name=f"{self.name}:{IN}", side=IN)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is true of one record.

        Examples
        --------
        >>> online = Filter("online", "...", Comparison("channel", "==", "online"))
        >>> online.holds({"channel": "online"}), online.holds({"channel": None})
        (True, False)
        """
        return self.condition.of({**values, SIDE: self.side} if self.side else values) is True

    def holds_after(self, result: str, reason_code: str | None) -> bool | None:
        """Whether it holds of a transaction after a result; None: the result leaves it as it is.

        Examples
        --------
        >>> group = ("authorised", "declined")
        >>> declined = Filter("declined", "...", Comparison("result", "==", "declined"), group)
        >>> [declined.holds_after(word, None) for word in (*group, "reversed")]
        [False, True, None]
        """
        if result not in self.results:
            return None
        return self.holds({RESULT: result, REASON: reason_code})

    def rows(self, table: pa.Table) -> NDArray[np.bool_]:
        """Find the rows of a table where it is true, [rows]."""
        if self.side:
            table = table.append_column(SIDE, pa.repeat(pa.scalar(self.side), table.num_rows))
        found = pc.fill_null(self.condition.over(table), False)
        if isinstance(found, pa.ChunkedArray):
            found = found.combine_chunks()
        return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def values_of(condition: Condition) -> dict[str, set[Value]]:
    """List the fields that a condition reads, each with the values that it compares it with."""
    found: dict[str, set[Value]] = {}
    terms: list[Condition] = [condition]
    while terms:
        term = terms.pop()
        if isinstance(term, Joined):
            terms += term.terms
        elif isinstance(term, Not):
            terms.append(term.term)
        else:
            values = {term.value} if isinstance(term, Comparison) else set(getattr(term, "values", ()))
            found.setdefault(term.field, set()).update(values)
    return found


def parse_condition(text: str, fields: Mapping[str, Field]) -> Condition:
    """Read a condition.

    Parameters
    ----------
    text
        As in the module's words.
    fields
        Those that it may read, by name.

    Raises
    ------
    BadCondition
        Says what is wrong, at which character, and what may stand there.

    Examples
    --------
    >>> country = Field("country", FieldType.CATEGORY)
    >>> parse_condition("country == 'DE'", {"country": country})
    Comparison(field='country', sign='==', value='DE')
    """
    if len(text) > LONGEST:
        raise BadCondition(f"{len(text):,} characters; a condition has at most {LONGEST:,}")
    reader = _Reader(text, fields)
    found = reader.either()
    reader.end()
    return found


class _Reader(TokenReader):
    """Reads by recursive descent: either ``||``, both ``&&``, one."""

    def __init__(self, text: str, fields: Mapping[str, Field]) -> None:
        super().__init__(text, _TOKEN, BadCondition, "condition")
        self._fields = fields

    def either(self) -> Condition:
        """Read terms joined by ``||``."""
        return self._joined("||", lambda: self._joined("&&", self._one))

    def end(self) -> None:
        """Make sure that nothing follows."""
        kind, text, at = self._tokens[self._at]
        if kind != "end":
            raise BadCondition(f"{text!r} at character {at + 1}: write && or || before it")

    def _joined(self, sign: str, term: Callable[[], Condition]) -> Condition:
        terms = [term()]
        while self._take(sign):
            terms.append(term())
        return terms[0] if len(terms) == 1 else Joined(sign, tuple(terms))

    def _one(self) -> Condition:
        if self._take("!"):
            return Not(self._one())
        if self._take("("):
            found = self.either()
            self._expect(")")
            return found
        kind, text, at = self._next()
        if kind != "word":
            raise BadCondition(f"{text!r} at character {at + 1}: write a field's name here")
        if text == "has" and self._take("("):
            _, name, at = self._next()
            self._expect(")")
            return HasValue(self._field(name, at).name)
        return self._compared(self._field(text, at))

    def _compared(self, field: Field) -> Condition:
        _, sign, at = self._next()
        if sign == "in":
            self._expect("[")
            values = [self._value(field)]
            while self._take(","):
                values.append(self._value(field))
            self._expect("]")
            return IsOneOf(field.name, tuple(values))
        if sign not in _ORDERS:
            raise BadCondition(f"after {field.name} at character {at + 1}: write ==, !=, <, <=, >, >= or in")
        if sign not in {"==", "!="} and field.type is not FieldType.NUMBER:
            raise BadCondition(f"{field.name} is a {field.type}: compare it with == or !=, not {sign}")
        return Comparison(field.name, sign, self._value(field))

    def _value(self, field: Field) -> Value:
        kind, text, at = self._next()
        is_flag = kind == "word" and text in {"true", "false"}
        wanted = "number" if field.type is FieldType.NUMBER else "text"
        if field.type is FieldType.FLAG:
            wanted = "flag"
        if wanted != ("flag" if is_flag else kind):
            words = {"number": "a number", "text": "a text in quotes", "flag": "true or false"}[wanted]
            raise BadCondition(
                f"{text!r} at character {at + 1}: {field.name} is a {field.type}: write {words}"
            )
        if wanted == "flag":
            return text == "true"
        return float(text) if wanted == "number" else text[1:-1]

    def _field(self, name: str, at: int) -> Field:
        field = self._fields.get(name)
        if field is None:
            known = [one.name for one in self._fields.values() if one.type in _COMPARED]
            raise BadCondition(f"no field {name!r} (character {at + 1}); {suggest(name, known)}")
        if field.type not in _COMPARED:
            raise BadCondition(f"{name} is a {field.type}, which a filter cannot compare")
        return field

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            _, text, at = self._tokens[self._at]
            raise BadCondition(f"{text or 'the end'} at character {at + 1}: write {sign} here")


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Make text of a dictionary's codes, and one type of all numbers."""
    if pa.types.is_dictionary(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.string())
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column.cast(pa.float64())
    return column
