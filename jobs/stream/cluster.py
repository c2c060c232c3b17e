"""Which Kafka cluster a checkpoint belongs to: its offsets mean nothing in another one.

Asks the brokers for their cluster's id, and keeps it beside the checkpoint in the file ``kafka-cluster``.
"""

from pathlib import Path
from typing import Final

from fraud.errors import BadState
from fraud.kafka.cluster import describe
from fraud.runtime.files import write_durably
from fraud.settings.stream import KafkaSettings

_PATIENCE_S: Final = 60.0
_FILE: Final = "kafka-cluster"


def cluster_of(kafka: KafkaSettings, patience_s: float = _PATIENCE_S) -> str:
    """Ask the brokers for their cluster's id.

    Raises
    ------
    Unavailable
        When they do not answer in time.
    """
    return describe(kafka.kafka_bootstrap, kafka.kafka_options, patience_s).id


def check_cluster(checkpoint: Path, found: str, bootstrap: str) -> None:
    """Make sure that a checkpoint is the found cluster's; a new one becomes it.

    Raises
    ------
    BadState
        When it is another cluster's, whose offsets would skip or repeat records here.
    """
    file = checkpoint / _FILE
    known = file.read_text().strip() if file.exists() else ""
    if not known:
        checkpoint.mkdir(parents=True, exist_ok=True)
        write_durably(file, f"{found}\n".encode())
    elif known != found:
        raise BadState(
            f"the checkpoint in {checkpoint} belongs to Kafka cluster {known}, but {bootstrap} is "
            f"cluster {found}: its offsets mean other records there. Set FRAUD_STREAM_KAFKA_BOOTSTRAP to "
            "the first one; if that is gone for good, start again with an empty FRAUD_STREAM_HOME and "
            "feature store (docs/start.md, 30 minutes: kind)"
        )
