"""What runs micro-batches one after the other: Spark Structured Streaming, or the driver alone."""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any, Protocol

from fraud.store import FeatureStore
from jobs.stream.offsets import Range
from jobs.stream.tasks.context import TaskContext

Process = Callable[[Any, int], None]
"""Runs a micro-batch: its records, as the engine has them, and its number."""


class QueryState(Enum):
    """Where a query stands."""

    STARTING = auto()
    WAITING = auto()
    """It has looked, and there is nothing to do."""
    RUNNING = auto()
    ENDED = auto()


class Query(Protocol):
    """Runs until it fails or is stopped. Its checkpoint has the form of Spark's, whoever runs it."""

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it has ended. Raises what ended it."""
        ...

    def stop(self) -> None:
        """End it; the micro-batch under way is given up or finished."""
        ...

    def state(self) -> QueryState:
        """Tell where it stands."""
        ...

    def lag(self) -> int | None:
        """Count the records in Kafka that are not read yet; None where it has not looked."""
        ...


class Engine(Protocol):
    """Starts queries, and runs the passes of their micro-batches."""

    failures: tuple[type[Exception], ...]
    """By which a query fails."""

    def warm_up(self) -> None:
        """Load what the passes need, and compile the fold."""
        ...

    def share(self, store: FeatureStore) -> None:
        """Take the driver's store, for passes that run in its process."""
        ...

    def start(self, process: Process, starting_offsets: str) -> Query:
        """Start the query.

        Parameters
        ----------
        process
            Called for each micro-batch, with its records and its number.
        starting_offsets
            Of a new checkpoint: ``earliest``, or by topic and partition as JSON.
        """
        ...

    def run(self, records: Any, context: TaskContext) -> list[str]:
        """Run the passes over a micro-batch; returns the tasks' summaries."""
        ...

    def run_bounded(self, context: TaskContext, ranges: Sequence[Range]) -> list[str]:
        """Run them over ranges that one task reads itself, in bounded memory."""
        ...
