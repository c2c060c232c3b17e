"""What ``fraud lists`` does: reads the topic ``lists`` to its end, and writes changes to it."""

import csv
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from fraud.decide.list_log import ListFollower, send_events
from fraud.decide.lists import Definition, ListEvent, ListKind, ListStore
from fraud.errors import BadInput, Unavailable
from fraud.kafka.producer import Producer, ProducerSettings
from fraud.settings.stream import KafkaSettings

PATIENCE_S: Final = 300.0
"""How long the topic may take to be read, seconds; a million entries take half a minute."""
AT_ONCE: Final = 50_000
COLUMNS: Final = ("value", "until", "by", "at", "why")


@dataclass(frozen=True, slots=True)
class Who:
    """Who changes a list, and why."""

    by: str
    why: str = ""


@contextmanager
def opened(settings: KafkaSettings) -> Iterator[ListStore]:
    """Give the lists as the topic has them now.

    Raises
    ------
    Unavailable
        When the brokers do not answer.
    """
    with tempfile.TemporaryDirectory(prefix="fraud-lists-") as folder:
        store = ListStore(Path(folder))
        follower = ListFollower(store, settings.kafka_bootstrap, settings.kafka_options)
        try:
            follower.load(PATIENCE_S)
            if follower.away:
                raise Unavailable(f"the lists cannot be read: {follower.away}")
            yield store
        finally:
            follower.close()
            store.close()


def create(settings: KafkaSettings, name: str, kind: ListKind, who: Who, *, is_hashed: bool) -> None:
    """Create a list.

    Raises
    ------
    BadInput
        When there is one of this name.
    """
    with opened(settings) as store:
        if name in store.definitions():
            raise BadInput(f"there is a list {name} already")
    salt = secrets.token_hex(16) if is_hashed else ""
    event = ListEvent(
        list=name, action="create", by=who.by, at=datetime.now(UTC), why=who.why, kind=kind, salt=salt
    )
    _send(settings, [event])


def change(
    settings: KafkaSettings,
    name: str,
    action: Literal["add", "remove"],
    entries: Sequence[tuple[str, datetime | None, str]],
    who: Who,
) -> int:
    """Add or remove entries: (value, until, why); returns how many differ.

    Raises
    ------
    BadInput
        When there is no such list, or a value is not of its kind; then nothing is changed.
    """
    with opened(settings) as store:
        definition = definition_of(store, name)
    events = {}
    for line, (value, until, why) in enumerate(entries, 1):
        try:
            event = definition.event(name, action, value, by=who.by, why=why or who.why, until=until)
        except BadInput as error:
            raise BadInput(f"entry {line}: {error}; nothing was changed") from error
        events[event.key] = event
    _send(settings, list(events.values()))
    return len(events)


def definition_of(store: ListStore, name: str) -> Definition:
    """Find a list.

    Raises
    ------
    BadInput
        When there is none of this name.
    """
    known = store.definitions()
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise BadInput(f"there is no list {name}; there are: {there}. `fraud lists create` makes one")
    return known[name]


def read_file(file: Path) -> list[tuple[str, datetime | None, str]]:
    """Read entries: one value a line, or CSV with the columns value, until, why.

    Raises
    ------
    BadInput
        With the line.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file}: {error}") from error
    if not lines or "value" not in next(csv.reader(lines[:1])):
        return [(line.strip(), None, "") for line in lines if line.strip()]
    found = []
    for number, row in enumerate(csv.DictReader(lines), 2):
        found.append((row["value"] or "", _until(file, number, row.get("until")), row.get("why") or ""))
    return found


def write_file(file: Path, entries: Iterator[dict[str, Any]]) -> int:
    """Write entries as CSV; returns how many."""
    n = 0
    with file.open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, COLUMNS)
        writer.writeheader()
        for entry in entries:
            until = entry["until"]
            moment = datetime.fromtimestamp(until, UTC).isoformat() if until else ""
            writer.writerow({**entry, "until": moment})
            n += 1
    return n


def read_time(text: str) -> datetime:
    """Read a time with an offset.

    Raises
    ------
    BadInput
        When it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is no time; write it like 2026-03-01T12:00:00+00:00") from error
    if moment.tzinfo is None:
        raise BadInput(f"{text!r} has no offset; write it like 2026-03-01T12:00:00+00:00")
    return moment


def _until(file: Path, line: int, text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        return read_time(text)
    except BadInput as error:
        raise BadInput(f"{file}:{line}: {error}") from error


def _send(settings: KafkaSettings, events: list[ListEvent]) -> None:
    producer = Producer(ProducerSettings(bootstrap=settings.kafka_bootstrap, options=settings.kafka_options))
    for first in range(0, len(events), AT_ONCE):
        send_events(producer, events[first : first + AT_ONCE])
