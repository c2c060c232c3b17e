"""Goes through a store and tells what is wrong: states that cannot be read, or that lie in the future."""

import math
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import Final

import numpy as np

from fraud.errors import BadState
from fraud.features.engine import fold_plan
from fraud.features.passes import EntityPass, Passes, deployed_passes
from fraud.features.plan import Plan, compile_plan
from fraud.store.base import FeatureStore
from fraud.store.value import newest_event_us, newest_state
from fraud.store.watermark import REBUILD, Watermark

AT_ONCE: Final = 500
MOST_NAMED: Final = 20
"""Entities that are named of each kind of finding."""
SAMPLE: Final = 200
"""States of each entity that are looked at to judge the whole store."""


class Fault(StrEnum):
    """What is wrong with a stored state."""

    CORRUPT = "corrupt"
    LAYOUT = "another layout"
    FUTURE = "newest event in the future"


@dataclass(slots=True)
class Checked:
    """What a check has found."""

    watermark: Watermark | None
    identity: str
    """Empty while the store is not whole."""
    entities: Counter[str] = field(default_factory=Counter)
    faults: Counter[tuple[str, Fault]] = field(default_factory=Counter)
    named: list[tuple[str, Fault, int, str]] = field(default_factory=list)
    """Entity, fault, key (the hash of its name) and detail of the first ones."""

    @property
    def is_good(self) -> bool:
        """Whether nothing needs repair."""
        return not self.faults and bool(self.identity)

    @property
    def has_future(self) -> bool:
        """Whether an event of the future has damaged states; it is in the log, too."""
        return any(fault is Fault.FUTURE for _, fault in self.faults)


def check(store: FeatureStore, latest_us: float, passes: Passes | None = None) -> Checked:
    """Read every state of a store; the stream and the scoring service may go on meanwhile.

    Parameters
    ----------
    store
        Of any backend.
    latest_us
        How late an event may lie, microseconds: the clock, and the greatest bound of ``AheadBounds``.
    passes
        Whose states it holds.
    """
    passes = passes or deployed_passes()
    found = Checked(store.watermark(), store.identity())
    for one in passes:
        name, values = one.name, store.values(one.name)
        found.entities[name] = 0
        while group := dict(islice(values, AT_ONCE)):
            found.entities[name] += len(group)
            for key, fault, detail in faults_of(one, group, latest_us):
                found.faults[name, fault] += 1
                if found.faults[name, fault] <= MOST_NAMED:
                    found.named.append((name, fault, int(key), detail))
    return found


def faults_of(
    of: EntityPass, stored: Mapping[float, bytes], latest_us: float = math.inf
) -> Iterator[tuple[float, Fault, str]]:
    """Find what is wrong among stored values: key, fault and detail."""
    states, plan = {}, compile_plan(of.entity, (), of.events)
    for key, value in stored.items():
        try:
            states[key] = newest_state(value)
        except BadState as error:
            yield key, Fault.CORRUPT, str(error)
    for key, detail in _unreadable(plan, states):
        state = states.pop(key)
        yield key, Fault.LAYOUT if _has_other_layout(plan, state) else Fault.CORRUPT, detail
    for key, state in states.items():
        newest = newest_event_us(state)
        if math.isnan(newest):
            yield key, Fault.CORRUPT, "its newest event has no time"
        elif newest > latest_us:
            yield key, Fault.FUTURE, f"its newest event is of {_words(newest)}"


def misfit(store: FeatureStore, passes: Passes) -> str:
    """Say why a store's states do not fit the schema, by a sample, and what to do; empty where they do."""
    complete = store.complete_entities()
    new = [one.name for one in passes if complete and one.name not in complete]
    if new:
        return (
            f"the feature store has counted nothing for {', '.join(new)}, which the schema has now; stop the "
            f"stream and {REBUILD}, or go back to the schema before and run `fraud roll`"
        )
    for one in passes:
        plan = compile_plan(one.entity, (), one.events)
        sample = [value for _, value in islice(store.values(one.name), SAMPLE)]
        if 2 * sum(_has_other_layout(plan, state) for state in _states_of(sample)) > len(sample):
            return (
                f"the states of {one.name}s in the feature store were written with another layout, by "
                f"another schema or release; run that one again, or stop the stream and {REBUILD}"
            )
    return ""


def _states_of(values: Iterable[bytes]) -> Iterator[bytes]:
    """Take the newest states out of stored values, without those that are corrupt."""
    for value in values:
        with suppress(BadState):
            yield newest_state(value)


def _has_other_layout(plan: Plan, state: bytes) -> bool:
    return len(state) >= 8 and bool(struct.unpack_from("<d", state)[0] != plan.layout)


def _unreadable(plan: Plan, states: Mapping[float, bytes]) -> Iterable[tuple[float, str]]:
    """Let the fold read states, all at once, and one by one where it refuses one."""
    if _refusal(plan, states):
        for key, state in list(states.items()):
            if detail := _refusal(plan, {key: state}):
                yield key, detail


def _refusal(plan: Plan, states: Mapping[float, bytes]) -> str:
    probes = np.zeros((len(states), plan.events.width))
    probes[:, plan.key_column] = list(states)
    try:
        fold_plan(plan, probes, states, keep_states=False)
    except BadState as error:
        return str(error)
    return "" if all(states.values()) else "it is empty"


def _words(time_us: float) -> str:
    try:
        return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"{time_us:.3g} microseconds"
