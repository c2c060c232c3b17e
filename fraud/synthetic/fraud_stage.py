"""What the fraud patterns share: the victims, the episodes, the merchants that fraudsters prefer."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from fraud.synthetic.places import distance_km
from fraud.synthetic.population import Bools, Floats, Ints, Population, city_column
from fraud.synthetic.purchases import (
    DEVICE_SLOTS,
    HOUR_US,
    NO_DEVICE,
    ONLINE,
    Purchases,
    other_city,
    own_device,
)
from fraud.synthetic.settings import DAY_US

HOT_SLOT_US: Final = 30 * DAY_US
"""How long fraudsters keep to the same merchants, before these repair their checks."""
FAR_KM: Final = 1_000.0
HOT_SHARE: Final = 0.006
"""Of the merchants that are hot at a time."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The world in which fraud happens: people, shops and honest traffic to hide in."""

    population: Population
    honest: Purchases
    span_us: int
    hot: Ints
    """Time slot x merchant: the merchants that fraudsters prefer, the online ones first."""
    hot_online: int
    """How many of each slot's hot merchants are online."""


@dataclass(frozen=True, slots=True)
class Episodes:
    """Purchases grouped in episodes: the episode and the place in it of each purchase."""

    episode: Ints
    position: Ints
    size: Ints
    """Of each episode."""

    @classmethod
    def draw(cls, rng: Generator, count: int, smallest: int, largest: int) -> "Episodes":
        """Draw episodes of ``smallest`` to ``largest`` purchases, ``count`` purchases in all."""
        size = rng.integers(smallest, largest + 1, count // smallest + 1)
        episodes = int(np.searchsorted(np.cumsum(size), count)) + 1
        episode = np.repeat(np.arange(episodes), size[:episodes])[:count]
        size = np.bincount(episode, minlength=episodes)
        return cls(episode, np.arange(count) - np.searchsorted(episode, episode), size)

    def __len__(self) -> int:
        return len(self.size)

    def elapsed(self, gap: Floats) -> Ints:
        """Sum each episode's gaps (microseconds) before each purchase; the first one's is left out."""
        gap = np.where(self.position > 0, gap, 0.0)
        total = np.cumsum(gap)
        first = np.arange(len(gap)) - self.position
        return np.asarray(total - total[first], dtype=np.int64)

    def first(self, values: Ints) -> Ints:
        """Give every purchase the value of its episode's first."""
        return np.asarray(values[np.arange(len(values)) - self.position])


def set_stage(rng: Generator, population: Population, honest: Purchases, span_us: int) -> Stage:
    """Choose each slot's hot merchants: by risk and popularity, as fraud needs volume to hide in."""
    merchants = population.merchants
    slots = span_us // HOT_SLOT_US + 1
    weight = merchants.risk * merchants.popularity**0.8
    open_weight = np.where(merchants.opened_us < 0, weight, 0.0)
    chosen = []
    hot_online = 0
    for is_online in (True, False):
        chance = np.where(merchants.is_online == is_online, open_weight, 0.0)
        size = int(
            np.clip(HOT_SHARE * len(chance) * (0.6 if is_online else 0.4), 2, np.count_nonzero(chance))
        )
        rounds = [
            rng.choice(len(chance), size=size, replace=False, p=chance / chance.sum()) for _ in range(slots)
        ]
        chosen.append(np.stack(rounds))
        hot_online = hot_online or size
    return Stage(population, honest, span_us, np.concatenate(chosen, axis=1), hot_online)


def draw_victims(rng: Generator, stage: Stage, count: int) -> Ints:
    """Draw users; who pays more often loses the card's number more often."""
    cumulative = np.cumsum(stage.population.users.activity)
    return np.asarray(np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right"))


def draw_merchants(
    rng: Generator, stage: Stage, is_online: Bools, city: Ints, time_us: Ints, *, hot_chance: float
) -> Ints:
    """Draw where the stolen card is used: at a hot merchant, else at any open one of the place."""
    merchants = stage.population.merchants
    count = len(time_us)
    slot = np.clip(time_us // HOT_SLOT_US, 0, len(stage.hot) - 1)
    doors = rng.integers(stage.hot_online, stage.hot.shape[1], count)
    hot = stage.hot[slot, np.where(is_online, rng.integers(0, stage.hot_online, count), doors)]
    for _ in range(6):  # a few looks for a hot door in the same city
        is_elsewhere = ~is_online & (merchants.city[hot] != city)
        doors = rng.integers(stage.hot_online, stage.hot.shape[1], count)
        hot = np.where(is_elsewhere, stage.hot[slot, doors], hot)
    is_hot = (rng.random(count) < hot_chance) & (is_online | (merchants.city[hot] == city))
    return np.where(is_hot, hot, merchants.pick_open(rng, is_online, city, time_us))


def hot_city(rng: Generator, stage: Stage, time_us: Ints) -> Ints:
    """Draw the cities where crews work at a time: those of the hot merchants with a door."""
    slot = np.clip(time_us // HOT_SLOT_US, 0, len(stage.hot) - 1)
    hot = stage.hot[slot, rng.integers(stage.hot_online, stage.hot.shape[1], len(time_us))]
    return np.asarray(stage.population.merchants.city[hot])


def even_days(rng: Generator, stage: Stage, count: int) -> Ints:
    """Draw days in ascending order that cover the period evenly, so that fraud does not come in waves."""
    return np.asarray(
        (np.arange(count) + rng.random(count)) / count * (stage.span_us // DAY_US), dtype=np.int64
    )


def thief_time(rng: Generator, stage: Stage, user: Ints, odd_share: float) -> Ints:
    """Draw when thieves start, evenly over the days: in the victim's day, or for a share at any hour."""
    count = len(user)
    users = stage.population.users
    day_us = even_days(rng, stage, count) * DAY_US
    hour = np.where(rng.random(count) < odd_share, 24.0 * rng.random(count), rng.normal(15.0, 3.5, count))
    offset_us = city_column("utc_offset_h")[users.city[user]] * HOUR_US
    return np.asarray((day_us + (hour % 24.0) * HOUR_US - offset_us) % stage.span_us, dtype=np.int64)


def thief_device(rng: Generator, stage: Stage, episode: Ints, channel: Ints, pattern: int) -> Ints:
    """Name the thief's device: one an episode, some shared by a gang; none where it is hidden."""
    episodes = int(episode.max(initial=-1)) + 1
    gang = rng.integers(0, max(episodes // 6, 1), episodes)
    own = np.where(rng.random(episodes) < 0.2, gang, np.arange(episodes))
    is_hidden = rng.random(episodes) < 0.08
    key = len(stage.population.users.city) * DEVICE_SLOTS + pattern * 2**32 + own
    return np.where((channel != ONLINE) | is_hidden[episode], NO_DEVICE, key[episode])


def remote_purchases(
    rng: Generator,
    stage: Stage,
    plan: Episodes,
    pattern: int,
    *,
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
    away = plan.first(other_city(rng, stage.population, home))
    city = np.where(is_stranger & (rng.random(len(plan)) < 0.7)[plan.episode], away, home)
    device = np.where(
        is_stranger,
        thief_device(rng, stage, plan.episode, channel, pattern),
        own_device(rng, stage.population, user, time_us, channel),
    )
    return Purchases(time_us, user, merchant, amount, channel, city, device, np.full(len(user), pattern))


def skim(rng: Generator, stage: Stage, count: int) -> tuple[Ints, Ints]:
    """Choose cards that were read at skimmed terminals: the users, and when."""
    honest = stage.honest
    near = np.flatnonzero(honest.channel != ONLINE)
    near = near[np.lexsort((honest.time_us[near], honest.merchant[near]))]
    merchant = honest.merchant[near]
    sales = np.bincount(merchant, minlength=len(stage.population.merchants.city))
    places = max(count // 7, 2)
    busy = np.argsort(-sales, kind="stable")[: places * 4]
    chosen = rng.choice(busy, size=min(places, len(busy)), replace=False)
    lot = np.arange(count) * len(chosen) // count
    begin = np.searchsorted(merchant, chosen)
    block = np.minimum(sales[chosen], 30)
    begin = begin + (rng.random(len(chosen)) * (sales[chosen] - block + 1)).astype(np.int64)
    read = near[np.clip(begin[lot] + rng.integers(0, np.maximum(block[lot], 1)), 0, len(near) - 1)]
    return honest.user[read], honest.time_us[read]


def far_city(rng: Generator, stage: Stage, city: Ints) -> Ints:
    """Draw cities more than FAR_KM away, where a few draws find one."""
    latitude, longitude = city_column("latitude"), city_column("longitude")
    drawn = other_city(rng, stage.population, city)
    for _ in range(4):
        away_km = distance_km(latitude[city], longitude[city], latitude[drawn], longitude[drawn])
        is_close: Bools = away_km < FAR_KM
        drawn = np.where(is_close, other_city(rng, stage.population, city), drawn)
    return drawn
