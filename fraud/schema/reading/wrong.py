"""What is wrong with a part of a schema's file, and what may stand there instead."""

from collections.abc import Iterable, Mapping, Sequence

from fraud.schema.fields import Field, FieldType
from fraud.settings.names import suggest

Where = Sequence[str | int]
"""The way to a part of the file."""


class BadPart(Exception):
    """A part of the file that cannot be used."""

    def __init__(self, where: Where, words: str) -> None:
        super().__init__(words)
        self.where = where
        self.words = words


def known_name(name: str, known: Iterable[str], where: Where, what: str) -> str:
    """Refuse a name that there is not."""
    names = list(known)
    if name not in names:
        raise BadPart(where, f"no {what} {name!r}; {suggest(name, names)}")
    return name


def of_type(name: str, fields: Mapping[str, Field], types: Iterable[FieldType], where: Where) -> Field:
    """Find a field; refuse one of another type."""
    known_name(name, fields, where, "field")
    if fields[name].type not in set(types):
        wanted = " or ".join(sorted(types))
        raise BadPart(where, f"{name} is a {fields[name].type}; name a {wanted} here")
    return fields[name]
