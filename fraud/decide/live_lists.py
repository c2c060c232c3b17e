"""The live lists of a service: followed in the topic ``lists``, and changed through it.

Nothing is opened before rules name a live list, or somebody changes or shows one.
"""

import shutil
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fraud.decide.engine import RuleSet
from fraud.decide.list_changes import ListChange, event_of
from fraud.decide.list_log import Follow, Follower, ListFollower, send_events
from fraud.decide.lists import ListStore
from fraud.decide.values import Lists
from fraud.errors import Unavailable
from fraud.kafka.producer import Sender

LOAD_S: Final = 120.0
"""How long the start waits for the lists, seconds; a million entries take about a minute."""


class LiveLists:
    """See the module.

    Parameters
    ----------
    kafka
        Takes changes.
    bootstrap, options
        Of the brokers.
    folder
        Where they are kept, of this process alone; None: a temporary one.
    follow
        Brings changes back; by default the topic's follower.
    """

    def __init__(
        self,
        kafka: Sender,
        bootstrap: str,
        options: Mapping[str, str],
        folder: Path | None = None,
        follow: Follow | None = None,
    ) -> None:
        self._kafka, self._brokers, self._folder = kafka, (bootstrap, options), folder
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

    def view(self, rules: RuleSet, now_s: float, version: int) -> Lists:
        """Give the lists that rules read, as they were at a version: they may change beside a decision."""
        return self.store.view(rules.live_lists, now_s, version)

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
        if self._follower is None or self._follower.trouble:
            raise Unavailable("the lists cannot be read from Kafka")
        send_events(self._kafka, [event_of(change, by, self.store.definitions().get(change.list))])

    def look(self) -> None:
        """Take in what has changed."""
        self.store  # noqa: B018  opens it
        with self._lock:
            if self._follower is None:
                return
            self._follower.look(wait_s=0.1)

    @property
    def is_open(self) -> bool:
        """Whether the topic has been read to its end once; nothing waits for it."""
        return self._store is not None

    @property
    def names(self) -> list[str]:
        """Names of the lists."""
        return sorted(self.store.definitions())

    @property
    def trouble(self) -> str:
        """Why the topic could not be read at the last look; empty: it could, or was not asked."""
        return self._follower.trouble if self._follower else ""

    @property
    def bad_records(self) -> int:
        """How many records of the topic could not be read."""
        return self._follower.bad_records if self._follower else 0

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
        return ListFollower(store, *self._brokers)

    def _open(self) -> ListStore:
        with self._lock:
            if self._store is not None:
                return self._store
            folder = self._folder
            if folder is None:
                folder = self._temporary = Path(tempfile.mkdtemp(prefix="fraud-lists-"))
            store = ListStore(folder)
            self._follower = self._follow(store)
            self._follower.load(LOAD_S)
            self._store = store
            return store
