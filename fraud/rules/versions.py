"""Rules by a file, or by a version that decisions name: the stream keeps every one that has decided."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fraud.decide.engine import NO_RULES, RuleSet
from fraud.decide.rules import read_rules
from fraud.errors import BadConfig
from fraud.log.tables import NO_OPTIONS, Options, open_table
from fraud.rules.audit import Entry
from fraud.rules.history import ALWAYS, Range


def rules_named(name: str, kept: Path) -> RuleSet:
    """Read rules.

    Parameters
    ----------
    name
        A file, or a version as it stands in decisions (``policy_version``).
    kept
        Folder in which the stream keeps the versions that have decided.

    Raises
    ------
    BadConfig
        When there is neither such a file nor such a version, or it is wrong.
    """
    if Path(name).is_file():
        return read_rules(Path(name))
    known = _versions(kept)
    if name not in known:
        newest = ", ".join(list(known)[-5:]) or "none"
        raise BadConfig(f"{name}: neither a file nor a version in {kept}; its newest: {newest}")
    return read_rules(kept / known[name])


def _versions(kept: Path) -> dict[str, str]:
    """Name the file of each version; the one that began to decide last, perhaps again, stands last."""
    try:
        lines = (kept / "history.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return {}
    found = dict[str, str]()
    for line in lines:
        with suppress(ValueError):  # one that was cut off named nothing that decided
            one = json.loads(line)
            found.pop(one["version"], None)
            found[one["version"]] = one["file"]
    found.pop("", None)
    return found


def newest_rules(kept: Path) -> RuleSet:
    """Read the newest rules that have decided in the stream; none where none have."""
    known = _versions(kept)
    return read_rules(kept / list(known.values())[-1]) if known else NO_RULES


def unpublished(
    entries: Sequence[Entry], delta: str, options: Options = NO_OPTIONS, *, when: Range = ALWAYS
) -> Counter[str]:
    """Find the versions of rules that have decided and were never put in force by the audit's people.

    Returns
    -------
    Counter
        Decisions by version.

    Raises
    ------
    BadInput
        When there are no decisions.
    Unavailable
        When the tables cannot be read.
    """
    known = {one.version for one in entries if one.action in {"approved", "undone", "guarded", "recorded"}}
    table = open_table(delta, "decisions", options)
    found = Counter[str]()
    if "policy_version" not in table.columns:
        return found
    for batch in table.batches(["policy_version"], when.filter()):
        counts = batch.column(0).value_counts()
        for one in counts.to_pylist():
            version = (one["values"] or "").partition("@")[0]  # what follows is the version of the lists
            if version and version not in known:
                found[version] += one["counts"]
    return found
