"""Progress of a build: the step, and of Spark's stages how many tasks are done."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pyspark.sql import SparkSession
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

_POLL_S: Final = 0.5


@contextmanager
def show_progress(spark: SparkSession) -> Iterator[Callable[[str], None]]:
    """Show a line that follows the work; gives what takes the name of each step."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("tasks"),
        TimeElapsedColumn(),
    )
    ended = threading.Event()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task("starting", total=None)

        def tell(step: str) -> None:
            bar.console.print(step)
            bar.update(line, description=step, completed=0, total=None)

        def follow() -> None:
            while not ended.wait(_POLL_S):
                done, total = _tasks(spark)
                if total:
                    bar.update(line, completed=done, total=total)

        follower = threading.Thread(target=follow, name="progress", daemon=True)
        follower.start()
        try:
            yield tell
        finally:
            ended.set()
            follower.join()


def _tasks(spark: SparkSession) -> tuple[int, int]:
    """Count the tasks of the running stages: those that are done, and all."""
    tracker = spark.sparkContext.statusTracker()
    stages = [tracker.getStageInfo(number) for number in tracker.getActiveStageIds()]
    known = [stage for stage in stages if stage is not None]
    return sum(stage.numCompletedTasks for stage in known), sum(stage.numTasks for stage in known)
