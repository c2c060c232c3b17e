"""Logouts, shared by the console's replicas: each writes its own to the topic ``sessions``, and reads all.

A record names a session and until when its cookie would be good. The topic keeps records for as long as a
session may last; a replica reads it from its beginning when it starts.
"""

import json
import logging
import math
import time
from typing import Final

import orjson

from fraud.contracts import SESSIONS
from fraud.errors import Unavailable
from fraud.kafka.producer import Record, Sender
from fraud.kafka.reader import Message, Reader
from services.console.following import TopicFollower
from services.console.sessions import Session, Sessions
from services.console.settings import ConsoleSettings

LOAD_S: Final = 60.0
"""How long all logouts may take to be read at the start, seconds."""
RETRY_MAX_S: Final = 2.0
MOST_S: Final = 604_800.0
"""Longest time that a session may last, seconds: what ended is forgotten after it."""
MOST_NONCE: Final = 64
"""Most characters that name a session; ours have 22."""
log = logging.getLogger(__name__)


class EndedSessions(TopicFollower):
    """Ends here what ended at another replica, and tells the others what ended here.

    Parameters
    ----------
    settings
        Of the console.
    sessions
        Of this replica.
    kafka
        Takes records.
    """

    def __init__(self, settings: ConsoleSettings, sessions: Sessions, kafka: Sender) -> None:
        super().__init__(settings, "sessions", RETRY_MAX_S)
        self._sessions, self._sender = sessions, kafka
        self._untold: dict[str, Session] = {}
        """Ended here while Kafka did not take it, by nonce: told at the next look."""

    @property
    def trouble(self) -> str:
        """Why logouts at other replicas are not known; empty: they are."""
        if self._sessions.knows_all and not self._watch.trouble:
            return ""
        return f"the topic {SESSIONS} cannot be followed: {self._watch.trouble or 'not read yet'}"

    def publish(self, session: Session) -> None:
        """Tell the other replicas that a session has ended, now or as soon as Kafka takes it."""
        self._untold[session.nonce] = session
        try:
            self._tell()
        except Unavailable as error:
            log.warning("a logout is told to the other replicas later: %s", error)

    def _tell(self) -> None:
        told = self._untold.copy()
        for nonce in [nonce for nonce, one in told.items() if one.until_s <= time.time()]:
            self._untold.pop(nonce, None)  # its cookie opens nothing any more, anywhere
            del told[nonce]
        records = [
            Record(SESSIONS, one.nonce, json.dumps({"until_s": one.until_s}).encode())
            for one in told.values()
        ]
        delivery = self._sender.deliver(records)
        for nonce, is_taken in zip(told, delivery.taken, strict=True):
            if is_taken:
                self._untold.pop(nonce, None)
        if not delivery.is_complete:
            raise Unavailable(f"Kafka did not accept {delivery.missing} logouts: {delivery.reason}")

    def _succeed(self) -> None:
        if self._untold:
            self._tell()

    def _begin(self, reader: Reader) -> None:
        """Read all logouts that are kept: also after an error, as those read twice change nothing."""
        try:
            bounds = reader.bounds(SESSIONS)
            reader.begin({at: found.first for at, found in bounds.items()})
            for message in reader.read_to({at: found.end for at, found in bounds.items()}, LOAD_S):
                self._take(message)
        except KeyError as error:
            raise Unavailable(f"Kafka has no topic {SESSIONS}") from error
        self._sessions.knows_all = True

    def _take(self, message: Message) -> None:
        try:
            nonce = (message.key() or b"").decode()
            until_s = float(orjson.loads(message.value() or b"")["until_s"])
        except (ValueError, TypeError, KeyError):
            nonce, until_s = "", math.nan
        if not 0 < len(nonce) <= MOST_NONCE or not math.isfinite(until_s):
            log.warning("record %s of the topic %s is not a logout", message.offset(), SESSIONS)
            return
        if until_s > time.time():
            self._sessions.end(nonce, min(until_s, time.time() + MOST_S))
