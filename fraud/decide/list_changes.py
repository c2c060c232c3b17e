"""Changes of lists: by the API, the console, and ``fraud lists``, which reads the topic to its end."""

import csv
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from fraud.contracts.topics import LISTS
from fraud.decide.list_log import AT, ListFollower, send_events
from fraud.decide.lists import MOST_VALUE, Definition, ListEvent, ListKind, ListName, ListStore
from fraud.errors import BadInput, Unavailable
from fraud.kafka.producer import Producer, ProducerSettings
from fraud.kafka.reader import Reader, append_time_of
from fraud.runtime.times import read_time
from fraud.settings.names import suggest
from fraud.settings.stream import KafkaSettings

PATIENCE_S: Final = 300.0
"""How long the topic may take to be read, seconds; a million entries take half a minute."""
AT_ONCE: Final = 50_000
_LIMITS: Final = {
    "list": "the name of a list has 1 to 64 of a-z, 0-9 and _, and begins with a letter",
    "by": "the name of the person who changes a list has 1 to 64 characters",
    "why": "a reason has 300 characters at most",
}
COLUMNS: Final = ("value", "until", "by", "at", "why")


@dataclass(frozen=True, slots=True)
class ChangeAuthor:
    """Who changes a list, and why."""

    by: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class ListResult:
    """What a change of entries did."""

    changed: int
    """Entries that were added or removed."""
    already: int
    """Of those that were added: how many were there, and have a new reason and end."""
    repeated: int
    """Values that stood in the change more than once; the last one counts."""


class ListChange(BaseModel):
    """A change of a list: it is created, or an entry is added or removed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    list: ListName
    action: Literal["create", "add", "remove"]
    value: Annotated[str | None, Field(min_length=1, max_length=MOST_VALUE, description="of an entry")] = None
    kind: Annotated[ListKind | None, Field(description="of a list that is created")] = None
    is_hashed: Annotated[bool, Field(description="keep values as hashes; of a list that is created")] = False
    why: Annotated[str, Field(max_length=300)] = ""
    until: AwareDatetime | None = None


def event_of(change: ListChange, by: str, known: Definition | None) -> ListEvent:
    """Make the record of a change.

    Parameters
    ----------
    change
        What the client asks for.
    by
        Name of the client's key.
    known
        The list, where there is one of this name.

    Raises
    ------
    BadInput
        When the change says too much or too little, or its value is not of the list's kind.
    """
    if change.action == "create":
        if known is not None:
            raise BadInput(f"there is a list {change.list} already")
        if change.kind is None or change.value is not None or change.until is not None:
            raise BadInput("to create a list, give its kind, and neither value nor until")
        salt = secrets.token_hex(16) if change.is_hashed else ""
        return ListEvent(
            list=change.list,
            action="create",
            by=by,
            at=datetime.now(UTC),
            why=change.why,
            kind=change.kind,
            salt=salt,
        )
    if known is None:
        raise BadInput(f"there is no list {change.list}; create it first")
    if change.value is None or change.kind is not None or change.is_hashed:
        raise BadInput("to change an entry, give its value, and neither kind nor is_hashed")
    _check_until(change.until)
    return known.event(change.list, change.action, change.value, by=by, why=change.why, until=change.until)


def _check_until(until: datetime | None) -> None:
    """Refuse an entry that has ended already: it would never count.

    Raises
    ------
    BadInput
        With the time.
    """
    if until is not None and until <= datetime.now(UTC):
        raise BadInput(f"until {until.isoformat()} is in the past; give a later time, or none")


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
            if follower.trouble:
                raise Unavailable(f"the lists cannot be read: {follower.trouble}")
            yield store
        finally:
            follower.close()
            store.close()


def changes_of(settings: KafkaSettings, name: str, value: str = "") -> Iterator[tuple[datetime, ListEvent]]:
    """Give the changes of a list that the topic still has, each with the time when the broker took it.

    Parameters
    ----------
    value
        Of one entry; empty: of all.

    Raises
    ------
    BadInput
        When there is no such list, or the value is not of its kind.
    Unavailable
        When the brokers do not answer.
    """
    with opened(settings) as store:
        definition = definition_of(store, name)
    wanted = definition.event(name, "add", value, by="-").value if value else None
    with Reader(settings.kafka_bootstrap, settings.kafka_options) as reader:
        bounds = reader.bounds(LISTS)[AT]
        reader.begin({AT: bounds.first})
        for message in reader.read_to({AT: bounds.end}, PATIENCE_S):
            with suppress(ValidationError):  # what cannot be read changed nothing
                event = ListEvent.model_validate_json(message.value() or b"")
                if event.list == name and (wanted is None or event.value == wanted):
                    yield append_time_of(message) or event.at, event


def create(settings: KafkaSettings, name: str, kind: ListKind, who: ChangeAuthor, *, is_hashed: bool) -> None:
    """Create a list.

    Raises
    ------
    BadInput
        When there is one of this name, or the name is none.
    """
    with opened(settings) as store:
        if name in store.definitions():
            raise BadInput(f"there is a list {name} already")
    salt = secrets.token_hex(16) if is_hashed else ""
    with _as_bad_input():
        event = ListEvent(
            list=name, action="create", by=who.by, at=datetime.now(UTC), why=who.why, kind=kind, salt=salt
        )
    _send(settings, [event])


def change(
    settings: KafkaSettings,
    name: str,
    action: Literal["add", "remove"],
    entries: Sequence[tuple[str, datetime | None, str]],
    who: ChangeAuthor,
) -> ListResult:
    """Add or remove entries: (value, until, why).

    Raises
    ------
    BadInput
        When there are no entries or no such list, a value is not of its kind, its end is past, or what is
        to be removed is not there; then nothing is changed.
    """
    if not entries:
        raise BadInput("there are no entries; give at least one value")
    events = {}
    with opened(settings) as store:
        definition = definition_of(store, name)
        for line, (value, until, why) in enumerate(entries, 1):
            try:
                _check_until(until)
                with _as_bad_input():
                    event = definition.event(name, action, value, by=who.by, why=why or who.why, until=until)
                if action == "remove":
                    _check_there(store, event, value)
            except BadInput as error:
                raise BadInput(f"entry {line}: {error}; nothing was changed") from error
            events[event.key] = event
        already = sum(_is_there(store, key) for key in events) if action == "add" else 0
    _send(settings, list(events.values()))
    return ListResult(len(events), already, len(entries) - len(events))


@contextmanager
def _as_bad_input() -> Iterator[None]:
    """Say in plain words what the record of a change does not take."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        raise BadInput(_LIMITS.get(field, f"{field}: {first['msg']}")) from error


def _is_there(store: ListStore, key: str) -> bool:
    (changes,) = store.changes([key])
    return bool(changes) and changes[-1].is_in


def _check_there(store: ListStore, event: ListEvent, value: str) -> None:
    if not _is_there(store, event.key):
        raise BadInput(f"{value!r} is not in {event.list}")


def definition_of(store: ListStore, name: str) -> Definition:
    """Find a list.

    Raises
    ------
    BadInput
        When there is none of this name.
    """
    known = store.definitions()
    if name not in known:
        raise BadInput(
            f"there is no list {name}; {suggest(name, sorted(known))}. `fraud lists create` makes one"
        )
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
    header = next(csv.reader(lines[:1]), [])
    if "value" not in header:
        if known := [name for name in header if name in COLUMNS]:
            raise BadInput(f"{file}:1: the header has the column {known[0]}, but no column value")
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
