"""Rules as they were published, out of the topic ``audit``: for who shares no file with those that publish.

The topic has every record with the rules in it. A program follows it, checks the chain of hashes, and writes
what is in force to a file of its own, which it reads like any other. A record that breaks the chain changes
nothing: the rules stay as they were, and the reason is told.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Final, Protocol

from pydantic import ValidationError

from fraud.errors import BadConfig, Unavailable
from fraud.kafka.kept_reader import StayingReader
from fraud.kafka.reader import NO_OPTIONS, Reader
from fraud.rules.audit import FIRST, Entry
from fraud.rules.audit_topic import AT
from fraud.rules.publishing import NONE_YET, in_force
from fraud.runtime.files import write_durably

log = logging.getLogger(__name__)
LOAD_S: Final = 60.0
"""How long a start waits for the topic, seconds."""


class TopicSettings(Protocol):
    """Settings of a program that can read its rules from the topic ``audit``."""

    @property
    def rules_file(self) -> Path | None:
        """The file of rules."""

    @property
    def rules_published(self) -> bool:
        """Whether it holds what was published to the topic."""

    @property
    def kafka_bootstrap(self) -> str:
        """Of the brokers."""

    @property
    def kafka_options(self) -> Mapping[str, str]:
        """Of the client."""


def open_published(settings: TopicSettings) -> "PublishedRules | None":
    """Follow the topic, where the settings say so.

    Raises
    ------
    BadConfig
        When they name no file.
    """
    if not settings.rules_published:
        return None
    if settings.rules_file is None:
        raise BadConfig(
            "..._RULES_PUBLISHED needs ..._RULES_FILE: where this program keeps the published rules"
        )
    return PublishedRules(settings.rules_file, settings.kafka_bootstrap, settings.kafka_options)


class PublishedRules(StayingReader):
    """Keeps a file of rules as the topic says.

    Parameters
    ----------
    file
        Of this program alone, or of several that follow the same topic.
    bootstrap, options
        Of the brokers.
    """

    content = "the published rules"

    def __init__(self, file: Path, bootstrap: str, options: Mapping[str, str] = NO_OPTIONS) -> None:
        super().__init__(bootstrap, options)
        self.file = file
        self.refused = ""
        """Why the newest records were refused; empty: all count."""
        self._entries: list[Entry] = []

    def load(self, patience_s: float = LOAD_S) -> None:
        """Read the topic to its end, and write the file.

        Raises
        ------
        Unavailable
            When it cannot be read, and no earlier run has left the file: it must not decide without rules.
        """
        give_up = monotonic() + patience_s
        while True:
            try:
                reader = self._open()
                for message in reader.read_to({AT: reader.bounds(AT.topic)[AT].end}, patience_s):
                    self._take(message.value() or b"")
            except (Unavailable, KeyError) as error:
                self._lose(error)
                if self.file.exists():
                    return
                if monotonic() > give_up:
                    raise Unavailable(f"the published rules cannot be read: {error}") from error
                sleep(0.2)  # a topic that was just made has no leader yet
            else:
                self._write()
                return

    def look(self) -> None:
        """Take in what has arrived; what was in force stays where the topic cannot be read."""
        try:
            reader = self._open()
            while batch := list(reader.take(0.0)):
                for message in batch:
                    self._take(message.value() or b"")
            reader.check()
        except (Unavailable, KeyError) as error:
            self._lose(error)
        else:
            self.trouble = ""
            self._write()

    def _take(self, raw: bytes) -> None:
        """Add a record to the chain; one that came twice counts once."""
        try:
            entry = Entry.model_validate_json(raw)
        except ValidationError as error:
            return self._refuse(f"a record cannot be read: {error.errors()[0]['msg']}")
        if entry.number <= len(self._entries) and entry.hash == self._entries[entry.number - 1].hash:
            return None
        previous = self._entries[-1].hash if self._entries else FIRST
        if entry.number != len(self._entries) + 1 or entry.previous != previous:
            return self._refuse(f"record {entry.number} does not follow record {len(self._entries)}")
        if entry.hash != entry.hashed():
            return self._refuse(f"record {entry.number} was changed after it was written")
        self._entries.append(entry)
        self.refused = ""
        return None

    def _refuse(self, words: str) -> None:
        if words != self.refused:
            log.error("the rules stay as they were published: topic %s: %s", AT.topic, words)
        self.refused = words

    def _write(self) -> None:
        published = in_force(self._entries)
        wanted = published[-1].content.encode() if published else NONE_YET
        if not published and self.file.exists():
            return
        if not self.file.exists() or self.file.read_bytes() != wanted:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self.file, wanted)
            log.info("rules %s were published", published[-1].version if published else "none")

    def _begin(self, reader: Reader) -> None:
        reader.begin({AT: reader.bounds(AT.topic)[AT].first})
