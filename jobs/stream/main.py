"""Entry of the stream: ``python -m jobs.stream.main``; settings from ``FRAUD_STREAM_*``.

Ends with exit code 0 after SIGTERM or SIGINT (the running micro-batch is finished and archived), and
non-zero with one clear line when the query fails or a newer driver takes over.
"""

import logging
import signal
import sys
from typing import NoReturn

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from fraud.errors import FraudError
from fraud.runtime.telemetry import configure_logging, serve_metrics
from fraud.spark.session import end_jvm
from jobs.stream.cluster import check_cluster, cluster_of
from jobs.stream.passing import cause_of
from jobs.stream.run import StreamJob
from jobs.stream.settings import StreamSettings

log = logging.getLogger("jobs.stream")


def main() -> None:
    """Read the settings and run until told to stop."""
    configure_logging()
    try:
        settings = StreamSettings()
        check_cluster(settings.checkpoint_path, cluster_of(settings), settings.kafka_bootstrap)
        job = StreamJob(settings)
        signal.signal(signal.SIGTERM, job.stop)
        signal.signal(signal.SIGINT, job.stop)
        serve_metrics(settings.host, settings.metrics_port, job.is_ready)
        job.run()
    except (PySparkException, Py4JError) as error:
        log.exception("the query failed")
        _end(cause_of(str(error)))
    except FraudError as error:
        _end(str(error))


def _end(words: str) -> NoReturn:
    """End with one line, which is the log's last."""
    end_jvm()
    sys.exit(f"error: {words}")


if __name__ == "__main__":
    main()
