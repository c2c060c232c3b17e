"""Drift on purpose: a world that changes from a given day on, to try what watches and what learns.

sudden
    From one day to the next prices rise (by 40 %) and a quarter of the purchases in shops move online.
gradual
    The same change, growing evenly over ``drift_days``.
seasonal
    The same change, coming and going as a wave of ``drift_days``.
new_pattern
    Honest people go on as before; ``wallet_enrolment`` takes over 40 % of the fraud. A phished one-time
    code puts the victim's card into the wallet of a thief's phone, which then pays contactless, by the
    victim's own hours, in shops of the victim's city, a few times over two or three days. Trace: a device
    never seen, at a terminal, where other thieves' devices come online alone; amounts above habit.

``drift_strength`` scales all of it. What lies before ``drift_day`` is the world without drift, row by row.
"""

from typing import Final

import numpy as np
from numpy.random import Generator

from fraud.synthetic.fraud_patterns import PATTERNS
from fraud.synthetic.fraud_stage import Episodes, Stage, draw_victims
from fraud.synthetic.population import Bools, Floats, Ints, Population
from fraud.synthetic.purchases import (
    CONTACTLESS,
    DEVICE_SLOTS,
    HONEST,
    HOUR_US,
    ONLINE,
    Purchases,
    own_device,
    usual_amount,
    usual_time,
)
from fraud.synthetic.settings import DAY_US, Drift, GeneratorSettings

__all__ = ["NEW_PATTERN", "inject_drift", "strength_at"]

NEW_PATTERN: Final = "wallet_enrolment"
PRICE_FACTOR: Final = 1.4
MOVED_ONLINE: Final = 0.25
"""Share of the honest purchases in shops."""
TAKEN_OVER: Final = 0.4
"""Share of the fraud."""


def inject_drift(
    rng: Generator, stage: Stage, purchases: Purchases, settings: GeneratorSettings
) -> Purchases:
    """Change the purchases from the drift's first day on; as many of them are fraud as before."""
    if settings.drift is Drift.NONE:
        return purchases
    if settings.drift is Drift.NEW_PATTERN:
        return _replace_fraud(rng, stage, purchases, settings)
    return _shift_habits(rng, stage.population, purchases, strength_at(purchases.time_us, settings))


def strength_at(time_us: Ints, settings: GeneratorSettings) -> Floats:
    """Return the size of the change at times, 0 before the drift and ``drift_strength`` at its height."""
    since = (time_us - settings.drift_us) / (settings.drift_days * DAY_US)
    if settings.drift is Drift.GRADUAL:
        shape = np.clip(since, 0.0, 1.0)
    elif settings.drift is Drift.SEASONAL:
        shape = np.where(since < 0.0, 0.0, (1.0 - np.cos(2.0 * np.pi * since)) / 2.0)
    else:
        shape = (since >= 0.0).astype(np.float64)
    return np.asarray(settings.drift_strength * shape)


def _shift_habits(
    rng: Generator, population: Population, purchases: Purchases, strength: Floats
) -> Purchases:
    """Raise all prices, and move a share of the honest purchases in shops online."""
    chance = rng.random(len(purchases))
    moves = (purchases.pattern == HONEST) & (purchases.channel != ONLINE) & (chance < MOVED_ONLINE * strength)
    online = np.ones(len(purchases), dtype=bool)
    merchant = population.merchants.pick_open(rng, online, purchases.city, purchases.time_us)
    channel = np.where(moves, ONLINE, purchases.channel)
    device = own_device(rng, population, purchases.user, purchases.time_us, channel)
    return Purchases(
        purchases.time_us,
        purchases.user,
        np.where(moves, merchant, purchases.merchant),
        purchases.amount * PRICE_FACTOR**strength,
        channel,
        purchases.city,
        np.where(moves, device, purchases.device),
        purchases.pattern,
    )


def _replace_fraud(
    rng: Generator, stage: Stage, purchases: Purchases, settings: GeneratorSettings
) -> Purchases:
    """Leave out a share of the fraud since the drift's first day; the new pattern takes its place."""
    is_late: Bools = (purchases.pattern != HONEST) & (purchases.time_us >= settings.drift_us)
    leaves = is_late & (rng.random(len(purchases)) < TAKEN_OVER * settings.drift_strength)
    new = _wallet_enrolment(rng, stage, int(leaves.sum()), settings.drift_us)
    return Purchases.concatenate([purchases.take(np.flatnonzero(~leaves)), new])


def _wallet_enrolment(rng: Generator, stage: Stage, count: int, begin_us: int) -> Purchases:
    population = stage.population
    plan = Episodes.draw(rng, count, 3, 7)
    user = draw_victims(rng, stage, len(plan))[plan.episode]
    room_us = stage.span_us - begin_us
    day_us = ((np.arange(len(plan)) + rng.random(len(plan))) / len(plan) * room_us).astype(np.int64)
    hour_us = plan.first(usual_time(rng, population, user, stage.span_us) % DAY_US)
    start_us = day_us[plan.episode] // DAY_US * DAY_US + hour_us
    time_us = begin_us + (start_us + plan.elapsed(rng.exponential(9 * HOUR_US, count))) % room_us
    city = population.users.city[user]
    merchant = population.merchants.pick_open(rng, np.zeros(count, dtype=bool), city, time_us)
    amount = usual_amount(rng, population, user, merchant) * rng.lognormal(0.9, 0.4, count)
    pattern = len(PATTERNS)
    phone = (
        len(population.users.city) * DEVICE_SLOTS + pattern * 2**32 + plan.episode // 2
    )  # serves two cards
    return Purchases(
        time_us, user, merchant, amount, np.full(count, CONTACTLESS), city, phone, np.full(count, pattern)
    )
