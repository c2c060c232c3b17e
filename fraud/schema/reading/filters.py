"""The part `filters` of a schema's file, and what results mean for filters."""

from collections.abc import Sequence
from typing import Final

from fraud.schema.fields import Field, FieldType
from fraud.schema.filters import BadCondition, Comparison, Condition, Filter, parse_condition, values_of
from fraud.schema.reading.document import Document
from fraud.schema.reading.keys import check_filter
from fraud.schema.reading.wrong import BadPart, Where, known_name
from fraud.schema.results import COLUMNS, REASON, RESULT, group_of

OF_RESULTS: Final = {name: Field(name, FieldType.CATEGORY) for name in (RESULT, REASON)}


def read_filter(name: str, text: str, fields: dict[str, Field], results: Sequence[str]) -> Filter:
    """Read a filter over the record's fields, or over results."""
    where = ("filters", name)
    if name in results:
        raise BadPart(where, "the result of this name is a filter already; rename this one")
    try:
        condition = parse_condition(text, fields)
    except BadCondition as error:
        raise BadPart(where, str(error)) from error
    found = Filter(name, text, condition, _results_of(condition, results, where) if results else ())
    check_filter(found)
    return found


def filter_of_result(word: str) -> Filter:
    """Make the filter that each result is, by its own name."""
    return Filter(word, f"{RESULT} == '{word}'", Comparison(RESULT, "==", word), group_of(word))


def check_results(document: Document, fields: dict[str, Field]) -> None:
    """Refuse fields of the names of results' columns, and entities that un-count what is not taken."""
    for name in COLUMNS if document.results else ():
        if any(name in field.names for field in fields.values()):
            raise BadPart(("fields", name), f"{name} is a column of the results; rename the field")
    for name, part in document.entities.items():
        if part.uncount and not document.results:
            words = "the schema takes no results; name them in its part `results`, e.g. results: [reversed]"
            raise BadPart(("entities", name, "uncount"), words)
        for at, word in enumerate(part.uncount or ()):
            known_name(word, document.results, ("entities", name, "uncount", at), "result")


def _results_of(condition: Condition, results: Sequence[str], where: Where) -> tuple[str, ...]:
    """Find the results that decide a condition; none where it reads the record itself."""
    read = values_of(condition)
    if not set(read) & set(OF_RESULTS):
        return ()
    words = sorted(map(str, read.get(RESULT, ())))
    groups = {group_of(known_name(word, results, where, "result")) for word in words}
    if set(read) - set(OF_RESULTS) or len(groups) != 1:
        words_of = f"`{RESULT}` of one group and, with it, `{REASON}`"
        raise BadPart(
            where, f"a filter over results reads {words_of}, and no field of the record; write two filters"
        )
    return groups.pop()
