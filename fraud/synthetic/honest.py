"""Honest traffic: visits by habit, with the oddities that make fraud hard to tell.

Look-alikes of fraud on purpose: shopping tours (several purchases in an hour), in-game purchases
(many small amounts in minutes, then a larger one), trips abroad, a relative who pays far from home, new
phones (some are tried with a big purchase), big purchases, sleepless nights, shops that have just opened.
"""

import numpy as np
from numpy.random import Generator

from fraud.synthetic.population import FAVOURITES, Bools, Floats, Ints, Population
from fraud.synthetic.purchases import (
    HONEST,
    MINUTE_US,
    Purchases,
    other_city,
    own_device,
    place_of_user,
    usual_amount,
    usual_channel,
    usual_time,
)

TOUR_SHARE = 0.03
"""Of the visits that are tours of two and more purchases."""
MICRO_SHARE = 0.0012
"""Of the visits that are in-game purchases."""
BIG_SHARE = 0.015
RELATIVE_SHARE = 0.004


def draw_honest(rng: Generator, population: Population, count: int, span_us: int) -> Purchases:
    """Draw exactly ``count`` honest purchases, in no order."""
    users, merchants = population.users, population.merchants
    visit, position, is_micro_visit = _draw_visits(rng, count)
    visits = len(is_micro_visit)
    visitor = _by_weight(rng, users.activity, visits)
    visit_us = usual_time(rng, population, visitor, span_us)
    is_online_visit = is_micro_visit | (rng.random(visits) < users.online_share[visitor])
    city_visit = place_of_user(population, visitor, visit_us)
    is_relative = rng.random(visits) < RELATIVE_SHARE
    city_visit = np.where(is_relative, other_city(rng, population, city_visit), city_visit)

    user, city = visitor[visit], city_visit[visit]
    is_online, is_micro = is_online_visit[visit], is_micro_visit[visit]
    mean_gap_us = np.where(is_micro, 4 * MINUTE_US, 32 * MINUTE_US)
    gap_us = np.where(position > 0, rng.exponential(1.0, count) * mean_gap_us, 0.0)
    time_us = (visit_us[visit] + _since_first(gap_us, position)) % span_us

    merchant = merchants.pick_open(rng, is_online, city, time_us)
    favourite = _draw_favourite(rng, population, user, is_online.astype(np.int64))
    is_loyal = (rng.random(count) < users.loyalty[user]) & (is_online | (city == users.city[user]))
    is_loyal &= merchants.opened_us[favourite] <= time_us
    merchant = np.where(is_loyal, favourite, merchant)
    first = np.arange(count) - position  # in-game purchases stay at one merchant
    merchant = np.where(is_micro, merchant[first], merchant)

    amount = usual_amount(rng, population, user, merchant)
    is_small = is_micro & (rng.random(count) < 0.8)
    amount = np.where(is_small, rng.lognormal(1.0, 0.7, count), amount)
    is_big = rng.random(count) < BIG_SHARE
    amount = np.where(is_big, amount * rng.lognormal(1.3, 0.5, count), amount)
    channel = usual_channel(rng, is_online)
    device = own_device(rng, population, user, time_us, channel)
    return Purchases(time_us, user, merchant, amount, channel, city, device, np.full(count, HONEST))


def _draw_visits(rng: Generator, count: int) -> tuple[Ints, Ints, Bools]:
    """Draw visits of several purchases each: the visit and the place in it of each purchase."""
    kind = rng.random(count)
    is_micro = kind < MICRO_SHARE
    size = np.where(kind < MICRO_SHARE + TOUR_SHARE, 1 + rng.geometric(0.7, count), 1)
    size = np.where(is_micro, rng.integers(3, 9, count), size)
    visits = int(np.searchsorted(np.cumsum(size), count)) + 1
    visit = np.repeat(np.arange(visits), size[:visits])[:count]
    position = np.arange(count) - np.searchsorted(visit, visit)
    return visit, position, is_micro[:visits]


def _since_first(gap_us: Floats, position: Ints) -> Ints:
    """Sum the gaps within each visit."""
    total = np.cumsum(gap_us)
    first = np.arange(len(position)) - position
    return np.asarray(total - total[first], dtype=np.int64)


def _by_weight(rng: Generator, weights: Floats, count: int) -> Ints:
    cumulative = np.cumsum(weights)
    return np.asarray(np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right"))


def _draw_favourite(rng: Generator, population: Population, user: Ints, online: Ints) -> Ints:
    """Draw one of the user's favourites, the first ones most often."""
    weights = 1.0 / np.arange(1, FAVOURITES + 1)
    slot = _by_weight(rng, weights, len(user))
    return np.asarray(population.users.favourites[user, online * FAVOURITES + slot])
