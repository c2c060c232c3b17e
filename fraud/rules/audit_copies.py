"""Copies of the audit, in the topic ``audit`` and the Delta table ``audit``, and whether all say the same.

The file is the master. Its lock gives the records their order, and rules can be undone without Kafka.
A copy is brought to where the file is with each record, under that lock. A copy that has another record
than the file is never written to; ``fraud audit verify --copies`` names what is missing or differs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from fraud.errors import BadState
from fraud.rules.audit import Entry


class Copy(Protocol):
    """A place that has the records too."""

    name: str

    def records(self) -> list[str]:
        """Read what it has, in its own order: JSON."""

    def append(self, entries: Sequence[Entry]) -> None:
        """Add records behind what it has."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a copy has otherwise than the file."""

    words: str
    is_late: bool = False
    """The newest records are only not there yet."""


def bring(copies: Sequence[Copy], entries: Sequence[Entry]) -> int:
    """Give each copy the records that it lacks; returns how many that were.

    Raises
    ------
    BadState
        When a copy has another record than the file; nothing is written to it.
    Unavailable
        When a copy does not answer.
    """
    given = 0
    for copy in copies:
        records = copy.records()
        wrong = [one for one in differences(copy.name, records, entries) if not one.is_late]
        if wrong:
            raise BadState("; ".join(one.words for one in wrong))
        late = entries[len(_by_number(copy.name, records)[0]) :]
        if late:
            copy.append(late)
            given += len(late)
    return given


def differences(name: str, records: Sequence[str], entries: Sequence[Entry]) -> list[Difference]:
    """Compare what a copy has with the file.

    Parameters
    ----------
    name
        Of the copy, for the words.
    records
        Of the copy: JSON.
    entries
        Of the file, whose chain is whole.
    """
    there, found = _by_number(name, records)
    for number, entry in sorted(there.items()):
        if entry.hash != entry.hashed():
            found.append(Difference(f"{name}: record {number} was changed after it was written"))
        elif number > len(entries):
            words = f"the file lacks record {number} of {name} ({entry.by} {entry.action} {entry.version})"
            found.append(Difference(f"{words}: its end was cut off, or {name} is of another file"))
        elif entry.hash != entries[number - 1].hash:
            found.append(Difference(f"{name}: record {number} is another one than in the file"))
    lacks = [entry.number for entry in entries if entry.number not in there]
    newest = max(there, default=0)
    found += [Difference(f"{name}: record {one} is missing") for one in lacks if one < newest]
    late = [one for one in lacks if one > newest]
    if late:
        words = f"{late[0]}" if len(late) == 1 else f"{late[0]} to {late[-1]}"
        found.append(
            Difference(f"{name}: record {words} not there yet; run `fraud audit copy`", is_late=True)
        )
    return found


def _by_number(name: str, records: Sequence[str]) -> tuple[dict[int, Entry], list[Difference]]:
    """Read records; one that came twice, as when an answer was lost on its way, counts once."""
    there, wrong = dict[int, Entry](), list[Difference]()
    for place, (entry, words) in enumerate(_entries(records), 1):
        if entry is None:
            wrong.append(Difference(f"{name}: its {place}. record cannot be read: {words}"))
        elif there.setdefault(entry.number, entry).hash != entry.hash:
            wrong.append(Difference(f"{name}: record {entry.number} is there twice, in two forms"))
    return there, wrong


def _entries(records: Sequence[str]) -> Iterator[tuple[Entry | None, str]]:
    for record in records:
        try:
            yield Entry.model_validate_json(record), ""
        except ValidationError as error:
            yield None, error.errors()[0]["msg"]
