"""A simulated day: events by entity, bytes of a state, and the share of the busiest entity.

The sizes are those of real states: entities of several rates are folded over their whole retention by the
schema's own plan. The primaries' rates follow an exponential distribution (a few come often, most seldom),
the others' ranks Zipf's law (the hottest merchant has a tenth of the events of a small world).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fraud.features.engine import fold_plan
from fraud.features.kernel import layout
from fraud.features.kernel.layout import Floats
from fraud.features.passes import EntityPass, Passes
from fraud.features.plan import Plan

RATES: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0)
"""Events a day, of the entities that are folded; more often than the last, a state is no larger."""
DAYS: Final = 33
"""Folded days; longer ago nothing is kept but what all have."""
SAMPLE: Final = 1_000_000
"""Entities whose events of a day are drawn at most; each stands for as many as there are more."""
EVENTS_AT_ONCE: Final = 40_000
VALUES: Final = 50
"""Different values of each key and category that one entity has, drawn by Zipf's law."""
NUMBER_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class EntityDay:
    """What a day brings to the entities of one kind."""

    name: str
    entities: int
    events: float
    """Of all of them, in a day."""
    active: float
    """Entities with an event that day."""
    median: float
    """Events of an entity, and of the busiest thousandth and the hottest one below."""
    p999: float
    hottest: float
    state_bytes: float
    """Mean of all entities."""
    largest_bytes: int
    """Bound by the plan, whatever the volume."""
    written_bytes: float
    """Mean of a state that a transaction writes: busy entities are written more often."""
    rates: Floats
    """Events a day, of the entities that were drawn."""
    weight: float
    """How many entities each of them stands for."""

    def distinct(self, events: float) -> float:
        """How many entities so many events in a row touch."""
        share = self.rates / (self.rates.sum() * self.weight)
        return float(-np.expm1(-share * events).sum() * self.weight)


def simulate_day(
    passes: Passes, counts: Sequence[int], events_per_day: float, seed: int = 1
) -> list[EntityDay]:
    """Draw a day.

    Parameters
    ----------
    passes
        Of the schema.
    counts
        How many entities each pass has.
    events_per_day
        Of all together.
    seed
        The same one draws the same day.
    """
    dice = np.random.default_rng(seed)
    found = []
    for one, count in zip(passes, counts, strict=True):
        drawn = min(count, SAMPLE)
        shares = _shares(one, drawn, count, dice)
        rates = shares * events_per_day * len(one.sides)
        found.append(_day_of(one, count, rates, dice))
    return found


def sizes_by_rate(plan: Plan, seed: int = 1) -> Floats:
    """Bytes of a state, mean of some entities of each of ``RATES``."""
    dice = np.random.default_rng(seed)
    return np.array([_size_at(plan, rate, dice) for rate in RATES])


def _shares(one: EntityPass, drawn: int, count: int, dice: np.random.Generator) -> Floats:
    """Share of all events that each drawn entity has; it stands for ``count / drawn`` of its kind."""
    if one.entity.deduplicates:
        found = dice.exponential(size=drawn)
    else:
        ranks = np.linspace(1.0, count, drawn) if drawn < count else np.arange(1.0, count + 1.0)
        found = 1.0 / ranks
    whole: Floats = found / (found.sum() * count / drawn)
    return whole


def _day_of(one: EntityPass, count: int, rates: Floats, dice: np.random.Generator) -> EntityDay:
    weight = count / len(rates)
    events = dice.poisson(rates)
    sizes = np.interp(np.log(np.maximum(rates, RATES[0])), np.log(RATES), sizes_by_rate(one.plan))
    median, p999 = np.quantile(events, (0.5, 0.999)).tolist()
    return EntityDay(
        one.name,
        count,
        float(events.sum() * weight),
        float(np.count_nonzero(events) * weight),
        median,
        p999,
        float(events.max()),
        float(sizes.mean()),
        one.plan.state_floats * NUMBER_BYTES,
        float((sizes * rates).sum() / rates.sum()),
        rates,
        weight,
    )


def _size_at(plan: Plan, rate: float, dice: np.random.Generator) -> float:
    entities = int(np.clip(EVENTS_AT_ONCE / (rate * DAYS), 1, 200))
    counts = np.maximum(dice.poisson(rate * DAYS, entities), 1)
    keys = np.repeat(np.arange(1.0, entities + 1.0), counts)
    events = _events(plan, keys, dice)
    return float(np.mean([len(state) for state in fold_plan(plan, events, {}).states.values()]))


def _events(plan: Plan, keys: Floats, dice: np.random.Generator) -> Floats:
    """Draw transactions of these entities over the folded days, in the order of their times."""
    columns, n = plan.events, len(keys)
    found = np.zeros((n, columns.width))
    found[:, layout.E_TIME] = np.sort(dice.uniform(0.0, DAYS * layout.DAY_US, n))
    found[:, layout.E_CENTS] = dice.integers(100, 50_000, n)
    found[:, layout.E_ID] = np.arange(1.0, n + 1.0)
    found[:, layout.E_LAT : layout.E_HOME_LON + 1] = dice.integers(-80_000_000, 80_000_000, (n, 4))
    for name in columns.names:
        values = np.minimum(dice.zipf(1.5, n), VALUES).astype(float)
        found[:, columns.column(name)] = keys * (VALUES + 1.0) + values
    if columns.filters:
        found[:, columns.mask] = dice.integers(0, 2 ** len(columns.filters), n)
    found[:, plan.key_column] = dice.permutation(keys)
    return found
