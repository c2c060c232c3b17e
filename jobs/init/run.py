"""From a table to a schema: look, guess, and check the whole table through what is written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fraud.errors import BadInput
from fraud.schema.arrow import TIME
from fraud.schema.expressions import BadExpression
from fraud.schema.reading import parse_schema
from fraud.schema.schema import Schema
from fraud.tables import open_source
from jobs.init import names
from jobs.init.fields import check_label_time, find_label_time, find_named, find_others, find_places
from jobs.init.guess import Guess, Question, read_given
from jobs.init.moments import find_time
from jobs.init.roles import find_amount, find_identity, find_key, find_label, find_primary
from jobs.init.sample import TableSample
from jobs.init.write import schema_text

Tell = Callable[[str], None]
WITHIN = {"is_fraud": pa.bool_(), "label_time": TIME}
"""Columns of a table that are not fields of a transaction."""


class UnansweredQuestions(BadInput):
    """The table leaves questions open. The message names the options that answer them."""


@dataclass(frozen=True)
class Checked:
    """A whole table, read through a schema."""

    table: pa.Table
    schema: Schema
    text: str
    """The schema's file."""

    @property
    def period(self) -> tuple[datetime, datetime]:
        """Times of the first and the last transaction."""
        found = pc.min_max(self.table["event_time"]).as_py()
        return found["min"], found["max"]

    @property
    def frauds(self) -> int:
        """How many rows are labelled fraud."""
        return self._count(True)

    @property
    def honest(self) -> int:
        """How many rows are labelled honest."""
        return self._count(False)

    def _count(self, value: bool) -> int:
        if "is_fraud" not in self.table.column_names:
            return 0
        return int(pc.sum(pc.equal(self.table["is_fraud"], value)).as_py() or 0)


def guess_all(found: TableSample, given: Mapping[str, str]) -> Guess:
    """Guess what the columns are; what a person has said goes before.

    Raises
    ------
    BadInput
        When what was said names no column and is no expression.
    """
    try:
        guess = Guess(found, read_given(found, given))
    except BadExpression as error:
        raise BadInput(str(error)) from error
    find_label(guess)
    find_label_time(guess)
    find_time(guess)
    check_label_time(guess)
    find_identity(guess)
    find_primary(guess)
    find_key(guess, "merchant_id", names.MERCHANT)
    find_amount(guess)
    find_places(guess)
    for our, role in (("device_id", names.DEVICE), ("ip", names.IP), ("email", names.EMAIL)):
        find_key(guess, our, role)
    find_named(guess)
    find_others(guess)
    return guess


def refuse(questions: list[Question], path: str) -> UnansweredQuestions:
    """Make the error that names every question and the flags that settle it."""
    lines = [f"{path}: {len(questions)} question(s) must be answered before a schema can be written:"]
    for one in questions:
        lines.append(f"  {one.our}: {one.words}")
        lines += [f"    {flags}    ({meaning})" for flags, meaning in one.choices]
    return UnansweredQuestions("\n".join(lines))


def check_whole(guess: Guess, tell: Tell) -> Checked:
    """Read the whole table through the schema that would be written, as every later command will.

    Raises
    ------
    BadInput
        When a value of the whole table does not fit its sample; names column, value and flag.
    """
    text = schema_text(guess, Path(guess.look.path).name)
    schema = parse_schema(text.encode(), "the schema")
    source = open_source("transactions", guess.look.path, schema=schema, also=WITHIN, tell=tell)
    return Checked(source.table(tell), schema, text)
