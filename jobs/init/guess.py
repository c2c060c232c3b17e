"""What a table's columns are: every guess with its reason, and a question where there are several answers.

A question names the flags that settle it; a guess that is not sure is never taken in silence.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from fraud.schema.expressions import BadExpression, Call, Constant, column_text, columns_of, parse_expression
from fraud.schema.fields import FieldType
from fraud.schema.source import Reading
from fraud.settings.names import suggest
from fraud.tables.evaluate import evaluate
from fraud.tables.values import Form
from jobs.init import names
from jobs.init.names import Role
from jobs.init.sample import TableColumn, TableSample

CORE = ("transaction_id", "event_time", "amount", "user_id", "is_fraud")
"""What is asked about where it is not found, in this order."""

_RESULTS = {
    **dict.fromkeys(("number", "abs", "*", "/"), FieldType.NUMBER),
    **dict.fromkeys(("time", "steps"), FieldType.TIME),
}
"""What functions make; the others make texts."""


@dataclass(frozen=True, slots=True)
class ColumnGuess:
    """One column of the schema, and the expression over the table's columns that gives it."""

    our: str
    text: str
    """Expression over the table's columns."""
    why: str
    type: FieldType | None = None
    """Of its field; None: it is of the core, or no field."""


@dataclass(frozen=True, slots=True)
class Question:
    """What cannot be told from the table alone."""

    our: str
    words: str
    choices: tuple[tuple[str, str], ...]
    """Flags that settle it, each with what it means."""


@dataclass
class Guess:
    """What a table's columns are.

    Parameters
    ----------
    look
        The table.
    given
        What a person has said: our name, and the column or expression.
    """

    look: TableSample
    given: Mapping[str, str]
    found: dict[str, ColumnGuess] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Column, and why it is not read."""
    asked: set[str] = field(default_factory=set)
    """Columns that a question is about."""

    @property
    def reading(self) -> Reading:
        """How texts are read."""
        return self.look.reading

    @property
    def taken(self) -> set[str]:
        """The table's columns that are read so far, or that are left out."""
        read = (name for one in self.found.values() for name in columns_of(parse_expression(one.text)))
        return {*read, *self.left_out, *self.asked}

    @property
    def free(self) -> dict[str, TableColumn]:
        """Columns that have no role yet."""
        taken = self.taken
        return {name: seen for name, seen in self.look.columns.items() if name not in taken}

    def take(self, our: str, text: str, why: str, kind: FieldType | None = None) -> None:
        """Give one of our columns what it is made of."""
        self.found[our] = ColumnGuess(our, text, why, kind)

    def ask(
        self, our: str, words: str, choices: Sequence[tuple[str, str]], about: Sequence[TableColumn] = ()
    ) -> None:
        """Leave it to a person; the columns that it is about get no other role."""
        self.asked |= {seen.name for seen in about}
        self.questions.append(Question(our, words, tuple(choices)))

    def ranked(self, role: Role, least: float = 1.0) -> list[TableColumn]:
        """List the free columns whose names fit a role, the best first; of equal ones the first."""
        scores = {name: role.score(name) for name in self.free}
        kept = [name for name, score in scores.items() if score >= least]
        return [self.free[name] for name in sorted(kept, key=lambda name: -scores[name])]

    def best(self, role: Role, seen: Sequence[TableColumn]) -> list[TableColumn]:
        """Keep those whose names fit a role as well as the first one's."""
        return [one for one in seen if role.score(one.name) == role.score(seen[0].name)] if seen else []

    def is_said(self, our: str) -> bool:
        """Take what a person has said of one of our columns; False: nothing.

        Names and expressions are checked by the command before.
        """
        if our not in self.given:
            return False
        text = self.given[our]
        if text != "null":
            self.take(our, text, "as --column says", _type_of(self.look, our, text))
        return True


def values_of(guess: Guess, our: str) -> pa.Array | None:
    """Compute one of our columns over the sample; None: it is not known yet, or a value cannot be read."""
    if our not in guess.found:
        return None
    columns = {name: seen.values for name, seen in guess.look.columns.items()}
    try:
        return evaluate(parse_expression(guess.found[our].text), pa.record_batch(columns), 0)
    except (ValueError, NotImplementedError):
        return None


def read_given(look: TableSample, given: Mapping[str, str]) -> dict[str, str]:
    """Write what ``--column`` says as expressions: a column's whole name in the language's quotes.

    Raises
    ------
    BadExpression
        When it is neither a column nor an expression over columns of the table; names the flag.
    """
    found = {}
    for our, text in given.items():
        if text in look.columns:
            found[our] = column_text(text)
            continue
        try:
            absent = [name for name in columns_of(parse_expression(text)) if name not in look.columns]
        except BadExpression as error:
            raise BadExpression(f"--column {our}={text}: {error}") from error
        if absent:
            named = [repr(name) if not name.strip() else name for name in look.columns]
            raise BadExpression(
                f"--column {our}={text}: {look.path} has no column {', '.join(absent)}; "
                f"{suggest(absent[0], named)}"
            )
        found[our] = text
    return found


def flag(our: str, text: str) -> str:
    """Write the flag that says what a column is made of, ready for a shell.

    Examples
    --------
    >>> flag("user_id", "cc_num"), flag("amount", "abs(number(amt))")
    ('--column user_id=cc_num', '--column "amount=abs(number(amt))"')
    """
    pair = f"{our}={text}"
    is_plain = all(letter.isalnum() or letter in "=_.-" for letter in pair)
    return f"--column {pair}" if is_plain else '--column "' + pair.replace('"', '\\"') + '"'


def options(our: str, seen: Sequence[TableColumn]) -> Iterator[tuple[str, str]]:
    """Offer several columns for one of ours."""
    for one in seen:
        yield flag(our, column_text(one.name)), ", ".join(one.words[:4])


def number_text(seen: TableColumn, form: Form) -> str:
    """Write the expression of a number, with its form where it is not the usual one."""
    return (
        f"number({column_text(seen.name)})"
        if form is Form.PLAIN
        else f"number({column_text(seen.name)}, '{form}')"
    )


def time_text(inner: str, form: Form, reading: Reading) -> str:
    """Write the expression of a time, with its form and zone where they are not the usual ones."""
    if reading.zone:
        return f"time({inner}, '{form}', '{reading.zone}')"
    return f"time({inner})" if form is Form.ISO else f"time({inner}, '{form}')"


def unzoned(reading: Reading) -> str:
    """Say in which zone times are read that name none."""
    return f"in {reading.zone}" if reading.zone else "no time zone is named: UTC (--read zone=... changes it)"


def _type_of(look: TableSample, our: str, text: str) -> FieldType | None:
    """Tell the type of a field that a person has named; None: it is of the core."""
    if our in {"transaction_id", "event_time", "amount", "currency", "is_fraud", "label_time"}:
        return None
    if our.endswith(("latitude", "longitude")):
        return FieldType.PLACE
    if our.endswith("_id"):
        return FieldType.KEY
    expression = parse_expression(text)
    if isinstance(expression, Call):
        return _type_made(expression)
    return (
        FieldType.CATEGORY if isinstance(expression, Constant) else _type_held(look.columns[expression.name])
    )


def _type_made(call: Call) -> FieldType:
    meanings = [meaning for _, meaning in call.cases if meaning is not None]
    if meanings and all(isinstance(meaning, bool) for meaning in meanings):
        return FieldType.FLAG
    return _RESULTS.get(call.function, FieldType.CATEGORY)


def _type_held(seen: TableColumn) -> FieldType:
    if names.CODES & set(names.words(seen.name)):
        return FieldType.CATEGORY
    if seen.number_form is not None:
        return FieldType.NUMBER
    return FieldType.TIME if seen.time_forms else FieldType.CATEGORY
