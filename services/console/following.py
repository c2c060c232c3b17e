"""How the console follows Kafka: in a thread of its own, which connects again after any error."""

from abc import abstractmethod
from typing import Final

from fraud.kafka.kept_reader import KeptReader
from fraud.kafka.reader import Message
from fraud.runtime.threads import Watch
from services.console.settings import ConsoleSettings

ANSWER_S: Final = 5.0
"""How long a broker may take for one answer, seconds."""


class TopicFollower(KeptReader):
    """Takes each record that comes.

    Parameters
    ----------
    settings
        Of the console.
    thread
        Name of the thread.
    retry_max_s
        Longest wait after failures, seconds.
    """

    def __init__(self, settings: ConsoleSettings, thread: str, retry_max_s: float) -> None:
        super().__init__(
            settings.kafka_bootstrap, settings.kafka_options, name="fraud-console", patience_s=ANSWER_S
        )
        self._watch = Watch(thread, self._look, 0.0, backoff_max_s=retry_max_s)

    def start(self) -> None:
        """Begin to follow."""
        self._watch.start()

    def stop(self) -> None:
        """End."""
        if self._watch.stop():
            self.close()

    def _look(self) -> None:
        try:
            reader = self._open()
            for message in reader.take():
                self._take(message)
            reader.check()
            self._succeed()
        except BaseException as error:
            self._fail(error)
            self.close()
            raise

    @abstractmethod
    def _take(self, message: Message) -> None:
        """Take a record in."""

    def _succeed(self) -> None:
        """Do what is due after a look."""

    def _fail(self, error: BaseException) -> None:
        """Note why a look failed."""
