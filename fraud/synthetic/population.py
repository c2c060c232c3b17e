"""Who pays and who sells: the users with their habits, the merchants with their trades.

Both are structures of arrays, one element a user or a merchant. They depend on the seed and the
sizes alone, not on the traffic.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fraud.synthetic.places import CATEGORIES, CITIES
from fraud.synthetic.settings import DAY_US, GeneratorSettings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FAVOURITES: Final = 8
"""Favourite merchants with a door per user; as many online ones."""
TRIPS: Final = 3
NEVER_US: Final = np.iinfo(np.int64).max
LONG_AGO_US: Final = -NEVER_US
YOUNG_US: Final = 30 * DAY_US
"""How long a newcomer counts as new; the first ones opened so long before the period."""

PLACE_NONE, PLACE_OWN, PLACE_SHOPPER = 0, 1, 2
"""What place the gateway of an online merchant reports: none, its own address, the shopper's."""


@dataclass(frozen=True, slots=True)
class Picker:
    """Draws members of a group with chance proportional to their weight."""

    members: Ints
    starts: Ints
    cumulative: Floats

    @classmethod
    def build(cls, members: Ints, groups: Ints, group_count: int, weights: Floats) -> "Picker":
        """Index ``members``, each in one of ``group_count`` groups; no asked group may be empty."""
        order = np.argsort(groups, kind="stable")
        starts = np.searchsorted(groups[order], np.arange(group_count + 1))
        cumulative = np.concatenate([[0.0], np.cumsum(weights[order])])
        return cls(members[order], starts, cumulative)

    def pick(self, rng: Generator, group: Ints) -> Ints:
        """Draw one member of each asked group."""
        first, last = self.starts[group], self.starts[group + 1]
        low, high = self.cumulative[first], self.cumulative[last]
        at = np.searchsorted(self.cumulative, low + rng.random(len(group)) * (high - low), side="right") - 1
        return self.members[np.clip(at, first, last - 1)]


@dataclass(frozen=True, slots=True)
class Merchants:
    """The merchants; ``online`` and ``doors`` draw by popularity, in the world or in a city."""

    category: Ints
    city: Ints
    latitude: Floats
    longitude: Floats
    price: Floats
    """Factor on its category's amounts."""
    popularity: Floats
    risk: Floats
    """How much it attracts fraud, 1 is usual; hot merchants are drawn by it."""
    is_online: Bools
    place_mode: Ints
    opened_us: Ints
    """Opening, microseconds after the period's start; LONG_AGO_US for the established ones."""
    online: Picker
    doors: Picker
    old_online: Picker
    old_doors: Picker

    def pick_open(self, rng: Generator, is_online: Bools, city: Ints, time_us: Ints) -> Ints:
        """Draw a merchant that is open at that time: an online one, or one in that city."""
        group = np.zeros_like(city)
        picked = np.where(is_online, self.online.pick(rng, group), self.doors.pick(rng, city))
        established = np.where(is_online, self.old_online.pick(rng, group), self.old_doors.pick(rng, city))
        return np.where(self.opened_us[picked] > time_us, established, picked)


@dataclass(frozen=True, slots=True)
class Users:
    """The cardholders and their habits."""

    city: Ints
    latitude: Floats
    longitude: Floats
    is_home_known: Bools
    activity: Floats
    """Relative number of purchases; heavy-tailed."""
    level: Floats
    """Logarithm of the factor on amounts."""
    taste: Floats
    """Logarithm of the factor on amounts, user x category."""
    spread: Floats
    """Factor on the spread of amounts."""
    peak_h: Floats
    """Usual local hour."""
    peak_spread_h: Floats
    weekend: Floats
    """Chance to keep a purchase that falls on a weekend (weekdays: 1)."""
    online_share: Floats
    loyalty: Floats
    """Chance that a purchase goes to a favourite merchant."""
    favourites: Ints
    """User x favourite: first those with a door, then the online ones."""
    has_wallet: Bools
    """Pays contactless by phone, which names its device."""
    devices: Ints
    """1 to 3."""
    phone_change_us: Ints
    """When a new phone replaces the first device; NEVER_US for most."""
    trip_start_us: Ints
    trip_end_us: Ints
    trip_city: Ints


@dataclass(frozen=True, slots=True)
class Population:
    """Users and merchants of one world with ``cities`` cities (the first ones of the map)."""

    users: Users
    merchants: Merchants
    cities: int


def draw_population(settings: GeneratorSettings) -> Population:
    """Draw the users and the merchants of a data set."""
    merchant_rng, user_rng = (
        np.random.default_rng(seed) for seed in np.random.SeedSequence([settings.seed, 1]).spawn(2)
    )
    cities = int(np.clip(settings.merchants // 12, 3, len(CITIES)))
    merchants = _draw_merchants(merchant_rng, settings.merchants, cities, settings.span_us)
    users = _draw_users(user_rng, settings.users, cities, settings.span_us, merchants)
    return Population(users, merchants, cities)


def city_column(name: str) -> Floats:
    """Return one numeric column of the map, e.g. ``latitude``."""
    return np.array([getattr(city, name) for city in CITIES], dtype=np.float64)


def category_column(name: str) -> Floats:
    """Return one numeric column of the trades, e.g. ``median_amount``."""
    return np.array([getattr(category, name) for category in CATEGORIES], dtype=np.float64)


def _draw_cities(rng: Generator, count: int, cities: int) -> Ints:
    weights = city_column("weight")[:cities]
    return rng.choice(cities, size=count, p=weights / weights.sum()).astype(np.int64)


def _near(rng: Generator, city: Ints, spread_km: float) -> tuple[Floats, Floats]:
    latitude, longitude = city_column("latitude")[city], city_column("longitude")[city]
    latitude = latitude + rng.normal(0.0, spread_km / 111.0, len(city))
    longitude = longitude + rng.normal(0.0, spread_km / 111.0, len(city)) / np.cos(np.radians(latitude))
    return np.round(latitude, 5), np.round(longitude, 5)


def _draw_merchants(rng: Generator, count: int, cities: int, span_us: int) -> Merchants:
    share = category_column("popularity") ** 0.7
    category = rng.choice(len(CATEGORIES), size=count, p=share / share.sum()).astype(np.int64)
    is_online = rng.random(count) < category_column("online_share")[category]
    city = _draw_cities(rng, count, cities)
    opened_us = np.where(rng.random(count) < 0.12, rng.integers(-YOUNG_US, span_us, count), LONG_AGO_US)
    # Every city keeps a door, and the world a few online shops and newcomers, however small it is.
    shuffled = rng.permutation(count)
    doors, online, newcomers = (
        shuffled[:cities],
        shuffled[cities : cities + 5],
        shuffled[cities + 5 : cities + 11],
    )
    city[doors], is_online[doors], opened_us[doors] = np.arange(cities), False, LONG_AGO_US
    is_online[online], opened_us[online] = True, LONG_AGO_US
    opened_us[newcomers] = (np.arange(6) + 0.5) / 6 * span_us - YOUNG_US // 2
    latitude, longitude = _near(rng, city, 7.0)
    popularity = rng.lognormal(0.0, 1.2, count) * category_column("popularity")[category] ** 0.6
    members = np.arange(count)
    groups = np.where(is_online, 0, city)

    def index(chosen: Bools) -> Picker:
        picked = members[chosen]
        return Picker.build(picked, groups[picked], cities, popularity[picked])

    return Merchants(
        category=category,
        city=city,
        latitude=latitude,
        longitude=longitude,
        price=rng.lognormal(0.0, 0.35, count),
        popularity=popularity,
        risk=category_column("risk")[category] * rng.lognormal(0.0, 0.8, count),
        is_online=is_online,
        place_mode=rng.choice([PLACE_NONE, PLACE_OWN, PLACE_SHOPPER], size=count, p=[0.3, 0.15, 0.55]),
        opened_us=opened_us.astype(np.int64),
        online=index(is_online),
        doors=index(~is_online),
        old_online=index(is_online & (opened_us < 0)),
        old_doors=index(~is_online & (opened_us < 0)),
    )


def _draw_users(rng: Generator, count: int, cities: int, span_us: int, merchants: Merchants) -> Users:
    city = _draw_cities(rng, count, cities)
    latitude, longitude = _near(rng, city, 9.0)
    home = np.repeat(city, FAVOURITES)
    favourites = np.concatenate(
        [
            merchants.doors.pick(rng, home).reshape(count, FAVOURITES),
            merchants.online.pick(rng, np.zeros_like(home)).reshape(count, FAVOURITES),
        ],
        axis=1,
    )
    trip_start_us = rng.integers(0, span_us, (count, TRIPS))
    is_trip = rng.random((count, TRIPS)) < np.array([0.45, 0.15, 0.05]) * span_us / (120 * DAY_US)
    trip_start_us = np.where(is_trip, trip_start_us, NEVER_US)
    length_us = rng.integers(2 * DAY_US, 12 * DAY_US, (count, TRIPS))
    change_us = rng.integers(0, span_us, count)
    return Users(
        city=city,
        latitude=latitude,
        longitude=longitude,
        is_home_known=rng.random(count) < 0.93,
        activity=rng.lognormal(0.0, 1.6, count),
        level=rng.normal(0.0, 0.4, count),
        taste=rng.normal(0.0, 0.3, (count, len(CATEGORIES))),
        spread=rng.uniform(0.4, 0.85, count),
        peak_h=rng.normal(14.5, 2.8, count),
        peak_spread_h=rng.uniform(1.2, 3.0, count),
        weekend=rng.uniform(0.4, 1.0, count),
        online_share=rng.beta(2.0, 3.5, count),
        loyalty=rng.beta(8.0, 1.8, count),
        favourites=favourites,
        has_wallet=rng.random(count) < 0.6,
        devices=rng.choice([1, 2, 3], size=count, p=[0.5, 0.35, 0.15]),
        phone_change_us=np.where(rng.random(count) < 0.25, change_us, NEVER_US),
        trip_start_us=trip_start_us,
        trip_end_us=np.where(is_trip, np.where(is_trip, trip_start_us, 0) + length_us, NEVER_US),
        trip_city=_draw_cities(rng, count * TRIPS, cities).reshape(count, TRIPS),
    )
