"""Purchases before they become records, and the draws that honest people and fraudsters share.

Both go through the same functions, so that nothing but behaviour tells them apart.
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.random import Generator

from fraud.synthetic.places import CITIES
from fraud.synthetic.population import Bools, Floats, Ints, Population, category_column, city_column
from fraud.synthetic.settings import DAY_US

CHANNELS: Final = ("chip", "contactless", "swipe", "online")
CHIP, CONTACTLESS, SWIPE, ONLINE = range(4)
HONEST: Final = -1
NO_DEVICE: Final = -1
HOUR_US: Final = 3_600_000_000
MINUTE_US: Final = 60_000_000
DEVICE_SLOTS: Final = 4
"""Device keys of a user: three usual ones and the new phone; fraudsters' keys come after all users'."""


@dataclass(frozen=True, slots=True)
class Purchases:
    """Purchases as arrays; one element each."""

    time_us: Ints
    """Microseconds after the period's start."""
    user: Ints
    merchant: Ints
    amount: Floats
    channel: Ints
    """Index into CHANNELS."""
    city: Ints
    """Where the shopper is: index into the map."""
    device: Ints
    """Key of the shopper's device, or NO_DEVICE."""
    pattern: Ints
    """Index of the fraud pattern, or HONEST."""

    def __len__(self) -> int:
        return len(self.time_us)

    def take(self, index: Ints) -> "Purchases":
        """Return the purchases at these positions."""
        return Purchases(*(getattr(self, field.name)[index] for field in fields(self)))

    @staticmethod
    def concatenate(parts: list["Purchases"]) -> "Purchases":
        """Put parts one after the other."""
        names = [field.name for field in fields(Purchases)]
        return Purchases(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def usual_amount(rng: Generator, population: Population, user: Ints, merchant: Ints) -> Floats:
    """Draw what this user would pay at this merchant on a usual day."""
    users, merchants = population.users, population.merchants
    category = merchants.category[merchant]
    centre = np.log(category_column("median_amount")[category] * merchants.price[merchant])
    centre = centre + users.level[user] + users.taste[user, category]
    sigma = category_column("amount_sigma")[category] * users.spread[user]
    return np.asarray(np.exp(centre + sigma * rng.standard_normal(len(user))))


def usual_time(rng: Generator, population: Population, user: Ints, span_us: int) -> Ints:
    """Draw times by the users' habits (local hour, weekday), in microseconds after the start."""
    users = population.users
    count, days = len(user), span_us // DAY_US
    day = rng.integers(0, days, count)
    is_dropped = (day % 7 >= 5) & (rng.random(count) > users.weekend[user])
    day = np.where(is_dropped, rng.integers(0, days, count), day)
    hour = users.peak_h[user] + users.peak_spread_h[user] * rng.standard_normal(count)
    kind = rng.random(count)
    hour = np.where(kind > 0.8, 12.8 + 2.0 * rng.standard_normal(count), hour)
    hour = np.where(kind > 0.93, 24.0 * rng.random(count), hour)
    local_us = day * DAY_US + ((hour % 24.0) * HOUR_US).astype(np.int64)
    offset_us = (city_column("utc_offset_h")[users.city[user]] * HOUR_US).astype(np.int64)
    return np.asarray((local_us - offset_us) % span_us, dtype=np.int64)


def place_of_user(population: Population, user: Ints, time_us: Ints) -> Ints:
    """Return the city where the user is: at home, or on a trip."""
    users = population.users
    city = users.city[user]
    for trip in range(users.trip_city.shape[1]):
        is_away = (users.trip_start_us[user, trip] <= time_us) & (time_us < users.trip_end_us[user, trip])
        city = np.where(is_away, users.trip_city[user, trip], city)
    return city


def usual_channel(rng: Generator, is_online: Bools) -> Ints:
    """Draw how the card is used at a merchant."""
    present = rng.choice([CHIP, CONTACTLESS, SWIPE], size=len(is_online), p=[0.36, 0.58, 0.06])
    return np.where(is_online, ONLINE, present)


def own_device(rng: Generator, population: Population, user: Ints, time_us: Ints, channel: Ints) -> Ints:
    """Draw the device of an honest purchase: the phone most of the time, none for a plain card."""
    users = population.users
    slot = np.where(rng.random(len(user)) < 0.12, rng.integers(0, users.devices[user]), 0)
    slot = np.where((slot == 0) & (time_us >= users.phone_change_us[user]), DEVICE_SLOTS - 1, slot)
    names_device = (channel == ONLINE) | ((channel == CONTACTLESS) & users.has_wallet[user])
    return np.where(names_device, user * DEVICE_SLOTS + slot, NO_DEVICE)


def other_city(rng: Generator, population: Population, city: Ints) -> Ints:
    """Draw a city that is not the given one, by size."""
    weights = city_column("weight")[: population.cities]
    chance = weights / weights.sum()
    drawn = rng.choice(population.cities, size=len(city), p=chance)
    return np.where(
        drawn == city,
        (drawn + 1 + rng.integers(0, population.cities - 1, len(city))) % population.cities,
        drawn,
    )


def country_of(city: Ints) -> list[str]:
    """Return the countries of cities."""
    return [CITIES[index].country for index in city.tolist()]
