"""A reader for programs that follow a topic for long: it is opened again after an error."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial

from fraud.kafka.reader import NO_OPTIONS, Reader

log = logging.getLogger(__name__)


class KeptReader(ABC):
    """Opens its reader when it is needed.

    Parameters
    ----------
    bootstrap, options, name, patience_s
        Of the reader.
    """

    def __init__(
        self,
        bootstrap: str,
        options: Mapping[str, str] = NO_OPTIONS,
        *,
        name: str = "fraud",
        patience_s: float = 2.0,
    ) -> None:
        self._connect = partial(Reader, bootstrap, dict(options), name=name, patience_s=patience_s)
        self._reader: Reader | None = None

    @abstractmethod
    def _begin(self, reader: Reader) -> None:
        """Put a new reader where it is to read on."""

    def _open(self) -> Reader:
        if self._reader is None:
            reader = self._connect()
            try:
                self._begin(reader)
            except BaseException:
                reader.close()
                raise
            self._reader = reader
        return self._reader

    def close(self) -> None:
        """End the connections; the next look opens them again."""
        reader, self._reader = self._reader, None
        if reader is not None:
            self._leave(reader)
            reader.close()

    def _leave(self, reader: Reader) -> None:  # noqa: B027  (most need not know)
        """Note where a reader stands that is closed."""


class StayingReader(KeptReader):
    """One whose content stays as it was while the topic cannot be read.

    Attributes
    ----------
    content
        What stays, for the log: "the lists".
    """

    content: str
    trouble: str = ""
    """Why the topic could not be read at the last look; empty: it could."""

    def _lose(self, error: Exception) -> None:
        if not self.trouble:
            log.warning("%s stay as they were: %s", self.content, error)
        self.trouble = str(error)
        self.close()
