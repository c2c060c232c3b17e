"""The live lists of this replica: followed in the topic ``lists``, and changed through the API.

Nothing is opened before rules name a live list, or somebody changes one.
"""

import secrets
import shutil
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from fraud.decide.engine import RuleSet
from fraud.decide.list_log import Follow, Follower, ListFollower, send_events
from fraud.decide.lists import Definition, ListEvent, ListStore
from fraud.decide.values import Lists
from fraud.errors import BadInput, Unavailable
from fraud.kafka.producer import Sender
from services.scoring import metrics
from services.scoring.answers import ListChange
from services.scoring.settings import ScoringSettings

LOAD_S: Final = 120.0
"""How long the start waits for the lists, seconds; a million entries take about a minute."""


class LiveLists:
    """See the module.

    Parameters
    ----------
    settings
        Of the service.
    kafka
        Takes changes.
    follow
        Brings them back; by default the topic's follower.
    """

    def __init__(self, settings: ScoringSettings, kafka: Sender, follow: Follow | None = None) -> None:
        self._settings, self._kafka = settings, kafka
        self._follow = follow or self._follow_topic
        self._lock = threading.Lock()
        self._store: ListStore | None = None
        self._follower: Follower | None = None
        self._temporary: Path | None = None

    @property
    def store(self) -> ListStore:
        """The lists; read from the topic when they are first needed."""
        return self._store or self._open()

    def version(self, rules: RuleSet) -> int:
        """Tell the version of the lists that rules read."""
        return self.store.position if rules.live_lists else 0

    def view(self, rules: RuleSet, now_s: float) -> Lists:
        """Give the lists that rules read."""
        return self.store.view(rules.live_lists, now_s)

    def change(self, change: ListChange, by: str) -> None:
        """Write a change to the topic; this and every other path take it in from there.

        Raises
        ------
        BadInput
            When there is no such list, or the value is not of its kind.
        Unavailable
            When Kafka does not take it, or the lists cannot be read.
        """
        self.look()
        if self._follower is None or self._follower.away:
            raise Unavailable("the lists cannot be read from Kafka")
        send_events(self._kafka, [event_of(change, by, self.store.definitions().get(change.list))])

    def look(self) -> None:
        """Take in what has changed."""
        self.store  # noqa: B018  opens it
        with self._lock:
            if self._follower is None:
                return
            self._follower.look(wait_s=0.1)
            metrics.LISTS_AWAY.set(bool(self._follower.away))
            metrics.LISTS_BAD.set(self._follower.bad_records)

    def close(self) -> None:
        """End."""
        with self._lock:
            if self._follower is not None:
                self._follower.close()
            if self._store is not None:
                self._store.close()
            if self._temporary is not None:
                shutil.rmtree(self._temporary, ignore_errors=True)

    def _follow_topic(self, store: ListStore) -> Follower:
        return ListFollower(store, self._settings.kafka_bootstrap, self._settings.kafka_options)

    def _open(self) -> ListStore:
        with self._lock:
            if self._store is not None:
                return self._store
            folder = self._settings.lists_folder
            if folder is None:
                folder = self._temporary = Path(tempfile.mkdtemp(prefix="fraud-lists-"))
            store = ListStore(folder)
            self._follower = self._follow(store)
            self._follower.load(LOAD_S)
            self._store = store
            return store


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
            raise BadInput("a list is created with a kind, and without value and until")
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
        raise BadInput("an entry is added or removed with a value, and without kind and is_hashed")
    return known.event(change.list, change.action, change.value, by=by, why=change.why, until=change.until)
