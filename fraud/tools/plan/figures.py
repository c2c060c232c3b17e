"""What was measured, from the committed file ``figures.json``; a plan takes no figure from elsewhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

FILE: Final = Path(__file__).parent / "figures.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AtShare(_Record):
    """Latency of the stream at a share of its rate from a backlog."""

    share: float
    p99_ms: float


class AtRate(_Record):
    """Latency of the scoring service at a rate."""

    per_s: float
    p99_ms: float


class StreamFigures(_Record):
    """Of ``fraud bench stream``."""

    command: str
    cores: int
    decided_per_s: float
    """From a backlog."""
    archived_per_s: float
    """Into the Delta tables, by the one writer that there is."""
    micro_batch_records: int
    """At most."""
    micro_batch_s: float
    """Of one at half of the rate, seconds."""
    memory_gib: float
    latency: Sequence[AtShare]


class ScoringFigures(_Record):
    """Of ``fraud bench score``; its load generator ran on the same cores."""

    command: str
    cores: int
    memory_gib: float
    latency: Sequence[AtRate]


class StoreFigures(_Record):
    """Of one Redis primary, which writes in one thread."""

    command: str
    states_per_s: float
    state_bytes: float


class Assumed(_Record):
    """Assumed values that were not measured; your own data soon shows them."""

    kafka_bytes: float
    """Of a transaction with its decision, packed, in one copy."""
    delta_bytes: float
    """Of a transaction with its features and its decision, as Parquet."""
    store_key_bytes: float
    """Of a key, its entry in the sorted set, and the allocator's rounding; twice the state comes on top."""


class Figures(_Record):
    """All of them."""

    machine: str
    stream: StreamFigures
    scoring: ScoringFigures
    store: StoreFigures
    assumed: Assumed


def read_figures(file: Path = FILE) -> Figures:
    """Read the measured figures.

    Examples
    --------
    >>> read_figures().stream.cores
    2
    """
    return Figures.model_validate_json(file.read_text())
