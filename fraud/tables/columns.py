"""Our columns, from the contracts of the wire, and which of a table's columns are read as them."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

import pyarrow as pa

from fraud.contracts import contracts_of
from fraud.contracts.wire import Record
from fraud.errors import BadInput
from fraud.schema.arrow import TIME
from fraud.schema.deployed import deployed_schema

CONTRACTS: Final = contracts_of(deployed_schema())
_TYPES: Final = {"string": pa.string(), "number": pa.float64(), "boolean": pa.bool_(), "date-time": TIME}


def rules_of(model: type[Record]) -> dict[str, dict[str, Any]]:
    """Read the rules of each field off a contract: JSON schema keywords by field.

    Examples
    --------
    >>> rules_of(CONTRACTS.transaction)["amount"]["maximum"]
    10000000.0
    """
    found = {}
    for name, schema in model.model_json_schema()["properties"].items():
        if name != "schema_version":
            options = schema.get("anyOf", [schema])
            found[name] = next(option for option in options if option["type"] != "null")
    return found


def _columns(model: type[Record]) -> dict[str, pa.DataType]:
    return {name: _TYPES[rule.get("format", rule["type"])] for name, rule in rules_of(model).items()}


TRANSACTION: Final[Mapping[str, pa.DataType]] = _columns(CONTRACTS.transaction)
LABEL: Final[Mapping[str, pa.DataType]] = {
    name: kind for name, kind in _columns(CONTRACTS.label).items() if name != "source"
}
ARRIVAL: Final[Mapping[str, pa.DataType]] = {
    "generation": pa.int64(),
    "epoch": pa.int64(),
    "received_at": TIME,
    "source_partition": pa.int64(),
    "source_offset": pa.int64(),
    "arrival_time": TIME,
}
"""Columns that say in which order rows arrived, where a table has them."""
OURS: Final = {**TRANSACTION, **LABEL, **ARRIVAL}
PAIRS: Final = CONTRACTS.transaction.places
_GUESSES: Final = (
    {"latitude": ("lat",), "longitude": ("lon", "lng", "long")},
    {"device_id": ("device",)},
)
"""What else tables call optional columns; columns of one entry are guessed together or not at all."""


def check_ours(names: Iterable[str]) -> None:
    """Refuse a mapping of columns that we do not have."""
    for name in names:
        if name not in OURS:
            near = get_close_matches(name, OURS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise BadInput(f"--column {name}=...: we read no column {name}; {hint}We read {', '.join(OURS)}")


def plan_names(
    header: Sequence[str], mapping: Mapping[str, str], wanted: Iterable[str], path: str
) -> tuple[dict[str, str], list[str]]:
    """Choose for each of our columns the table's column.

    Returns
    -------
    tuple
        Our name: theirs, of those that are there; and, in words, what is not plain.
    """
    wanted, notes = list(wanted), []
    names = {our: our for our in wanted if our in header}
    for our, their in mapping.items():
        if our in wanted and their in header:
            if our in names and our != their:
                notes.append(f"{path}: {our} is read from {their}, as --column says, and not from {our}")
            names[our] = their
    for guess in _GUESSES:
        found = _guess(guess, header, {*names.values()})
        if found and not any(our in names or our in mapping for our in guess) and set(guess) <= set(wanted):
            names |= found
            notes.append(
                f"{path}: {', '.join(found)} read from {', '.join(found.values())}, by a guess; "
                f"--column {next(iter(found))}=THEIRS says otherwise"
            )
    for pair in PAIRS:
        there = [name for name in pair if name in names]
        if len(there) == 1:
            notes.append(f"{path}: {there[0]} is not used: there is no {(set(pair) - set(there)).pop()}")
            del names[there[0]]
    twice = next((their for their in names.values() if list(header).count(their) > 1), None)
    if twice is not None:
        raise BadInput(f"{path}: the column {twice} stands twice in the header; rename one")
    return names, notes


def lacks(path: str, missing: Sequence[str], header: Sequence[str]) -> BadInput:
    """Make the error for absent columns, with the table's own names and the flag."""
    folded = {_fold(name): name for name in header}
    near = {name: folded.get(_fold(name)) for name in missing}
    example = next((f"{our}={their}" for our, their in near.items() if their), f"{missing[0]}=THEIRS")
    return BadInput(
        f"{path} lacks the column {', '.join(missing)}; it has {', '.join(map(repr_name, header))}. "
        f"Name it with --column {example}"
    )


def repr_name(name: str) -> str:
    """Write a column's name so that an empty one can be seen."""
    return name if name.strip() else repr(name)


def _fold(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _guess(guess: Mapping[str, Sequence[str]], header: Sequence[str], taken: set[str]) -> dict[str, str]:
    found = {}
    for our, others in guess.items():
        their = next((name for name in others if name in header and name not in taken), None)
        if their is None:
            return {}
        found[our] = their
    return found
