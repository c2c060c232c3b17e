"""Every version that the embedded platform fetches or demands, in one place."""

from typing import Final

JAVA_VERSIONS: Final = (17, 21)
"""Major versions of Java that Spark and the broker run on."""

SPARK_PACKAGES: Final = (
    "org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0",
    "io.delta:delta-spark_4.2_2.13:4.4.0",
    "com.globalmentor:hadoop-bare-naked-local-fs:0.1.0",
)
"""Maven coordinates of what Spark needs beside its own jars: the Kafka source, Delta Lake, and a local file
system that sets permissions without starting a program for each file."""

BROKER_PACKAGES: Final = (
    "org.apache.kafka:kafka_2.13:4.1.1",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3",
)
"""Maven coordinates of the broker, and of what makes it log.

Its client library is newer than that of Spark's Kafka source: the two never share a class path.
"""
