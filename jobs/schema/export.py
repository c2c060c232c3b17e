"""Reads what the API of AWS Fraud Detector answers, as JSON, in one file or several.

The answers of ``get-event-types``, ``get-variables``, ``get-entity-types``, ``get-labels``, ``get-outcomes``,
``get-rules``, ``get-list-elements`` and ``get-model-version`` (for its label mapper).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from fraud.errors import BadInput

Json = dict[str, Any]
_LISTS: Final = {
    "eventTypes": "name",
    "variables": "name",
    "entityTypes": "name",
    "labels": "name",
    "outcomes": "name",
    "ruleDetails": "ruleId",
    "lists": "name",
}
"""Keys of the API's answers, and what names one of each."""


def read_export(files: Sequence[Path]) -> Json:
    """Join the answers of the API; of one that stands twice the last counts.

    Raises
    ------
    BadInput
        When a file is no JSON, or holds nothing that is known.
    """
    found: Json = {key: {} for key in _LISTS}
    found["labelMapper"] = {}
    for file in files:
        content = read_json(file)
        parts = content if isinstance(content, list) else [content]
        if not all(isinstance(part, dict) for part in parts) or not any(_take(found, part) for part in parts):
            raise BadInput(
                f"{file} holds none of {', '.join(_LISTS)}: write it with e.g. "
                "`aws frauddetector get-event-types > event-types.json`"
            )
    return found


def read_json(file: Path) -> Any:
    """Read one file.

    Raises
    ------
    BadInput
        When it is no JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{file} cannot be read as JSON: {error}") from error


def as_yaml(content: Json) -> str:
    """Write a file's content; a value that stands twice is written out twice."""
    return str(yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110))


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  (yaml calls it)
        return True


def _take(found: Json, part: Json) -> bool:
    taken = False
    for key, name in _LISTS.items():
        for one in part.get(key) or []:
            if isinstance(one, dict) and name in one:
                found[key][one[name]] = one
                taken = True
    if "elements" in part and "name" in part:  # get-list-elements
        found["lists"][part["name"]] = part
        taken = True
    mapper = (part.get("trainingDataSchema") or {}).get("labelSchema", {}).get("labelMapper")
    if mapper:
        found["labelMapper"] = mapper
        taken = True
    return taken
