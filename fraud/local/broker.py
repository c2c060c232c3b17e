"""The embedded Kafka broker: one process in KRaft mode, its data in the home folder.

Writes ``server.properties``, ``log4j2.properties`` and ``data/`` into its folder; makes the topics of
:data:`fraud.contracts.TOPICS`. Paths in its files are relative, so a home folder may have any name.
"""

import base64
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # re-exported untold

from fraud.contracts import COMPACTED, TOPICS
from fraud.contracts.topics import KEPT_WHOLE_MS, MOST_BYTES, ORDERED
from fraud.errors import BadConfig, Unavailable
from fraud.local.jars import Tell, broker_classpath
from fraud.local.java import QUICK_START, java_home
from fraud.runtime.surroundings import settle

_TIMEOUT_S: Final = 30.0
_TOPIC: Final = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1", "retention.bytes": "-1"}
_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=data
auto.create.topics.enable=false
num.partitions={partitions}
log.message.timestamp.type=LogAppendTime
log.retention.ms=-1
log.retention.bytes=-1
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
"""
_LOGGING: Final = """\
status=warn
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{yyyy-MM-dd'T'HH:mm:ss.SSS}{UTC}Z %p %m (%c{1})%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
"""


def prepare_broker(
    folder: Path, *, host: str, ports: Mapping[str, int], partitions: int, tell: Tell | None = None
) -> None:
    """Write the broker's files and, the first time, format its storage.

    Parameters
    ----------
    folder
        The broker's own.
    host
        Address to listen on.
    ports
        ``kafka`` for clients, ``kafka_controller`` for itself.
    partitions
        Default number of partitions of a topic.
    tell
        Takes words of progress while the jars are fetched.

    Raises
    ------
    BadConfig
        When the storage cannot be formatted; the message carries the tool's words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "server.properties").write_text(
        _PROPERTIES.format(
            host=host, port=ports["kafka"], controller=ports["kafka_controller"], partitions=partitions
        ),
    )
    (folder / "log4j2.properties").write_text(_LOGGING)
    broker_classpath(tell)
    if not (folder / "formatted").exists():
        _format(folder)


def broker_command(heap_mb: int) -> list[str]:
    """Return the command that runs the broker in its folder."""
    return [
        *_java(),
        f"-Xms{min(256, heap_mb)}m",
        f"-Xmx{heap_mb}m",
        "-XX:+ExitOnOutOfMemoryError",
        "kafka.Kafka",
        "server.properties",
    ]


def is_broker_ready(bootstrap: str) -> bool:
    """Whether the broker answers, and takes part in its cluster."""
    try:
        return bool(_admin(bootstrap).list_topics(timeout=2.0).brokers)
    except KafkaException:
        return False


def create_topics(bootstrap: str, partitions: int) -> None:
    """Make the topics that are missing; those that exist stay as they are.

    Raises
    ------
    Unavailable
        When the broker does not answer, or refuses one.
    """
    admin = _admin(bootstrap)
    try:
        missing = set(TOPICS) - set(admin.list_topics(timeout=_TIMEOUT_S).topics)
        topics = [
            NewTopic(
                name,
                num_partitions=1 if name in ORDERED else partitions,
                replication_factor=1,
                config=_config_of(name),
            )
            for name in missing
        ]
        made = admin.create_topics(topics, operation_timeout=_TIMEOUT_S) if topics else {}
        for future in made.values():
            _finish(future)
    except (KafkaException, TimeoutError) as error:
        raise Unavailable(f"the broker at {bootstrap} did not make the topics: {error}") from error


def _config_of(topic: str) -> dict[str, str]:
    more = {"max.message.bytes": MOST_BYTES.get(topic), "min.compaction.lag.ms": KEPT_WHOLE_MS.get(topic)}
    given = {name: str(value) for name, value in more.items() if value is not None}
    return {**_TOPIC, **({"cleanup.policy": "compact"} if topic in COMPACTED else {}), **given}


def broker_environment() -> dict[str, str]:
    """Return the environment of the broker: the jars travel in it, for the command to stay readable."""
    environment = {**os.environ, "JAVA_HOME": str(java_home()), "CLASSPATH": broker_classpath()}
    settle(environment)
    return environment


def _finish(future: Any) -> None:
    try:
        future.result(_TIMEOUT_S)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _format(folder: Path) -> None:
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)  # left by a try that was cut off; the broker never ran on it
    command = [*_java(), "kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", "server.properties"]
    done = subprocess.run(
        command, cwd=folder, env=broker_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BadConfig(f"the broker's storage in {data} could not be formatted: {done.stdout}{done.stderr}")
    (folder / "formatted").touch()


def _java() -> list[str]:
    return [str(java_home() / "bin" / "java"), "-Dlog4j2.configurationFile=log4j2.properties", *QUICK_START]


def _cluster_id() -> str:
    number = uuid.uuid4().bytes
    first = number[0] & 0x7F  # so that it never begins with a dash, which reads as an option
    return base64.urlsafe_b64encode(bytes([first]) + number[1:]).decode()[:22]


def _admin(bootstrap: str) -> Any:
    silent: dict[str, Any] = {"log_level": 0, "error_cb": lambda _error: None}
    return AdminClient({"bootstrap.servers": bootstrap, "socket.timeout.ms": 10_000, **silent})
