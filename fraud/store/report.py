"""What the ``fraud store`` commands show: one entity, and the whole store, as data and as tables."""

import math
from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fraud.errors import BadInput
from fraud.features.hashing import hash_text
from fraud.features.passes import EntityPass
from fraud.features.snapshot import Snapshot, read_snapshot
from fraud.store.base import FeatureStore
from fraud.store.check import Checked, Fault
from fraud.store.value import epoch_of, newest_state

_DAY_US: Final = 86_400e6
_PERCENTILES: Final = (50, 90, 99)
_SHOWN_EVENTS: Final = 5
_SHOWN_VALUES: Final = 3


@dataclass(frozen=True, slots=True)
class Inspected:
    """One state of a store."""

    entity: str
    name: str
    key: int
    """Hash of its name, under which the store knows it."""
    generation: int
    batch: int
    """Epoch of the micro-batch that wrote it."""
    stored_bytes: int
    state_bytes: int
    state: Snapshot


@dataclass(frozen=True, slots=True)
class Stats:
    """All states of one entity."""

    entity: str
    entities: int
    stored_bytes: int
    without_events: int
    """Entities that only a label has spoken of."""
    oldest: datetime | None
    """Newest event of the entity that has been idle longest."""
    age_days: dict[str, float]
    """Percentiles of the time from an entity's newest event to the newest of the whole store."""


def inspect(store: FeatureStore, of: EntityPass, name: str) -> Inspected:
    """Look one state up.

    Raises
    ------
    BadInput
        When the store has no such entity.
    BadState
        When its state was written with another layout.
    """
    key = hash_text(name)
    (stored,) = store.stored(of.name, [key])
    if stored is None:
        raise BadInput(
            f"the feature store knows no {of.name} {name!r}: it has had no transaction yet, was idle so long "
            "that it was forgotten, or is written differently (names are case-sensitive)"
        )
    state = newest_state(stored)
    epoch = epoch_of(stored)
    snapshot = read_snapshot(of.plan, state)
    sizes = len(stored), len(state)
    return Inspected(of.name, name, int(key), epoch.generation, epoch.batch, *sizes, snapshot)


def measure(store: FeatureStore) -> list[Stats]:
    """Go through the whole store without reading its states."""
    sizes = dict.fromkeys(store.entities, 0)
    newest = {entity: array("d") for entity in store.entities}
    for entity in store.entities:
        for entry in store.entries(entity):
            sizes[entity] += entry.stored_bytes
            newest[entity].append(entry.newest_event_us)
    latest = max((max(times) for times in newest.values() if times), default=-math.inf)
    return [_stats(name, sizes[name], np.frombuffer(newest[name]), latest) for name in store.entities]


def newest_event_us(store: FeatureStore) -> float:
    """Event time of the newest event that a store knows, microseconds; minus infinity when it is empty."""
    times = (one.newest_event_us for entity in store.entities for one in store.entries(entity))
    return max(times, default=-math.inf)


def as_json(found: Any) -> Any:
    """Make plain JSON values of a record: times in ISO 8601, missing numbers null."""
    if isinstance(found, dict):
        return {name: as_json(value) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [as_json(value) for value in found]
    if isinstance(found, datetime):
        return found.isoformat()
    if isinstance(found, float):
        return found if math.isfinite(found) else None
    return found if not hasattr(found, "__dataclass_fields__") else as_json(asdict(found))


def inspected_tables(found: Inspected) -> Iterator[Table]:
    """Show one entity: the state, then what its windows hold."""
    state = found.state
    table = Table(
        box=SIMPLE_HEAD, title=f"{found.entity} {found.name}", title_justify="left", show_header=False
    )
    kept = f"{len(state.kept)} kept (at most {state.kept_at_most})"
    rows = {
        "known as": f"{found.key} (hash)",
        "newest event": _words(state.newest_event),
        "transactions": f"{state.transactions:,} folded, {kept}",
        "kept since": _words(state.kept[0].event_time) if state.kept else "-",
        "tiles": ", ".join(f"{n} of {width}" for width, n in state.tiles.items()),
        "written by": f"generation {found.generation}, micro-batch {found.batch}",
        "size": f"{found.state_bytes:,} bytes, {found.stored_bytes:,} with the state before",
    }
    for name, text in rows.items():
        table.add_row(name, text)
    for column, values in state.known.items():
        last = ", ".join(str(value.value_hash) for value in values[-_SHOWN_VALUES:])
        table.add_row(f"known {column}", f"{len(values)}; the last by hash: {last}" if values else "0")
    for name, told in state.profile.items():
        shown = told.value if isinstance(told.value, tuple) else f"{told.value:,.6g}"
        table.add_row(f"profile {name}", f"{shown} since {_words(told.since)}")
    for event in reversed(state.kept[-_SHOWN_EVENTS:]):
        label = {None: "no label", True: "fraud", False: "legitimate"}[event.is_fraud]
        table.add_row("kept event", f"{_words(event.event_time)}  {event.amount:,.2f}  {label}")
    yield table
    windows = Table("feature", "value", box=SIMPLE_HEAD, title="as of its newest event", title_justify="left")
    windows.columns[1].justify = "right"
    for name, value in state.windows.items():
        windows.add_row(name, "missing" if math.isnan(value) else f"{value:,.6g}")
    yield windows


def stats_table(found: list[Stats]) -> Table:
    """Show the whole store, a column an entity."""
    table = Table("", *(f"{stats.entity}s" for stats in found), box=SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("entities", *(f"{stats.entities:,}" for stats in found))
    table.add_row("size, MiB", *(f"{stats.stored_bytes / 2**20:,.1f}" for stats in found))
    table.add_row("known by labels alone", *(f"{stats.without_events:,}" for stats in found))
    table.add_row("longest idle since", *(_words(stats.oldest) for stats in found))
    for name in _age_names():
        ages = (f"{stats.age_days[name]:,.1f}" if stats.age_days else "-" for stats in found)
        table.add_row(f"{name}, days before the newest event", *ages)
    return table


def checked_table(found: Checked) -> Table:
    """Show what a check has found, a column an entity."""
    mark = found.watermark
    reached = f"micro-batch {mark.epoch.batch} of generation {mark.epoch.generation}" if mark else "none"
    title = f"watermark: {reached}" + ("" if found.identity else "; the store is NOT WHOLE: rebuild it")
    columns = (f"{entity}s" for entity in found.entities)
    table = Table("", *columns, box=SIMPLE_HEAD, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("entities", *(f"{count:,}" for count in found.entities.values()))
    for fault in Fault:
        table.add_row(fault, *(f"{found.faults[entity, fault]:,}" for entity in found.entities))
    return table


def checked_json(found: Checked) -> dict[str, Any]:
    """Tell the same as plain JSON values."""
    mark = found.watermark
    return {
        "is_good": found.is_good,
        "is_whole": bool(found.identity),
        "watermark": {"query_id": mark.query_id, **mark.epoch._asdict()} if mark else None,
        "entities": dict(found.entities),
        "faults": {
            fault: {entity: found.faults[entity, fault] for entity in found.entities} for fault in Fault
        },
        "first": [
            {"entity": entity, "fault": fault, "key": key, "detail": detail}
            for entity, fault, key, detail in found.named
        ],
    }


def _stats(entity: str, size: int, newest: np.ndarray[Any, Any], latest: float) -> Stats:
    timed = newest[np.isfinite(newest)]
    without = len(newest) - len(timed)
    if not len(timed):
        return Stats(entity, len(newest), size, without, None, {})
    ages = np.percentile((latest - timed) / _DAY_US, (*_PERCENTILES, 100)).tolist()
    oldest = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=float(timed.min()))
    return Stats(entity, len(newest), size, without, oldest, dict(zip(_age_names(), ages, strict=True)))


def _age_names() -> list[str]:
    return [*(f"age p{p}" for p in _PERCENTILES), "age max"]


def _words(time: datetime | None) -> str:
    return "-" if time is None else time.strftime("%Y-%m-%d %H:%M:%S UTC")
