"""Fraud as an analyst tells it: eight patterns, each with its motive and its traces.

card_testing
    A list of stolen numbers is tried out: within minutes the same card makes many small online
    purchases, at merchants with weak checks; if it lives, one or two large ones follow within two hours.
    Trace: online velocity, amounts far below and then far above the user's mean, a new device.
account_takeover
    Someone signs in as the customer (phishing, leaked password) from another device and place, and buys
    resalable goods over some hours. Trace: device never seen, merchants never visited, amounts above the
    user's habit, odd hours, a shopper's place far away where the gateway reports one.
compromised_merchant
    A terminal is skimmed for some days. Cards used there are cloned and show up two days to four weeks
    later elsewhere, a few purchases over days, swiped or online. Trace: the victims share a merchant in
    their past; the fraud gathers at merchants where other fraud is already known.
velocity_spree
    A lost or stolen card is used near the victim's home, in shop after shop, until it is blocked, with
    amounts that stay under the limit of contactless payment. Trace: purchases in the last hour, distinct
    merchants, each amount being unremarkable.
mule_ring
    A few cardholders and two or three freshly opened merchants work together: every few days a moderate
    round-ish amount, for weeks, to launder money or to run up credit. Trace: a young merchant with few
    customers who come back, and, late, its known fraud.
new_merchant_high
    One expensive purchase at a merchant that the user never visited, with details from a data leak.
    Trace: amount far above the user's mean, first time at the merchant.
impossible_travel
    A cloned card is used in a distant city while its owner shops at home. Trace: the speed implied by two
    places and the time between; the hour and the amount are ordinary.
quiet_misuse
    A relative, a colleague or the customer (friendly fraud): the card is used as its owner uses it, by
    the same habits, and disputed later. Trace: hardly any; it bounds what any model can reach.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.random import Generator

from services.simulator.fraud_stage import (
    Episodes,
    Stage,
    draw_merchants,
    draw_victims,
    thief_device,
    thief_time,
)
from services.simulator.honest import draw_honest
from services.simulator.places import distance_km
from services.simulator.population import Bools, Floats, Ints, city_column
from services.simulator.purchases import (
    CONTACTLESS,
    HOUR_US,
    MINUTE_US,
    ONLINE,
    SWIPE,
    Purchases,
    other_city,
    own_device,
    place_of_user,
    usual_amount,
    usual_channel,
    usual_time,
)
from services.simulator.settings import DAY_US

FAR_KM: Final = 1_000.0


def draw_fraud(rng: Generator, stage: Stage, count: int) -> Purchases:
    """Draw exactly ``count`` fraudulent purchases, every pattern by its share, in no order."""
    shares = np.array([share for share, _ in PATTERNS.values()])
    edges = np.round(np.cumsum(shares) / shares.sum() * count).astype(np.int64)
    budgets = np.diff(edges, prepend=0)
    streams = rng.spawn(len(budgets))
    parts = []
    for pattern, (_, draw) in enumerate(PATTERNS.values()):
        if budgets[pattern]:
            parts.append(draw(streams[pattern], stage, int(budgets[pattern]), pattern))
    return Purchases.concatenate(parts) if parts else stage.honest.take(np.zeros(0, dtype=np.int64))


def _card_testing(rng: Generator, stage: Stage, count: int, pattern: int) -> Purchases:
    plan = Episodes.draw(rng, count, 5, 9)
    user = draw_victims(rng, stage, len(plan))[plan.episode]
    is_last = plan.position == plan.size[plan.episode] - 1
    gap = np.where(is_last, rng.exponential(45 * MINUTE_US, count), rng.exponential(3 * MINUTE_US, count))
    start = thief_time(rng, stage, user, 0.5)
    time_us = (_of_episode(start, plan) + plan.elapsed(gap)) % stage.span_us
    is_online = np.ones(count, dtype=bool)
    city = stage.population.users.city[user]
    merchant = draw_merchants(rng, stage, is_online, city, time_us, 0.5)
    keeps = ~is_last & (rng.random(count) < 0.7)
    merchant = np.where(keeps, _of_episode(merchant, plan), merchant)
    large = usual_amount(rng, stage.population, user, merchant) * rng.lognormal(1.1, 0.5, count)
    amount = np.where(is_last, large, rng.lognormal(0.9, 0.7, count))
    return _remote(rng, stage, plan, pattern, time_us, user, merchant, amount, 0.6)


def _account_takeover(rng: Generator, stage: Stage, count: int, pattern: int) -> Purchases:
    plan = Episodes.draw(rng, count, 2, 5)
    user = draw_victims(rng, stage, len(plan))[plan.episode]
    start = thief_time(rng, stage, user, 0.5)
    time_us = (_of_episode(start, plan) + plan.elapsed(rng.exponential(1.5 * HOUR_US, count))) % stage.span_us
    is_online = np.ones(count, dtype=bool)
    merchant = draw_merchants(rng, stage, is_online, np.zeros_like(user), time_us, 0.55)
    amount = usual_amount(rng, stage.population, user, merchant) * rng.lognormal(0.8, 0.5, count)
    return _remote(rng, stage, plan, pattern, time_us, user, merchant, amount, 0.85)


def _compromised_merchant(rng: Generator, stage: Stage, count: int, pattern: int) -> Purchases:
    plan = Episodes.draw(rng, count, 1, 4)
    victim, skimmed_us = _skim(rng, stage, len(plan))
    left_us = np.minimum(26 * DAY_US, stage.span_us - DAY_US - skimmed_us)
    start_us = skimmed_us + np.clip(rng.random(len(plan)), 0.08, None) * left_us
    user = victim[plan.episode]
    time_us = start_us.astype(np.int64)[plan.episode] + plan.elapsed(rng.exponential(16 * HOUR_US, count))
    time_us = np.where(time_us < stage.span_us, time_us, stage.span_us - rng.integers(1, DAY_US, count))
    is_online = rng.random(count) < 0.5
    city = stage.population.users.city[user]
    is_abroad = ~is_online & (rng.random(len(plan)) < 0.25)[plan.episode]
    city = np.where(is_abroad, other_city(rng, stage.population, city), city)
    merchant = draw_merchants(rng, stage, is_online, city, time_us, 0.7)
    amount = usual_amount(rng, stage.population, user, merchant) * rng.lognormal(0.55, 0.5, count)
    channel = np.where(
        is_online, ONLINE, np.where(rng.random(count) < 0.45, SWIPE, usual_channel(rng, is_online))
    )
    device = thief_device(rng, stage, plan.episode, channel, pattern)
    return Purchases(time_us, user, merchant, amount, channel, city, device, np.full(count, pattern))


def _velocity_spree(rng: Generator, stage: Stage, count: int, pattern: int) -> Purchases:
    plan = Episodes.draw(rng, count, 5, 11)
    user = draw_victims(rng, stage, len(plan))[plan.episode]
    start = _of_episode(usual_time(rng, stage.population, user, stage.span_us), plan)
    time_us = (start + plan.elapsed(rng.exponential(14 * MINUTE_US, count))) % stage.span_us
    is_online = np.zeros(count, dtype=bool)
    city = _of_episode(place_of_user(stage.population, user, start), plan)
    merchant = draw_merchants(rng, stage, is_online, city, time_us, 0.3)
    amount = np.minimum(
        usual_amount(rng, stage.population, user, merchant) * 1.2, 50.0 + 60.0 * rng.random(count)
    )
    channel = np.where(rng.random(count) < 0.6, CONTACTLESS, usual_channel(rng, is_online))
    device = own_device(rng, stage.population, user, time_us, channel)
    return Purchases(time_us, user, merchant, amount, channel, city, device, np.full(count, pattern))


def _mule_ring(rng: Generator, stage: Stage, count: int, pattern: int) -> Purchases:
    population = stage.population
    merchants = population.merchants
    ring = np.sort(rng.integers(0, max(count // 40, 1), count))
    rings = int(ring[-1]) + 1
    young = np.flatnonzero((merchants.opened_us >= 0) & (merchants.opened_us < 0.9 * stage.span_us))
    young = young[np.argsort(merchants.opened_us[young])]
    first = ((np.arange(rings) + rng.random(rings)) / rings * len(young)).astype(np.int64)
    shop = young[np.clip(first[ring] + rng.integers(0, 3, count), 0, len(young) - 1)]
    mules = rng.integers(0, len(population.users.city), (rings, 6))
    user = mules[ring, rng.integers(0, 6, count)]
    active_us = np.minimum(30 * DAY_US, stage.span_us - merchants.opened_us[shop])
    by_habit_us = usual_time(rng, population, user, stage.span_us)
    day_us = (rng.random(count) * active_us / DAY_US).astype(np.int64) * DAY_US
    time_us = merchants.opened_us[shop] + day_us + by_habit_us % DAY_US
    time_us = np.where(
        time_us < stage.span_us,
        time_us,
        merchants.opened_us[shop] + (rng.random(count) * active_us).astype(np.int64),
    )
    amount = rng.lognormal(4.3, 0.55, count)
    amount = np.where(rng.random(count) < 0.35, np.ceil(amount / 5) * 5, amount)
    channel = usual_channel(rng, merchants.is_online[shop])
    city = np.where(merchants.is_online[shop], population.users.city[user], merchants.city[shop])
    device = own_device(rng, population, user, time_us, channel)
    return Purchases(time_us, user, shop, amount, channel, city, device, np.full(count, pattern))


def _new_merchant_high(rng: Generator, stage: Stage, count: int, pattern: int) -> Purchases:
    plan = Episodes.draw(rng, count, 1, 2)
    user = draw_victims(rng, stage, len(plan))[plan.episode]
    start = thief_time(rng, stage, user, 0.3)
    time_us = (_of_episode(start, plan) + plan.elapsed(rng.exponential(5 * HOUR_US, count))) % stage.span_us
    merchant = draw_merchants(rng, stage, np.ones(count, dtype=bool), np.zeros_like(user), time_us, 0.5)
    amount = usual_amount(rng, stage.population, user, merchant) * rng.lognormal(1.4, 0.5, count)
    return _remote(rng, stage, plan, pattern, time_us, user, merchant, amount, 0.5)


def _impossible_travel(rng: Generator, stage: Stage, count: int, pattern: int) -> Purchases:
    plan = Episodes.draw(rng, count, 1, 3)
    honest = stage.honest
    near = np.flatnonzero((honest.channel != ONLINE) & (honest.time_us < stage.span_us - 8 * HOUR_US))
    seen = honest.take(near[rng.integers(0, len(near), len(plan))])
    user = seen.user[plan.episode]
    gap = plan.elapsed(rng.exponential(40 * MINUTE_US, count))
    time_us = (seen.time_us + rng.uniform(8 * MINUTE_US, 150 * MINUTE_US, len(plan)).astype(np.int64))[
        plan.episode
    ]
    time_us = np.minimum(time_us + gap, stage.span_us - 1)
    city = _far_city(rng, stage, seen.city)[plan.episode]
    is_online = np.zeros(count, dtype=bool)
    merchant = draw_merchants(rng, stage, is_online, city, time_us, 0.4)
    amount = usual_amount(rng, stage.population, user, merchant) * rng.lognormal(0.4, 0.5, count)
    channel = np.where(rng.random(count) < 0.4, SWIPE, usual_channel(rng, is_online))
    device = thief_device(rng, stage, plan.episode, channel, pattern)
    return Purchases(time_us, user, merchant, amount, channel, city, device, np.full(count, pattern))


def _quiet_misuse(rng: Generator, stage: Stage, count: int, pattern: int) -> Purchases:
    alike = draw_honest(rng, stage.population, count, stage.span_us)
    return Purchases(
        alike.time_us,
        alike.user,
        alike.merchant,
        alike.amount,
        alike.channel,
        alike.city,
        alike.device,
        np.full(count, pattern),
    )


def _of_episode(values: Ints, plan: Episodes) -> Ints:
    """Give every purchase the value of its episode's first."""
    return np.asarray(values[np.arange(len(values)) - plan.position])


def _remote(
    rng: Generator,
    stage: Stage,
    plan: Episodes,
    pattern: int,
    time_us: Ints,
    user: Ints,
    merchant: Ints,
    amount: Floats,
    stranger_share: float,
) -> Purchases:
    """Make online purchases of thieves, a share of whom sit elsewhere and use a device of their own."""
    is_stranger = (rng.random(len(plan)) < stranger_share)[plan.episode]
    channel = np.full(len(user), ONLINE)
    home = stage.population.users.city[user]
    away = _of_episode(other_city(rng, stage.population, home), plan)
    city = np.where(is_stranger & (rng.random(len(plan)) < 0.7)[plan.episode], away, home)
    device = np.where(
        is_stranger,
        thief_device(rng, stage, plan.episode, channel, pattern),
        own_device(rng, stage.population, user, time_us, channel),
    )
    return Purchases(time_us, user, merchant, amount, channel, city, device, np.full(len(user), pattern))


def _skim(rng: Generator, stage: Stage, count: int) -> tuple[Ints, Ints]:
    """Choose cards that were read at skimmed terminals: the users, and when."""
    honest = stage.honest
    near = np.flatnonzero((honest.channel != ONLINE) & (honest.time_us < 0.93 * stage.span_us))
    near = near[np.lexsort((honest.time_us[near], honest.merchant[near]))]
    merchant = honest.merchant[near]
    sales = np.bincount(merchant, minlength=len(stage.population.merchants.city))
    places = max(count // 20, 2)
    busy = np.argsort(-sales, kind="stable")[: places * 4]
    chosen = rng.choice(busy, size=min(places, len(busy)), replace=False)
    lot = np.arange(count) * len(chosen) // count
    begin = np.searchsorted(merchant, chosen)
    block = np.minimum(sales[chosen], 30)
    begin = begin + (rng.random(len(chosen)) * (sales[chosen] - block + 1)).astype(np.int64)
    read = near[np.clip(begin[lot] + rng.integers(0, np.maximum(block[lot], 1)), 0, len(near) - 1)]
    return honest.user[read], honest.time_us[read]


def _far_city(rng: Generator, stage: Stage, city: Ints) -> Ints:
    """Draw cities more than FAR_KM away, where a few draws find one."""
    latitude, longitude = city_column("latitude"), city_column("longitude")
    drawn = other_city(rng, stage.population, city)
    for _ in range(4):
        away_km = distance_km(latitude[city], longitude[city], latitude[drawn], longitude[drawn])
        is_close: Bools = away_km < FAR_KM
        drawn = np.where(is_close, other_city(rng, stage.population, city), drawn)
    return drawn


Pattern = Callable[[Generator, Stage, int, int], Purchases]
PATTERNS: Final[dict[str, tuple[float, Pattern]]] = {
    "card_testing": (0.18, _card_testing),
    "account_takeover": (0.16, _account_takeover),
    "compromised_merchant": (0.16, _compromised_merchant),
    "velocity_spree": (0.15, _velocity_spree),
    "mule_ring": (0.10, _mule_ring),
    "new_merchant_high": (0.09, _new_merchant_high),
    "impossible_travel": (0.10, _impossible_travel),
    "quiet_misuse": (0.06, _quiet_misuse),
}
"""Name: (share of the fraudulent purchases, the draw)."""
