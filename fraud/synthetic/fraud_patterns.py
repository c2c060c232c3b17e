"""Fraud as an analyst tells it: eight patterns, each with its motive and its traces.

card_testing
    A list of stolen numbers is tried out: within minutes the same card makes many small online
    purchases, at merchants with weak checks; if it lives, one or two large ones follow within two hours.
    Trace: online velocity, amounts far below and then far above the user's mean, a new device; where there
    are kinds, verifications of 0 before the spree; where the schema takes results, declines of half of the
    trials (``fraud.synthetic.results``, ``fraud.synthetic.payments``).
account_takeover
    Someone signs in as the customer (phishing, leaked password) from another device and place, and buys
    resalable goods over some hours. Trace: device never seen, merchants never visited, amounts above the
    user's habit, odd hours, a shopper's place far away where the gateway reports one; where the schema
    declares profiles, an address that was changed hours before, and a raised limit.
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

from fraud.synthetic.fraud_stage import (
    Episodes,
    Stage,
    draw_merchants,
    draw_victims,
    even_days,
    far_city,
    hot_city,
    remote_purchases,
    skim,
    thief_device,
    thief_time,
)
from fraud.synthetic.honest import draw_honest
from fraud.synthetic.population import LONG_AGO_US, NEVER_US, YOUNG_US
from fraud.synthetic.purchases import (
    CONTACTLESS,
    HOUR_US,
    MINUTE_US,
    ONLINE,
    SWIPE,
    Purchases,
    own_device,
    place_of_user,
    usual_amount,
    usual_channel,
    usual_time,
)
from fraud.synthetic.settings import DAY_US


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
    plan = Episodes.draw(rng, count, 5, 10)
    user = draw_victims(rng, stage, len(plan))[plan.episode]
    is_last = plan.position == plan.size[plan.episode] - 1
    gap = np.where(is_last, rng.exponential(45 * MINUTE_US, count), rng.exponential(2 * MINUTE_US, count))
    start = thief_time(rng, stage, user, 0.6)
    time_us = (plan.first(start) + plan.elapsed(gap)) % stage.span_us
    is_online = np.ones(count, dtype=bool)
    city = stage.population.users.city[user]
    merchant = draw_merchants(rng, stage, is_online, city, time_us, hot_chance=0.5)
    keeps = ~is_last & (rng.random(count) < 0.7)
    merchant = np.where(keeps, plan.first(merchant), merchant)
    large = usual_amount(rng, stage.population, user, merchant) * rng.lognormal(1.9, 0.5, count)
    amount = np.where(is_last, large, rng.lognormal(0.9, 0.7, count))
    return remote_purchases(
        rng,
        stage,
        plan,
        pattern,
        time_us=time_us,
        user=user,
        merchant=merchant,
        amount=amount,
        stranger_share=0.75,
    )


def _account_takeover(rng: Generator, stage: Stage, count: int, pattern: int) -> Purchases:
    plan = Episodes.draw(rng, count, 2, 5)
    user = draw_victims(rng, stage, len(plan))[plan.episode]
    start = thief_time(rng, stage, user, 0.6)
    time_us = (plan.first(start) + plan.elapsed(rng.exponential(1.5 * HOUR_US, count))) % stage.span_us
    is_online = np.ones(count, dtype=bool)
    merchant = draw_merchants(rng, stage, is_online, np.zeros_like(user), time_us, hot_chance=0.75)
    amount = usual_amount(rng, stage.population, user, merchant) * rng.lognormal(1.75, 0.5, count)
    return remote_purchases(
        rng,
        stage,
        plan,
        pattern,
        time_us=time_us,
        user=user,
        merchant=merchant,
        amount=amount,
        stranger_share=0.85,
    )


def _compromised_merchant(rng: Generator, stage: Stage, count: int, pattern: int) -> Purchases:
    plan = Episodes.draw(rng, count, 1, 4)
    victim, skimmed_us = skim(rng, stage, len(plan))
    start_us = skimmed_us + rng.integers(2 * DAY_US, 26 * DAY_US, len(plan))
    user = victim[plan.episode]
    # What lies past the end stands for cards that were read before the beginning.
    time_us = (start_us[plan.episode] + plan.elapsed(rng.exponential(16 * HOUR_US, count))) % stage.span_us
    is_online = rng.random(count) < 0.5
    city = stage.population.users.city[user]
    is_away = ~is_online & (rng.random(len(plan)) < 0.5)[plan.episode]
    city = np.where(is_away, hot_city(rng, stage, time_us), city)
    merchant = draw_merchants(rng, stage, is_online, city, time_us, hot_chance=0.9)
    amount = usual_amount(rng, stage.population, user, merchant) * rng.lognormal(1.65, 0.5, count)
    channel = np.where(
        is_online, ONLINE, np.where(rng.random(count) < 0.45, SWIPE, usual_channel(rng, is_online))
    )
    device = thief_device(rng, stage, plan.episode, channel, pattern)
    return Purchases(time_us, user, merchant, amount, channel, city, device, np.full(count, pattern))


def _velocity_spree(rng: Generator, stage: Stage, count: int, pattern: int) -> Purchases:
    plan = Episodes.draw(rng, count, 8, 15)
    user = draw_victims(rng, stage, len(plan))[plan.episode]
    habit_us = usual_time(rng, stage.population, user, stage.span_us) % DAY_US
    start = plan.first(even_days(rng, stage, count) * DAY_US + habit_us)
    time_us = (start + plan.elapsed(rng.exponential(6 * MINUTE_US, count))) % stage.span_us
    is_online = np.zeros(count, dtype=bool)
    city = plan.first(place_of_user(stage.population, user, start))
    merchant = draw_merchants(rng, stage, is_online, city, time_us, hot_chance=0.3)
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
    opened_us = np.where(merchants.opened_us == LONG_AGO_US, NEVER_US, merchants.opened_us)
    young = np.argsort(opened_us, kind="stable")[: np.count_nonzero(opened_us < NEVER_US - 1)]
    young = young[opened_us[young] < stage.span_us - 2 * DAY_US]
    first = ((np.arange(rings) + rng.random(rings)) / rings * len(young)).astype(np.int64)
    shop = young[np.clip(first[ring] + rng.integers(0, 3, count), 0, len(young) - 1)]
    mules = rng.integers(0, len(population.users.city), (rings, 6))
    user = mules[ring, rng.integers(0, 6, count)]
    begin_us = np.maximum(opened_us[shop], 0)
    end_us = np.minimum(opened_us[shop] + YOUNG_US, stage.span_us)
    habit_us = usual_time(rng, population, user, stage.span_us)
    time_us = begin_us + (rng.random(count) * (end_us - begin_us)).astype(np.int64)
    by_habit_us = time_us - time_us % DAY_US + habit_us % DAY_US
    is_open = (begin_us <= by_habit_us) & (by_habit_us < stage.span_us)
    time_us = np.where(is_open, by_habit_us, time_us)
    amount = rng.lognormal(4.3, 0.55, count)
    amount = np.where(rng.random(count) < 0.35, np.ceil(amount / 5) * 5, amount)
    channel = usual_channel(rng, merchants.is_online[shop])
    city = np.where(merchants.is_online[shop], population.users.city[user], merchants.city[shop])
    device = own_device(rng, population, user, time_us, channel)
    return Purchases(time_us, user, shop, amount, channel, city, device, np.full(count, pattern))


def _new_merchant_high(rng: Generator, stage: Stage, count: int, pattern: int) -> Purchases:
    plan = Episodes.draw(rng, count, 1, 2)
    user = draw_victims(rng, stage, len(plan))[plan.episode]
    start = thief_time(rng, stage, user, 0.5)
    time_us = (plan.first(start) + plan.elapsed(rng.exponential(5 * HOUR_US, count))) % stage.span_us
    merchant = draw_merchants(
        rng, stage, np.ones(count, dtype=bool), np.zeros_like(user), time_us, hot_chance=0.65
    )
    amount = usual_amount(rng, stage.population, user, merchant) * rng.lognormal(2.2, 0.45, count)
    return remote_purchases(
        rng,
        stage,
        plan,
        pattern,
        time_us=time_us,
        user=user,
        merchant=merchant,
        amount=amount,
        stranger_share=0.65,
    )


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
    city = far_city(rng, stage, seen.city)[plan.episode]
    is_online = np.zeros(count, dtype=bool)
    merchant = draw_merchants(rng, stage, is_online, city, time_us, hot_chance=0.6)
    amount = usual_amount(rng, stage.population, user, merchant) * rng.lognormal(0.8, 0.5, count)
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


Pattern = Callable[[Generator, Stage, int, int], Purchases]
PATTERNS: Final[dict[str, tuple[float, Pattern]]] = {
    "card_testing": (0.18, _card_testing),
    "account_takeover": (0.17, _account_takeover),
    "compromised_merchant": (0.16, _compromised_merchant),
    "velocity_spree": (0.15, _velocity_spree),
    "mule_ring": (0.10, _mule_ring),
    "new_merchant_high": (0.09, _new_merchant_high),
    "impossible_travel": (0.11, _impossible_travel),
    "quiet_misuse": (0.04, _quiet_misuse),
}
"""Name: (share of the fraudulent purchases, the draw)."""
