"""Entry of the stream: ``python -m jobs.stream.main``; settings from ``FRAUD_STREAM_*``.

Ends with exit code 0 after SIGTERM or SIGINT (the running micro-batch is finished and archived), and
non-zero with one clear line when the query fails or a newer driver takes over. Where the feature store went
back in time, the process starts itself again, and the start folds the log onto it (``jobs.stream.recovery``).
So it does, once, after a micro-batch that ran out of memory.
"""

import logging
import os
import signal
import sys
from typing import NoReturn

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from fraud.errors import FraudError, SetBack
from fraud.log.mirror import Mirror
from fraud.runtime.standby import wait_for_turn
from fraud.runtime.telemetry import configure_logging, serve_metrics
from fraud.runtime.traces import open_traces
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.spark.session import end_jvm
from jobs.stream.cluster import check_cluster, cluster_of
from jobs.stream.engine import open_engine
from jobs.stream.fit import check_successor
from jobs.stream.offsets import unfinished_of
from jobs.stream.outages import cause_of, is_first_lack_of_memory
from jobs.stream.recovery import make_whole
from jobs.stream.run import StreamJob
from jobs.stream.settings import StreamSettings

log = logging.getLogger("jobs.stream")


def main() -> None:
    """Read the settings and run until told to stop."""
    configure_logging()
    try:
        settings, schema = StreamSettings(), deployed_schema()
        traces = open_traces("fraud-stream")
        _stand_by(settings, schema)
        mirror = _mirror(settings)
        check_cluster(settings.checkpoint_path, cluster_of(settings), settings.kafka_bootstrap)
        if mirror is not None:
            mirror.push()  # the cluster's id
        jobs: list[StreamJob] = []
        serve_metrics(settings.host, settings.metrics_port, lambda: any(job.is_ready() for job in jobs))
        make_whole(settings, schema, mirror=mirror)
        job = StreamJob(settings, schema, traces, mirror)
        signal.signal(signal.SIGTERM, job.stop)
        signal.signal(signal.SIGINT, job.stop)
        jobs.append(job)
        _run(job, settings)
    except (PySparkException, Py4JError) as error:
        log.exception("the query failed")
        _end(cause_of(str(error)))
    except FraudError as error:
        _end(str(error))


def _stand_by(settings: StreamSettings, schema: Schema) -> None:
    """Load the engine and the compiled fold beside a predecessor; wait until that has ended."""
    if settings.start_after is None:
        return
    if not settings.start_unchecked:
        check_successor(settings, schema)
    open_engine(settings, schema).warm_up()
    wait_for_turn(settings.start_after)
    os.environ.pop("FRAUD_STREAM_START_AFTER", None)  # a process that starts itself again does not wait


def _mirror(settings: StreamSettings) -> Mirror | None:
    """Have the driver's files here, where they are kept in an object store."""
    if not settings.home_uri:
        return None
    mirror = Mirror(settings.folder, settings.home_uri)
    mirror.restore()
    return mirror


def _run(job: StreamJob, settings: StreamSettings) -> None:
    """Run until told to stop; start again after what the next start repairs.

    That is a store that went back in time, and a micro-batch that ran out of memory, which the next start
    reads in bounded memory. A cluster starts its drivers again itself.
    """
    try:
        job.run()
    except (PySparkException, Py4JError, SetBack, MemoryError) as error:
        is_set_back = isinstance(error, SetBack) or "fraud.errors.SetBack" in str(error)
        unfinished = unfinished_of(settings.checkpoint_path)
        lacks = not is_set_back and is_first_lack_of_memory(error, unfinished, os.environ)
        is_repaired = lacks or (is_set_back and settings.catch_up)
        if not is_repaired or "SPARK_ENV_LOADED" in os.environ:
            raise
        log.warning("the stream starts again, because: %s", cause_of(str(error)))
        _start_again()


def _start_again() -> NoReturn:
    """Become a new process of the same number: workers keep connections to the store that is gone."""
    end_jvm()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  (no shell is wanted)


def _end(words: str) -> NoReturn:
    """End with one line, which is the log's last."""
    end_jvm()
    sys.exit(f"error: {words}")


if __name__ == "__main__":
    main()
