"""Our columns, from the contracts of a schema, and what a table's columns are read as."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

from fraud.contracts import Contracts, contracts_of
from fraud.contracts.wire import Record
from fraud.errors import BadInput
from fraud.schema.arrow import MONEY, TIME
from fraud.schema.expressions import (
    BadExpression,
    Column,
    Expression,
    columns_of,
    parse_expression,
)
from fraud.schema.schema import Schema
from fraud.schema.source import TableSource
from fraud.settings.names import suggest

_TYPES: Final = {"string": pa.string(), "number": pa.float64(), "boolean": pa.bool_(), "date-time": TIME}
Rules = Mapping[str, Mapping[str, Any]]


def rules_of(model: type[Record]) -> dict[str, dict[str, Any]]:
    """Read the rules of each field off a contract: JSON schema keywords by field.

    Examples
    --------
    >>> from fraud.schema.reading import default_schema
    >>> rules_of(contracts_of(default_schema()).transaction)["amount"]["maximum"]
    10000000.0
    """
    found = {}
    for name, schema in model.model_json_schema()["properties"].items():
        if name != "schema_version":
            options = schema.get("anyOf", [schema])
            found[name] = next(option for option in options if option["type"] != "null")
    return found


def _columns(rules: Rules) -> dict[str, pa.DataType]:
    return {name: _TYPES[rule.get("format", rule["type"])] for name, rule in rules.items()}


ARRIVAL: Final[Mapping[str, pa.DataType]] = {
    "generation": pa.int64(),
    "epoch": pa.int64(),
    "received_at": TIME,
    "source_partition": pa.int64(),
    "source_offset": pa.int64(),
    "arrival_time": TIME,
}
"""Columns that say in which order rows arrived, where a table has them."""
LOG: Final = frozenset({"generation", "epoch", "source_partition", "source_offset"})
"""Columns of the platform's own tables alone."""
_GUESSES: Final = (
    {"latitude": ("lat",), "longitude": ("lon", "lng", "long")},
    {"device_id": ("device",)},
)
"""What else tables call optional columns; columns of one entry are guessed together or not at all."""


@dataclass(frozen=True, eq=False)
class SchemaColumns:
    """The columns of one schema's tables.

    Parameters
    ----------
    schema
        Whose.
    contracts
        Its records.
    rules
        ``transactions``, ``labels`` and, where the schema takes any, ``results`` and ``profiles``: what each
        column's values must be.
    """

    schema: Schema
    contracts: Contracts
    rules: Mapping[str, Rules]
    transaction: Mapping[str, pa.DataType]
    label: Mapping[str, pa.DataType]
    result: Mapping[str, pa.DataType]
    profile: Mapping[str, pa.DataType]

    @property
    def all(self) -> dict[str, pa.DataType]:
        """Every column that is read."""
        return {**self.transaction, **self.label, **self.result, **self.profile, **ARRIVAL}

    def of(self, what: str) -> Mapping[str, pa.DataType]:
        """Columns of one table.

        Raises
        ------
        BadInput
            When the schema takes no results or profiles, and they are asked for.
        """
        if what == "results" and not self.result:
            raise BadInput(
                f"the schema {self.schema.name!r} takes no results; write which in its part `results`"
            )
        if what == "profiles" and not self.profile:
            raise BadInput(
                f"the schema {self.schema.name!r} takes no profiles; write which in its part `profiles`"
            )
        return {
            "transactions": self.transaction,
            "labels": self.label,
            "results": self.result,
            "profiles": self.profile,
        }[what]

    @property
    def pairs(self) -> tuple[tuple[str, ...], ...]:
        """Columns that are given together."""
        return self.contracts.transaction.places

    def required(self, what: str) -> tuple[str, ...]:
        """Columns that a table must have."""
        if what == "transactions":
            return tuple(name for field in self.schema.fields if field.required for name in field.names)
        of = self.contracts
        model = {"labels": of.label, "results": of.result, "profiles": of.profile}[what]
        return tuple(name for name in self.of(what) if model and model.model_fields[name].is_required())

    def check(self, names: Iterable[str]) -> None:
        """Refuse a mapping of columns that we do not have."""
        for name in names:
            if name not in self.all:
                raise BadInput(f"--column {name}=...: we read no column {name}; {suggest(name, self.all)}")


@lru_cache(maxsize=16)
def ours_of(schema: Schema) -> SchemaColumns:
    """Make the columns of a schema's tables."""
    contracts = contracts_of(schema)
    rules = {"transactions": rules_of(contracts.transaction), "labels": rules_of(contracts.label)}
    rules |= {"results": rules_of(contracts.result)} if contracts.result else {}
    rules |= {"profiles": rules_of(contracts.profile)} if contracts.profile else {}
    label, result, profile = (
        {name: kind for name, kind in _columns(rules.get(what, {})).items() if name != "source"}
        for what in ("labels", "results", "profiles")
    )
    money = MONEY if schema.money else {}  # as the platform's own tables record it
    transaction = {**_columns(rules["transactions"]), **money}
    return SchemaColumns(schema, contracts, rules, transaction, label, result, profile)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which of a table's columns are read as ours.

    Parameters
    ----------
    columns
        Our name: what it is made of.
    notes
        What is not plain, in words.
    """

    columns: dict[str, Expression]
    notes: list[str]


def plan_columns(
    header: Sequence[str],
    mapping: Mapping[str, str],
    wanted: Iterable[str],
    path: str,
    ours: SchemaColumns,
    *,
    tables: TableSource | None = None,
) -> Plan:
    """Choose for each of our columns what it is made of: ``--column``, the schema's source, our own names.

    ``tables`` is None where the source part does not speak of this table (:func:`fits`).
    """
    wanted, notes = list(wanted), list[str]()
    found: dict[str, Expression] = {our: Column(our) for our in wanted if our in header}
    if tables is not None:
        found |= {our: one for our, one in _there(tables.columns, header).items() if our in wanted}
    for our, text in mapping.items():
        if our in wanted and (one := read_mapping(text, header)) is not None:
            if found.get(our) == Column(our) != one:
                notes.append(f"{path}: {our} is read from {text}, as --column says, and not from {our}")
            found[our] = one
    if tables is None:
        notes += _guess_all(found, mapping, header, wanted, path)
    for pair in ours.pairs:
        there = [name for name in pair if name in found]
        if len(there) == 1:
            notes.append(f"{path}: {there[0]} is not used: there is no {(set(pair) - set(there)).pop()}")
            del found[there[0]]
    read = [name for one in found.values() for name in columns_of(one)]
    twice = next((name for name in read if list(header).count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"{path}: the column {twice} is twice in the header; rename one")
    return Plan(found, notes)


def fits(tables: TableSource, header: Sequence[str], required: Sequence[str]) -> bool:
    """Whether a source part speaks of a table: it has every column that our required ones are made of."""
    if set(header) >= LOG:
        return False
    needed = [tables.columns[our] for our in required if our in tables.columns]
    return bool(needed) and all(name in header for one in needed for name in columns_of(one))


def read_mapping(text: str, header: Sequence[str]) -> Expression | None:
    """Read what ``--column`` gives: a column of the table by its whole name, else an expression.

    Returns
    -------
    Expression or None
        None where this table lacks a column that it reads, or it is none.
    """
    if text in header:
        return Column(text)
    try:
        found = parse_expression(text)
    except BadExpression:
        return None
    return found if all(name in header for name in columns_of(found)) else None


def refuse_mapping(our: str, text: str, headers: Mapping[str, Sequence[str]]) -> BadInput:
    """Make the error for a mapping that no table can follow, with the tables' own columns."""
    try:
        known = {name for header in headers.values() for name in header}
        absent = [name for name in columns_of(parse_expression(text)) if name not in known]
        words = f"there is no column {', '.join(absent)}" if absent else "no table has all of its columns"
    except BadExpression as error:
        words = f"there is no such column, and as an expression: {error}"
    listed = "; ".join(f"{path} has {', '.join(map(repr_name, header))}" for path, header in headers.items())
    return BadInput(f"--column {our}={text}: {words}; {listed}")


def lacks(path: str, missing: Sequence[str], header: Sequence[str]) -> BadInput:
    """Make the error for absent columns, with the table's own names and the flag."""
    folded = {_fold(name): name for name in header}
    near = {name: folded.get(_fold(name)) for name in missing}
    example = next((f"{our}={their}" for our, their in near.items() if their), f"{missing[0]}=THEIRS")
    return BadInput(
        f"{path} lacks the column {', '.join(missing)}; it has {', '.join(map(repr_name, header))}. "
        f"Name it with --column {example}; `fraud init {path}` finds out what the columns are"
    )


def repr_name(name: str) -> str:
    """Write a column's name so that an empty one can be seen."""
    return name if name.strip() else repr(name)


def _there(columns: Mapping[str, Expression], header: Sequence[str]) -> dict[str, Expression]:
    return {our: one for our, one in columns.items() if all(name in header for name in columns_of(one))}


def _fold(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _guess_all(
    found: dict[str, Expression],
    mapping: Mapping[str, str],
    header: Sequence[str],
    wanted: Sequence[str],
    path: str,
) -> list[str]:
    """Add what tables usually call otherwise; return what was guessed, in words."""
    notes = []
    for guess in _GUESSES:
        taken = {name for one in found.values() for name in columns_of(one)}
        new = _guess(guess, header, taken)
        if new and not any(our in found or our in mapping for our in guess) and set(guess) <= set(wanted):
            found |= {our: Column(their) for our, their in new.items()}
            notes.append(
                f"{path}: {', '.join(new)} read from {', '.join(new.values())}, by a guess; "
                f"--column {next(iter(new))}=THEIRS changes it"
            )
    return notes


def _guess(guess: Mapping[str, Sequence[str]], header: Sequence[str], taken: set[str]) -> dict[str, str]:
    found = {}
    for our, others in guess.items():
        their = next((name for name in others if name in header and name not in taken), None)
        if their is None:
            return {}
        found[our] = their
    return found
