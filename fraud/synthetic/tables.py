"""From arrays to Arrow tables: identifiers, places, what is missing, the labels."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.random import Generator
from numpy.typing import NDArray

from fraud.synthetic.places import CATEGORIES, CITIES, CURRENCIES
from fraud.synthetic.population import (
    LONG_AGO_US,
    NEVER_US,
    PLACE_NONE,
    PLACE_SHOPPER,
    Bools,
    Floats,
    Ints,
    Population,
    city_column,
)
from fraud.synthetic.purchases import CHANNELS, NO_DEVICE, ONLINE, Purchases
from fraud.synthetic.settings import DAY_US, GeneratorSettings

TIMESTAMP: Final = pa.timestamp("us", tz="UTC")
MATURITY_US: Final = 21 * DAY_US
"""A transaction without a complaint for so long is taken for honest; no fraud is found later."""
MEDIAN_DELAY_US: Final = 3 * DAY_US
DELAY_SIGMA: Final = 0.9
SOURCES: Final = {"chargeback": 0.5, "customer": 0.35, "analyst": 0.15}
MISSING: Final = {
    "currency": 0.01,
    "category": 0.015,
    "country": 0.01,
    "channel": 0.01,
    "device_id": 0.04,
    "place": 0.04,
}
"""Share of the records in which a gateway leaves the field out."""
LARGEST: Final = 10_000.0

_MASK: Final = 2**64 - 1


def transactions_table(
    rng: Generator, population: Population, purchases: Purchases, settings: GeneratorSettings
) -> pa.Table:
    """Turn purchases, by time, into transactions as the gateways report them."""
    users, merchants = population.users, population.merchants
    count = len(purchases)
    latitude, longitude, city = _places(rng, population, purchases)
    has_no_place = np.isnan(latitude) | (rng.random(count) < MISSING["place"])
    has_no_home = ~users.is_home_known[purchases.user]
    countries = pa.array([city.country for city in CITIES])
    currencies = pa.array([CURRENCIES.get(city.country, "EUR") for city in CITIES])
    categories = pa.array([category.name for category in CATEGORIES])
    number = rng.permutation(count)

    def missing(name: str) -> Bools:
        return rng.random(count) < MISSING[name]

    return pa.table(
        {
            "transaction_id": _hex_ids("t", number, settings.seed),
            "event_time": _times(purchases.time_us + settings.start_us),
            "user_id": _numbered("u", len(users.city)).take(pa.array(purchases.user)),
            "merchant_id": _numbered("m", len(merchants.city)).take(pa.array(purchases.merchant)),
            "amount": np.clip(np.round(purchases.amount, 2), 0.5, LARGEST),
            "currency": _named(currencies, users.city[purchases.user], missing("currency")),
            "category": _named(categories, merchants.category[purchases.merchant], missing("category")),
            "country": _named(countries, city, missing("country")),
            "channel": _named(pa.array(CHANNELS), purchases.channel, missing("channel")),
            "device_id": _devices(purchases, settings.seed, missing("device_id")),
            "latitude": pa.array(latitude, mask=has_no_place),
            "longitude": pa.array(longitude, mask=has_no_place),
            "home_latitude": pa.array(users.latitude[purchases.user], mask=has_no_home),
            "home_longitude": pa.array(users.longitude[purchases.user], mask=has_no_home),
        }
    )


def labels_table(rng: Generator, transactions: pa.Table, is_fraud: Bools) -> pa.Table:
    """Label every transaction: fraud after days, honest ones at maturity; by label_time."""
    count = len(is_fraud)
    delay_us = MEDIAN_DELAY_US * np.exp(DELAY_SIGMA * rng.standard_normal(count))
    delay_us = np.clip(delay_us.astype(np.int64), 60_000_000, MATURITY_US)
    event_us = transactions["event_time"].cast(pa.int64()).to_numpy()
    label_us = event_us + np.where(is_fraud, delay_us, MATURITY_US)
    source = rng.choice(len(SOURCES), size=count, p=list(SOURCES.values()))
    source = np.where(is_fraud, source, len(SOURCES))
    table = pa.table(
        {
            "transaction_id": transactions["transaction_id"],
            "user_id": transactions["user_id"],
            "merchant_id": transactions["merchant_id"],
            "event_time": transactions["event_time"],
            "label_time": _times(label_us),
            "is_fraud": pa.array(is_fraud),
            "source": pa.array([*SOURCES, "maturity"]).take(pa.array(source)),
        }
    )
    return table.take(pa.array(np.argsort(label_us, kind="stable")))


def users_table(population: Population, settings: GeneratorSettings) -> pa.Table:
    """Describe the users."""
    users = population.users
    cities = [CITIES[city] for city in users.city.tolist()]
    return pa.table(
        {
            "user_id": _numbered("u", len(cities)),
            "home_city": pa.array([city.name for city in cities]),
            "country": pa.array([city.country for city in cities]),
            "currency": pa.array([CURRENCIES.get(city.country, "EUR") for city in cities]),
            "home_latitude": users.latitude,
            "home_longitude": users.longitude,
            "expected_transactions_per_30d": _expected(users.activity, settings),
            "usual_hour_local": np.round(users.peak_h % 24.0, 2),
            "online_share": np.round(users.online_share, 4),
            "devices": users.devices,
            "phone_changed_at": _moments(users.phone_change_us, settings),
        }
    )


def merchants_table(population: Population, settings: GeneratorSettings) -> pa.Table:
    """Describe the merchants."""
    merchants = population.merchants
    cities = [CITIES[city] for city in merchants.city.tolist()]
    return pa.table(
        {
            "merchant_id": _numbered("m", len(cities)),
            "category": pa.array([CATEGORIES[index].name for index in merchants.category.tolist()]),
            "city": pa.array([city.name for city in cities]),
            "country": pa.array([city.country for city in cities]),
            "latitude": merchants.latitude,
            "longitude": merchants.longitude,
            "is_online": pa.array(merchants.is_online),
            "price_level": np.round(merchants.price, 4),
            "risk": np.round(merchants.risk, 4),
            "opened_at": _moments(
                np.where(merchants.opened_us == LONG_AGO_US, NEVER_US, merchants.opened_us), settings
            ),
        }
    )


def _places(rng: Generator, population: Population, purchases: Purchases) -> tuple[Floats, Floats, Ints]:
    """Report the place: the shop's; online the shopper's (by network), the company's, or none."""
    merchants = population.merchants
    mode = merchants.place_mode[purchases.merchant]
    is_online = purchases.channel == ONLINE
    is_shopper = is_online & (mode == PLACE_SHOPPER)
    city = np.where(is_shopper, purchases.city, merchants.city[purchases.merchant])
    jitter = rng.normal(0.0, 0.25, (2, len(purchases)))
    shopper_latitude = city_column("latitude")[city] + jitter[0]
    shopper_longitude = city_column("longitude")[city] + jitter[1]
    latitude = np.where(is_shopper, shopper_latitude, merchants.latitude[purchases.merchant])
    longitude = np.where(is_shopper, shopper_longitude, merchants.longitude[purchases.merchant])
    is_hidden = is_online & (mode == PLACE_NONE)
    shown = np.where(is_hidden, np.nan, np.round(latitude, 5))
    return shown, np.round(longitude, 5).astype(np.float64), city


def _mixed(number: Ints, seed: int, salt: int) -> NDArray[np.uint64]:
    """Scatter numbers over 64 bits, one to one (splitmix64, https://prng.di.unimi.it/splitmix64.c)."""
    value = number.astype(np.uint64) + np.uint64(((seed + 1) * 0x9E3779B97F4A7C15 + salt) & _MASK)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(value ^ (value >> np.uint64(31)))


def _hex_ids(prefix: str, number: Ints, seed: int) -> pa.Array:
    text = _mixed(number, seed, ord(prefix) << 48).astype(">u8").tobytes().hex()
    digits = np.frombuffer(text.encode(), dtype=np.uint8).reshape(-1, 16)
    letters = np.concatenate([np.full((len(digits), 1), ord(prefix), dtype=np.uint8), digits], axis=1)
    offsets = np.arange(len(digits) + 1, dtype=np.int32) * 17
    return pa.StringArray.from_buffers(len(digits), pa.py_buffer(offsets), pa.py_buffer(letters.tobytes()))


def _devices(purchases: Purchases, seed: int, is_missing: Bools) -> pa.Array:
    ids = _hex_ids("d", np.maximum(purchases.device, 0), seed)
    is_absent = is_missing | (purchases.device == NO_DEVICE)
    return pc.if_else(pa.array(is_absent), pa.scalar(None, pa.string()), ids)


def _numbered(prefix: str, count: int) -> pa.Array:
    return pa.array([f"{prefix}{number:07d}" for number in range(count)])


def _named(names: pa.Array, index: Ints, is_missing: Bools) -> pa.Array:
    return names.take(pa.array(index, mask=is_missing))


def _times(time_us: Ints) -> pa.Array:
    return pa.array(time_us, pa.int64()).cast(TIMESTAMP)


def _moments(time_us: Ints, settings: GeneratorSettings) -> pa.Array:
    is_never = time_us == NEVER_US
    moments = np.where(is_never, 0, time_us) + settings.start_us
    return pa.array(moments, pa.int64(), mask=is_never).cast(TIMESTAMP)


def _expected(activity: Floats, settings: GeneratorSettings) -> Any:
    return np.round(activity / activity.sum() * settings.transactions * 30 / settings.days, 3)
