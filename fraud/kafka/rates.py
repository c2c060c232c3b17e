"""Reference rates as they are now: a file that may change, and the compacted topic ``rates``.

A record of the topic is JSON, ``{"currency": "EUR", "base": "USD", "rate": "1.0921", "since":
"2026-11-27T15:00:00Z"}``, keyed ``EUR@2026-11-27T15:00:00Z``; one without a value takes the rate back. Of the
same currency and time the topic's rate counts, not the file's. A wrong record or file is refused, and said
once; what was in force stays.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Final

import orjson

from fraud.contracts.topics import RATES
from fraud.errors import BadConfig, Unavailable
from fraud.kafka.cluster import describe
from fraud.kafka.reader import Message, Reader
from fraud.money import NO_RATES, Rate, Rates, read_rates
from fraud.money.rates import parse_rate
from fraud.settings.definition import Stamp, stamp_of

log = logging.getLogger(__name__)
RETRY_S: Final = 10.0
"""Time between two looks for brokers or a topic that were not there, seconds."""
ANSWER_S: Final = 3.0
"""How long the brokers may take to list their topics, seconds."""
PATIENCE_S: Final = 10.0
"""How long the topic may take to be read to its end, seconds."""


class RateFeed:
    """Holds the rates, and takes in what has changed when it is told to look.

    Parameters
    ----------
    base
        The schema's base currency.
    file
        Of rates; None: the topic alone.
    bootstrap, options
        Brokers and further client options; without brokers the file alone counts.

    Raises
    ------
    BadConfig
        When the file is wrong at the start.
    """

    def __init__(
        self, base: str, file: Path | None, bootstrap: str = "", options: Mapping[str, str] | None = None
    ) -> None:
        self._base, self._file = base, file
        self._bootstrap, self._options = bootstrap, dict(options or {})
        self._seen = self._stamp()
        self._of_file = read_rates(file, base) if file else NO_RATES
        self._of_topic: dict[str, Rate] = {}
        self._reader: Reader | None = None
        self._next_try = 0.0
        self.rates: Rates = self._of_file
        """In force; never changed, but replaced as a whole."""
        self.refused = ""
        """The last file or record that was refused, and why."""

    def look(self) -> bool:
        """Take in the file where it has changed, and what came to the topic; True when rates did."""
        is_new = self._look_at_file()
        try:
            is_new |= self._look_at_topic()
        except Unavailable as error:
            self.close()
            self._next_try = monotonic() + RETRY_S
            log.warning("%s; until they do, no new rates come from the topic `%s`", error, RATES)
        if is_new:
            self.rates = self._of_file.with_(self._of_topic.values())
            log.info("%d reference rates to %s are in force", len(self.rates), self._base)
        return is_new

    def close(self) -> None:
        """End the connection."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _look_at_file(self) -> bool:
        stamp = self._stamp()
        if self._file is None or stamp == self._seen:
            return False
        self._seen = stamp
        try:
            self._of_file = read_rates(self._file, self._base)
        except BadConfig as error:
            self._refuse(str(error))
            return False
        return True

    def _look_at_topic(self) -> bool:
        if self._reader is None:
            if not self._bootstrap or monotonic() < self._next_try:
                return False
            return self._open()
        return sum(map(self._take, self._reader.take(0.0))) > 0

    def _open(self) -> bool:
        """Read the topic from its beginning to its present end."""
        self._next_try = monotonic() + RETRY_S
        if RATES not in describe(self._bootstrap, self._options, ANSWER_S).topics:
            return False
        self._reader = Reader(self._bootstrap, self._options, name="fraud-rates")
        bounds = self._reader.bounds(RATES)
        self._reader.begin({at: found.first for at, found in bounds.items()})
        ends = {at: found.end for at, found in bounds.items()}
        self._of_topic.clear()
        return sum(map(self._take, self._reader.read_to(ends, PATIENCE_S))) > 0

    def _take(self, message: Message) -> bool:
        key, value = (message.key() or b"").decode(errors="replace"), message.value()
        if value is None:
            return self._of_topic.pop(key, None) is not None
        try:
            found = parse_rate(orjson.loads(value), self._base)
        except (ValueError, TypeError, AttributeError) as error:
            self._refuse(f"topic {RATES}, partition {message.partition()}, {message.offset()}: {error}")
            return False
        self._of_topic[found.key] = found
        return True

    def _refuse(self, words: str) -> None:
        self.refused = words
        log.error("rates are refused: %s", words)

    def _stamp(self) -> Stamp | None:
        return stamp_of(self._file) if self._file else None


def rates_now(
    base: str, file: Path | None, bootstrap: str = "", options: Mapping[str, str] | None = None
) -> Rates:
    """Read the rates once; without an answer of the brokers those of the file, and the log says so.

    Parameters
    ----------
    base, file, bootstrap, options
        As of :class:`RateFeed`.

    Raises
    ------
    BadConfig
        When the file is wrong.
    """
    feed = RateFeed(base, file, bootstrap, options)
    feed.look()
    feed.close()
    return feed.rates
