"""Lists that change without a new rules file: stolen devices, networks, domains; kept in LMDB.

Written by one process from the topic ``lists`` (``fraud.decide.list_log``), read by any number. Each entry
keeps its changes with their offsets and times, so that a micro-batch that runs again sees a list as it was,
and a backtest sees it as it was then (``fraud.decide.past_lists``).
"""

import hashlib
import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

import lmdb
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from fraud.errors import BadInput

MAP_BYTES: Final = 8 << 30
"""Address space, not memory: far above a list of some million entries."""
MOST_VALUE: Final = 128
MOST_KEY: Final = 511
"""Bytes of a key that LMDB takes; ours is the list's name and the value."""
_MOST_BYTES: Final = MOST_KEY - 65
"""Of a value beside the longest name."""
ListName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$")]
_DOMAIN: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_EMAIL: Final = re.compile(rf"[^@\s]+@{_DOMAIN.pattern}")


class ListKind(StrEnum):
    """What the values of a list are, and how a value is looked up."""

    TEXT = "text"
    """The same text: keys (users, devices, merchants, cards), or anything else."""
    IP = "ip"
    """An address, or a network that holds it, e.g. 10.0.0.0/8."""
    EMAIL = "email"
    """The same address; upper and lower case do not differ."""
    EMAIL_DOMAIN = "email_domain"
    """The domain of an address, or one above it."""
    BIN = "bin"
    """The first 4 to 11 digits of a card's number."""


class ListEvent(BaseModel):
    """A record of the topic ``lists``: a list is created, an entry added or removed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = 1
    list: ListName
    action: Literal["create", "add", "remove"]
    by: str = Field(min_length=1, max_length=64)
    at: AwareDatetime
    why: str = Field(default="", max_length=300)
    kind: ListKind | None = None
    """Of a list that is created."""
    salt: str = Field(default="", max_length=64)
    """Of a list that is created: its values are kept as hashes with this salt; empty: as they are."""
    value: str | None = Field(default=None, min_length=1, max_length=MOST_VALUE)
    """Of an entry, normalised, hashed where its list is."""
    length: int = Field(default=0, ge=0, le=MOST_VALUE)
    """Of the value before it was hashed: of a network its bits, of a BIN its digits."""
    until: AwareDatetime | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.action == "create") != (self.kind is not None) or (self.action == "create") == bool(
            self.value
        ):
            raise ValueError("give a kind to create a list, or a value to change an entry")
        if len((self.value or "").encode()) > _MOST_BYTES:
            raise ValueError(f"a value has {_MOST_BYTES} bytes at most")
        return self

    @property
    def key(self) -> str:
        """Key of the record: compaction keeps the last change of each entry."""
        return self.list if self.value is None else f"{self.list}\n{self.value}"


class Definition(BaseModel):
    """What a list is."""

    model_config = ConfigDict(frozen=True)

    kind: ListKind
    salt: str = ""

    def event(
        self, name: str, action: Literal["add", "remove"], value: str, *, by: str, why: str = "", **more: Any
    ) -> ListEvent:
        """Make the record that changes an entry.

        Raises
        ------
        BadInput
            When the value is not of the list's kind.
        """
        plain = normalised(value, self.kind)
        length = int(plain.rpartition("/")[2]) if self.kind is ListKind.IP else len(plain)
        return ListEvent(
            list=name,
            action=action,
            value=self._kept(plain),
            length=length,
            by=by,
            at=datetime.now(UTC),
            why=why,
            **more,
        )

    def candidates(self, value: str, lengths: Iterable[int]) -> Iterator[str]:
        """Give the entries that would hold a value, as they are kept."""
        yield from map(self._kept, _candidates(value, self.kind, lengths))

    def _kept(self, plain: str) -> str:
        if not self.salt:
            return plain
        return "#" + hashlib.blake2b(plain.encode(), key=self.salt.encode()[:64], digest_size=16).hexdigest()


def normalised(value: str, kind: ListKind) -> str:
    """Write a value as its list keeps it.

    Raises
    ------
    BadInput
        When it is not of that kind.

    Examples
    --------
    >>> normalised("10.1.2.3/8", ListKind.IP), normalised("Ann@Example.com", ListKind.EMAIL_DOMAIN)
    ('10.0.0.0/8', 'example.com')
    """
    value = value.strip().lower() if kind is ListKind.EMAIL else value.strip()
    if not 1 <= len(value) <= MOST_VALUE or not value.isprintable():
        raise BadInput(f"{value!r:.60}: a value has 1 to {MOST_VALUE} printable characters")
    if len(value.encode()) > _MOST_BYTES:
        raise BadInput(f"{value!r:.60}: a value has {_MOST_BYTES} bytes at most in UTF-8")
    if kind is ListKind.IP:
        try:
            return str(ipaddress.ip_network(value, strict=False))
        except ValueError as error:
            raise BadInput(f"{value!r} is neither an address nor a network like 10.0.0.0/8") from error
    if kind is ListKind.EMAIL:
        if not _EMAIL.fullmatch(value):
            raise BadInput(f"{value!r} is no e-mail address like ann@example.com")
        return value
    if kind is ListKind.EMAIL_DOMAIN:
        domain = value.rpartition("@")[2].lower()
        if not _DOMAIN.fullmatch(domain):
            raise BadInput(f"{value!r} is neither an e-mail address nor a domain like example.com")
        return domain
    if kind is ListKind.BIN and not re.fullmatch(r"\d{4,11}", value):
        raise BadInput(f"{value!r} is no BIN: it has 4 to 11 digits")
    return value


def _candidates(value: str, kind: ListKind, lengths: Iterable[int]) -> Iterator[str]:
    if kind is ListKind.TEXT:
        yield value
    elif kind is ListKind.EMAIL:
        yield value.strip().lower()
    elif kind is ListKind.BIN:
        yield from (value[:length] for length in lengths if length <= len(value))
    elif kind is ListKind.EMAIL_DOMAIN:
        parts = value.rpartition("@")[2].lower().split(".")
        yield from (".".join(parts[at:]) for at in range(len(parts) - 1))
    else:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            return
        most = address.max_prefixlen
        yield from (
            str(ipaddress.ip_network((address, length), strict=False)) for length in lengths if length <= most
        )


class ListRecord(NamedTuple):
    """A record of the topic ``lists``."""

    offset: int
    value: bytes | None
    appended_s: float
    """When the broker took it, Unix time."""


class Change(NamedTuple):
    """A change of an entry, as the store keeps it."""

    offset: int
    is_in: bool
    until_s: float | None
    """Unix time; None: for ever."""
    since_s: float = 0.0
    """Unix time when the broker took it; 0 in stores of earlier releases."""


class ListStore:
    """The lists of this machine.

    Parameters
    ----------
    folder
        Of LMDB.
        One process writes to it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._env = lmdb.open(str(folder), map_size=MAP_BYTES, max_dbs=2, max_readers=512, writemap=False)
        self._entries = self._env.open_db(b"entries")
        self._about = self._env.open_db(b"about")
        self._known: tuple[int, dict[str, tuple[Definition, list[int]]]] = (-1, {})

    def close(self) -> None:
        """End."""
        self._env.close()

    @property
    def position(self) -> int:
        """Offset of the record that comes next: the newest version."""
        with self._env.begin(db=self._about) as read:
            return int(read.get(b"position", b"0"))

    def clear(self) -> None:
        """Drop everything: the topic is a new one."""
        with self._env.begin(write=True) as write:
            write.drop(self._entries, delete=False)
            write.drop(self._about, delete=False)

    @property
    def known_since_s(self) -> float:
        """Unix time from which on all changes are known: the topic keeps the last of earlier ones."""
        with self._env.begin(db=self._about) as read:
            return float(read.get(b"known since", b"0"))

    def apply(self, records: Iterable[ListRecord], oldest: int = 0) -> int:
        """Take records of the topic in.

        Parameters
        ----------
        records
            In their order.
        oldest
            Version that may still be asked for; changes that only older ones see are dropped.

        Returns
        -------
        int
            How many could not be read, and changed nothing.
        """
        bad = 0
        with self._env.begin(write=True) as write:
            end = int(write.get(b"position", b"0", db=self._about))
            for record in records:
                if record.offset > end:  # compaction took what was between
                    write.put(b"known since", str(record.appended_s).encode(), db=self._about)
                end = record.offset + 1
                try:
                    event = ListEvent.model_validate_json(record.value or b"")
                except ValidationError:
                    bad += 1
                    continue
                self._take(write, event, record, oldest)
            write.put(b"position", str(end).encode(), db=self._about)
        return bad

    def _take(self, write: Any, event: ListEvent, record: ListRecord, oldest: int) -> None:
        if event.kind is not None:
            definition = Definition(kind=event.kind, salt=event.salt)
            write.put(b"list " + event.list.encode(), definition.model_dump_json().encode(), db=self._about)
            return
        key = event.key.encode()
        found = write.get(key, db=self._entries)
        changes = json.loads(found)["changes"] if found else []
        until = event.until.timestamp() if event.until else None
        changes.append(Change(record.offset, event.action == "add", until, record.appended_s))
        seen = max((at for at, one in enumerate(changes) if one[0] < oldest), default=0)
        entry = {"changes": changes[seen:], "by": event.by, "at": event.at.isoformat(), "why": event.why}
        write.put(key, json.dumps(entry).encode(), db=self._entries)
        self._note_length(write, event)

    def _note_length(self, write: Any, event: ListEvent) -> None:
        key = b"lengths " + event.list.encode()
        lengths = set(json.loads(write.get(key, b"[]", db=self._about)))
        if event.length not in lengths:
            write.put(key, json.dumps(sorted({*lengths, event.length})).encode(), db=self._about)

    def definitions(self) -> dict[str, Definition]:
        """Give the lists by name."""
        with self._env.begin(db=self._about) as read:
            return {
                key.removeprefix(b"list ").decode(): Definition.model_validate_json(value)
                for key, value in read.cursor()
                if key.startswith(b"list ")
            }

    def entries(self, name: str) -> Iterator[dict[str, Any]]:
        """Give the entries of a list that are in it now, with who, when, why and until."""
        prefix, now_s = f"{name}\n".encode(), datetime.now(UTC).timestamp()
        with self._env.begin(db=self._entries) as read:
            cursor = read.cursor()
            if cursor.set_range(prefix):
                for key, raw in cursor:
                    if not key.startswith(prefix):
                        break
                    entry = json.loads(raw)
                    last = Change(*entry["changes"][-1])
                    if last.is_in and (last.until_s is None or now_s < last.until_s):
                        value = key.removeprefix(prefix).decode()
                        who = {k: entry[k] for k in ("by", "at", "why")}
                        yield {"value": value, "until": last.until_s, **who}

    def view(self, names: Iterable[str], now_s: float, version: int | None = None) -> "dict[str, LiveList]":
        """Give lists as they are at a time, and were at a version; one that was never created is left out."""
        known = self.known()
        return {
            name: LiveList(self, name, *known[name], now_s=now_s, version=version)
            for name in names
            if name in known
        }

    def known(self) -> dict[str, tuple[Definition, list[int]]]:
        """Read what the lists are, and the lengths of their values; again only when something has changed."""
        position = self.position
        if self._known[0] != position:
            with self._env.begin(db=self._about) as read:
                lengths = {
                    name: json.loads(read.get(b"lengths " + name.encode(), b"[]"))
                    for name in self.definitions()
                }
            self._known = position, {name: (one, lengths[name]) for name, one in self.definitions().items()}
        return self._known[1]

    def changes(self, keys: Iterable[str]) -> list[list[Change]]:
        """Give the changes of each entry, the oldest first; none of one that was never there."""
        with self._env.begin(db=self._entries) as read:
            found = (_entry(read, key) for key in keys)
            return [[Change(*one) for one in json.loads(raw)["changes"]] if raw else [] for raw in found]

    def holds(self, keys: Iterable[Iterable[str]], now_s: float, version: int | None) -> list[bool]:
        """Tell for each value whether one of its candidates' entries is in its list."""
        with self._env.begin(db=self._entries) as read:
            return [any(_is_in(_entry(read, key), now_s, version) for key in some) for some in keys]


def _entry(read: Any, key: str) -> bytes | None:
    """Look an entry up; a longer value than a list can hold is in none."""
    raw = key.encode()
    found: bytes | None = read.get(raw) if len(raw) <= MOST_KEY else None
    return found


def _is_in(raw: bytes | None, now_s: float, version: int | None) -> bool:
    if raw is None:
        return False
    for offset, is_in, until, *_ in reversed(json.loads(raw)["changes"]):
        if version is None or offset < version:
            return bool(is_in) and (until is None or now_s < until)
    return False


class LiveList:
    """One list at a time and a version; answers ``value in list``."""

    def __init__(
        self,
        store: ListStore,
        name: str,
        definition: Definition,
        lengths: list[int],
        *,
        now_s: float,
        version: int | None,
    ) -> None:
        self._store, self._definition, self._lengths = store, definition, lengths
        self._prefix, self._now_s, self._version = f"{name}\n", now_s, version

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and self.hold([value])[0]

    def hold(self, values: Sequence[str]) -> list[bool]:
        """Tell for many values at once whether the list holds them."""
        keys: Iterable[Iterable[str]]
        if self._definition.kind is ListKind.TEXT and not self._definition.salt:
            keys = ((self._prefix + value,) for value in values)
        else:
            keys = (
                (self._prefix + one for one in self._definition.candidates(value, self._lengths))
                for value in values
            )
        return self._store.holds(keys, self._now_s, self._version)
