"""The Spark session of the streaming job and of whatever else reads or writes its Delta tables."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from pyspark import SparkContext
from pyspark.sql import SparkSession

from fraud.local.jars import spark_jars
from fraud.local.java import QUICK_START, java_home
from fraud.runtime.surroundings import settle_own

KAFKA_SOURCE: Final = {
    # Spark asks where a partition ends while the consumer's next fetch still waits for records. Both go
    # over one connection, so that the answer takes as long as that fetch may wait: 500 ms by default.
    "kafka.fetch.max.wait.ms": "0",
    # It asks after every poll, which holds this many records decompressed in the driver's heap.
    "kafka.max.poll.records": "200",
    "kafka.isolation.level": "read_committed",  # what a producer takes back is not decided
}
"""Options of the streaming source (DECISIONS.md, 42)."""

_LOGGING: Final = Path(__file__).with_name("log4j2.properties")
_CONF: Final = {
    "spark.sql.session.timeZone": "UTC",
    # A micro-batch is small and its passes have a fixed width: planning again at run time only costs.
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
    "spark.sql.execution.arrow.maxBytesPerBatch": "16000000",
    # A task that runs out of memory fails alone, and its micro-batch is read carefully.
    "spark.executor.killOnFatalError.depth": "0",
    # A checkpoint is two files a micro-batch; Hadoop's own file system starts chmod twice for each, 70 ms.
    "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.defaultJavaOptions": f"-Dlog4j2.configurationFile={_LOGGING} {' '.join(QUICK_START)}",
}
_DELTA: Final = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.snapshotPartitions": "1",
}


# Spark's own metrics stand on its web page, which is there for them alone; it keeps little history.
_METRICS: Final = {
    "spark.ui.enabled": "true",
    "spark.ui.killEnabled": "false",
    "spark.ui.retainedJobs": "50",
    "spark.ui.retainedStages": "50",
    "spark.sql.ui.retainedExecutions": "20",
    "spark.ui.prometheus.enabled": "true",
    "spark.metrics.namespace": "fraud_stream",  # by default the application's id: a new name at each start
    "spark.metrics.conf.*.sink.prometheusServlet.class": "org.apache.spark.metrics.sink.PrometheusServlet",
    "spark.metrics.conf.*.sink.prometheusServlet.path": "/metrics/prometheus",
    "spark.sql.streaming.metricsEnabled": "true",
}


def open_session(
    name: str, master: str, partitions: int, *, delta: bool = True, spark_port: int | None = None
) -> SparkSession:
    """Open the process's Spark session, with the Kafka source and, where asked for, Delta Lake.

    On a cluster (``SPARK_ENV_LOADED``) the master, the memory, the jars and Java are the cluster's. With a
    ``spark_port``, Spark shows its own metrics there, under ``/metrics/prometheus/`` and
    ``/metrics/executors/prometheus/``.
    """
    builder = SparkSession.builder.appName(name).config("spark.sql.shuffle.partitions", partitions)
    metrics = {} if spark_port is None else {**_METRICS, "spark.ui.port": str(spark_port)}
    for key, value in {**_CONF, **(_DELTA if delta else {}), **metrics}.items():
        builder = builder.config(key, value)
    if "SPARK_ENV_LOADED" not in os.environ:
        settle_own()
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")  # its web page listens on every address else
        os.environ["JAVA_HOME"] = str(java_home())
        os.environ["PYSPARK_PYTHON"] = sys.executable
        classpath = os.pathsep.join(str(jar) for jar in spark_jars())
        builder = (
            builder.master(master)
            .config("spark.driver.memory", "1g")
            .config("spark.driver.extraClassPath", classpath)
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
        )
    return builder.getOrCreate()


def end_jvm(patience_s: float = 15.0) -> None:
    """End the JVM that this process has started, so that nothing of it follows our last line in the log."""
    process = getattr(SparkContext._gateway, "proc", None)  # noqa: SLF001  there is no public name
    if process is None:  # none, or a cluster's
        return
    process.stdin.close()  # Spark's own sign that its driver is gone
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
