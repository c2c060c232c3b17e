"""What a load needs, from measured figures and a simulated day: parts, and the first bottleneck.

What was measured is multiplied, and each line says how. What there is one of (a primary's thread, memory and
network, the writer of the Delta tables) is held against what the load needs; the store is shared by as many
primaries as that takes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fraud.errors import BadInput
from fraud.tools.plan.day import EntityDay
from fraud.tools.plan.figures import Figures

MOST_USERS: Final = 100_000_000
MOST_PER_S: Final = 100_000.0
HEADROOM: Final = 0.7
"""Share of the store's measured rate, and of its machine's network, that a plan uses."""
MEMORY_SHARE: Final = 0.45
"""Of the store's memory limit that states may use (chart ``feature-store``)."""
GIB: Final = 2.0**30
DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked for."""

    users: int
    per_s: float
    """At the peak."""
    latency_ms: float
    """99th percentile from a transaction to its decision."""
    peak: float = 2.5
    """The peak's rate over the day's mean."""
    machine_gib: float = 512.0
    """Memory of the largest machine that can be had for the store."""
    network_gbit: float = 10.0
    kafka_days: float = 7.0
    delta_days: float = 365.0

    def __post_init__(self) -> None:
        """Refuse loads that are far from every measured one."""
        if not 1 <= self.users <= MOST_USERS:
            raise BadInput(f"--users is {self.users:,}; a plan is made for 1 to {MOST_USERS:,}")
        if not 0.0 < self.per_s <= MOST_PER_S:
            raise BadInput(
                f"--transactions-per-second is {self.per_s:,.0f}; a plan is made for up to {MOST_PER_S:,.0f}"
            )

    @property
    def per_day(self) -> float:
        """Transactions of a day."""
        return self.per_s / self.peak * DAY_S


@dataclass(frozen=True, slots=True)
class PartNeed:
    """One part's need."""

    part: str
    need: str
    why: str


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """A resource that cannot be added to, and how much of it the load uses."""

    name: str
    share: float
    """Share of it that the load needs; above 1, it is not enough."""
    ends_at: str
    """The load at which it ends."""
    remedy: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a load needs."""

    path: str
    """``stream``, or ``scoring service`` where the stream is not quick enough."""
    lines: tuple[PartNeed, ...]
    ceilings: tuple[Bottleneck, ...]
    """The first to end first."""


def make_plan(load: Load, days: Sequence[EntityDay], figures: Figures) -> Plan:
    """Make a plan.

    Raises
    ------
    BadInput
        When no measured path is as quick as asked.
    """
    share = stream_share(load.latency_ms, figures)
    stored = sum(day.entities * (2.0 * day.state_bytes + figures.assumed.store_key_bytes) for day in days)
    if share:
        decide = _stream(load, share, figures)
        records = min(figures.stream.micro_batch_records, load.per_s * figures.stream.micro_batch_s)
        touched = [day.distinct(records) for day in days]
    else:
        decide, records, touched = _scoring(load, figures), 1.0, [1.0] * len(days)
    # Each state is written with the one before it.
    written = sum(2.0 * count * day.written_bytes for count, day in zip(touched, days, strict=True))
    batches_per_s = load.per_s / records
    bytes_per_s, states_per_s = written * batches_per_s, sum(touched) * batches_per_s
    states_per_s *= _heavier(bytes_per_s / states_per_s / 2.0, figures)
    ceilings = sorted(
        (
            _thread(load, states_per_s, figures),
            _memory(load, stored),
            _network(load, bytes_per_s),
            _writer(load, figures),
        ),
        key=lambda one: -one.share,
    )
    shards = max(1, *(math.ceil(one.share) for one in ceilings if one.name.startswith("store")))
    lines = (*decide, *_store(stored, shards), *_disks(load, bytes_per_s, figures))
    return Plan("stream" if share else "scoring service", lines, tuple(ceilings))


def stream_share(latency_ms: float, figures: Figures) -> float:
    """Share of the stream's rate from a backlog at which it is as quick as asked; 0: at none."""
    return max((one.share for one in figures.stream.latency if one.p99_ms <= latency_ms), default=0.0)


def _stream(load: Load, share: float, figures: Figures) -> tuple[PartNeed, ...]:
    stream = figures.stream
    cores = math.ceil(load.per_s / (stream.decided_per_s * share) * stream.cores)
    partitions = 2 ** math.ceil(math.log2(max(cores, 3)))
    why = (
        f"{stream.decided_per_s:,.0f}/s on {stream.cores} cores from a backlog, at {share:.0%} of it; linear"
    )
    return (
        PartNeed("stream: cores", f"{cores:,}", why),
        PartNeed(
            "stream: memory", f"{math.ceil(stream.memory_gib * cores / stream.cores):,} GiB", "with the cores"
        ),
        PartNeed("Kafka: partitions", f"{partitions:,}", "as many as cores, to the next power of two"),
    )


def _scoring(load: Load, figures: Figures) -> tuple[PartNeed, ...]:
    scoring = figures.scoring
    quick = [one.per_s for one in scoring.latency if one.p99_ms <= load.latency_ms]
    if not quick:
        best = min(one.p99_ms for one in scoring.latency)
        raise BadInput(f"--latency is {load.latency_ms:g} ms; the quickest that was measured is {best:g} ms")
    replicas = math.ceil(load.per_s / max(quick))
    stream = figures.stream
    beside = math.ceil(load.per_s / stream.decided_per_s * stream.cores)
    why = f"{max(quick):,.0f}/s each, with {scoring.cores} cores; linear"
    return (
        PartNeed("scoring service: replicas", f"{replicas:,}", why),
        PartNeed(
            "scoring service: cores", f"{replicas * scoring.cores:,}", "the load generator's share included"
        ),
        PartNeed(
            "scoring service: memory",
            f"{math.ceil(replicas * scoring.memory_gib):,} GiB",
            "with the replicas",
        ),
        PartNeed(
            "stream: cores",
            f"{beside:,}",
            "archives what the scoring service decided; as for its own records",
        ),
        PartNeed(
            "Kafka: partitions",
            f"{2 ** math.ceil(math.log2(max(beside, 3))):,}",
            "as many as the stream's cores",
        ),
    )


def _store(stored: float, shards: int) -> tuple[PartNeed, ...]:
    each = stored / shards / MEMORY_SHARE / GIB
    why = f"a primary and two replicas a shard; states take {MEMORY_SHARE:.0%} of the limit"
    return (
        PartNeed(
            "store: states",
            f"{stored / GIB:,.1f} GiB",
            "each state and the one before it, of all entities",
        ),
        PartNeed(
            "store: shards",
            f"{shards:,}",
            "primaries; the store's URL names each, separated by spaces" if shards > 1 else "one primary",
        ),
        PartNeed("store: servers", f"{3 * shards:,} of {math.ceil(each):,} GiB, 2 cores", why),
    )


def _disks(load: Load, bytes_per_s: float, figures: Figures) -> tuple[PartNeed, ...]:
    record, row = figures.assumed.kafka_bytes, figures.assumed.delta_bytes
    kafka = 3.0 * record * load.per_day * load.kafka_days / 1e12
    delta = row * load.per_day * load.delta_days / 1e12
    return (
        PartNeed(
            "store: written", f"{bytes_per_s / 1e6:,.0f} MB/s", "at the peak, to the log of each server"
        ),
        PartNeed(
            "Kafka: disk",
            f"{kafka:,.1f} TB",
            f"3 copies, {load.kafka_days:g} days; {record:,.0f} B assumed",
        ),
        PartNeed(
            "tables: disk",
            f"{delta:,.1f} TB",
            f"{load.delta_days:g} days; {row:,.0f} B a row assumed",
        ),
    )


def _thread(load: Load, states_per_s: float, figures: Figures) -> Bottleneck:
    share = states_per_s / (figures.store.states_per_s * HEADROOM)
    return Bottleneck(
        "store: one thread", share, _rate(load.per_s / share), "shards, or fewer entities in the schema"
    )


def _memory(load: Load, stored: float) -> Bottleneck:
    share = stored / (load.machine_gib * GIB * MEMORY_SHARE)
    return Bottleneck(
        "store: memory of one machine",
        share,
        f"{load.users / share:,.0f} users",
        "shards, or fewer kept events",
    )


def _network(load: Load, bytes_per_s: float) -> Bottleneck:
    # To the primary, and from it to two replicas: the way out carries twice what comes in.
    share = 2.0 * bytes_per_s / (load.network_gbit / 8.0 * 1e9 * HEADROOM)
    return Bottleneck(
        "store: network of one machine", share, _rate(load.per_s / share), "shards, or fewer kept events"
    )


def _writer(load: Load, figures: Figures) -> Bottleneck:
    rate = figures.stream.archived_per_s
    mean = load.per_s / load.peak
    remedy = "several writers; until then the spool grows by day"
    return Bottleneck("Delta tables: one writer", mean / rate, _rate(rate * load.peak), remedy)


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f} transactions/s"


def _heavier(state_bytes: float, figures: Figures) -> float:
    """How much longer than the measured ones these states take: by their bytes, rather too much."""
    return max(1.0, state_bytes / figures.store.state_bytes)
