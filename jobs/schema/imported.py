"""What an import of another system's definitions gives: a schema, rules, and a note on every part."""

from dataclasses import dataclass, field

from jobs.schema.export import Json


@dataclass(frozen=True, slots=True)
class ImportNote:
    """One definition of the other system, and what it was imported as.

    Parameters
    ----------
    what
        Kind, e.g. variable.
    theirs, ours
        Names; ``ours`` is empty where it has no counterpart.
    words
        What to know.
    """

    what: str
    theirs: str
    ours: str
    words: str = ""


@dataclass
class Imported:
    """What was made of an export.

    Parameters
    ----------
    schema, rules
        Content of the two files; no rules: None.
    notes
        The report.
    """

    schema: Json
    rules: Json | None
    notes: list[ImportNote] = field(default_factory=list)

    @property
    def missing(self) -> list[ImportNote]:
        """What has no counterpart."""
        return [note for note in self.notes if not note.ours]


def own_name(name: str, taken: set[str], reserved: frozenset[str]) -> str:
    """Make a name of ours of theirs, other than those that are taken or reserved.

    Examples
    --------
    >>> own_name("Order-Price", set(), frozenset()), own_name("2nd", {"x_2nd"}, frozenset())
    ('order_price', 'x_2nd_value')
    """
    our = plain(name)
    while our in taken or our in reserved:
        our = f"{our}_value"
    return our


def plain(name: str) -> str:
    """Write a name in small letters, digits and underscores, at most 30."""
    small = "".join(one if one.isascii() and one.isalnum() else "_" for one in name.lower())
    found = small.strip("_")[:30] or "x"
    return found if found[0].isalpha() else f"x_{found}"
