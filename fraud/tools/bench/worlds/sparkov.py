"""A world in the form of Sparkov (the simulated card data on Kaggle), from its description.

Customers have a place, an age and a profile that says how often and in which of 14 categories they buy;
merchants lie within a degree of them. A customer's card is stolen at most once: on one to three days about
ten payments come, most of them at night, with the amounts that fraud has in its category. The data's columns
hold no key of a device, and nothing but those sprees is fraud.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.tools.bench.worlds.world import DAY_US, START_US, Floats, World, as_table, numbers_of, times_of

CATEGORIES = (
    *(
        "entertainment",
        "food_dining",
        "gas_transport",
        "grocery_net",
        "grocery_pos",
        "health_fitness",
        "home",
    ),
    *("kids_pets", "misc_net", "misc_pos", "personal_care", "shopping_net", "shopping_pos", "travel"),
)
HONEST_MEAN = np.array([64, 51, 63, 54, 117, 54, 58, 58, 80, 63, 48, 88, 80, 112], float)
FRAUD_MEAN = np.array([500, 120, 12, 13, 310, 20, 250, 18, 800, 220, 26, 1000, 870, 9], float)
FRAUD_SHARE = np.array([3, 2, 8, 2, 24, 2, 3, 3, 12, 3, 3, 23, 11, 1], float)
DAYS = 150
STOLEN_SHARE = 0.12
GAP_DAYS = 7.0


def draw_sparkov(customers: int = 1_000, seed: int = 0) -> pa.Table:
    """Draw 150 days of the customers' payments, some 0.6 % of them fraud."""
    rng = np.random.default_rng(seed)
    home = np.column_stack([rng.uniform(30, 48, customers), rng.uniform(-120, -75, customers)])
    age, population = rng.integers(18, 90, customers), np.exp(rng.normal(8, 2, customers)).round()
    taste = rng.dirichlet(np.full(len(CATEGORIES), 2.0), customers)
    counts = rng.poisson(rng.gamma(2.0, 0.9, customers) * DAYS)
    customer = np.repeat(np.arange(customers), counts)
    hour = np.where(
        rng.random(len(customer)) < 0.7, rng.normal(16, 4, len(customer)), rng.uniform(0, 24, len(customer))
    )
    time_s = rng.integers(0, DAYS, len(customer)) * 86_400 + (hour % 24) * 3600
    category = (taste.cumsum(axis=1)[customer] < rng.random(len(customer))[:, None]).sum(axis=1).clip(max=13)
    amount = rng.gamma(1.2, HONEST_MEAN[category] / 1.2)
    fraud = _draw_frauds(rng, customers)
    is_fraud = np.repeat([False, True], [len(customer), len(fraud[0])])
    customer, time_s, category, amount = (
        np.concatenate(pair) for pair in zip((customer, time_s, category, amount), fraud, strict=True)
    )
    merchant = category * 50 + rng.integers(0, 50, len(customer))
    place = home[customer] + rng.uniform(-1, 1, (len(customer), 2))
    return as_table(
        START_US + (time_s * 1e6).astype(np.int64),
        is_fraud,
        GAP_DAYS,
        user_id=np.char.add("c", customer.astype(str)),
        merchant_id=np.char.add("m", merchant.astype(str)),
        category=np.array(CATEGORIES)[category],
        amount=np.maximum(amount, 1.0).round(2),
        latitude=place[:, 0].round(6),
        longitude=place[:, 1].round(6),
        home_latitude=home[customer, 0].round(6),
        home_longitude=home[customer, 1].round(6),
        age=age[customer].astype(float),
        city_pop=population[customer],
    )


def _draw_frauds(rng: np.random.Generator, customers: int) -> tuple[NDArray[Any], ...]:
    """Draw customer, second, category and amount of the payments with stolen cards."""
    stolen = rng.choice(customers, round(STOLEN_SHARE * customers), replace=False)
    victim = np.repeat(stolen, rng.integers(6, 14, len(stolen)))
    begin = dict(zip(stolen.tolist(), rng.integers(5, DAYS - 3, len(stolen)).tolist(), strict=True))
    day = np.array([begin[one] for one in victim.tolist()]) + rng.integers(0, 3, len(victim))
    is_night = rng.random(len(victim)) < 0.8
    hour = np.where(is_night, rng.uniform(22, 28, len(victim)) % 24, rng.uniform(0, 24, len(victim)))
    category = rng.choice(len(CATEGORIES), len(victim), p=FRAUD_SHARE / FRAUD_SHARE.sum())
    amount = rng.normal(FRAUD_MEAN[category], FRAUD_MEAN[category] / 6)
    return victim, day * 86_400 + hour * 3600, category, np.abs(amount)


def usual_features(table: pa.Table) -> Floats:
    """Compute what public notebooks use: amount, hour, weekday, category, distance, age, town."""
    time_us = times_of(table)
    numbers = ("amount", "age", "city_pop", "home_latitude", "home_longitude", "latitude", "longitude")
    columns = [table[name].to_numpy() for name in numbers]
    apart = np.hypot(columns[3] - columns[5], columns[4] - columns[6])
    clock = [time_us // 3_600_000_000 % 24, (time_us // DAY_US + 3) % 7]
    return np.column_stack([*columns, apart, *clock, numbers_of(table, "category")]).astype(float)


WORLD = World(
    name="sparkov",
    form="Sparkov data generator: customers, 14 categories, sprees with stolen cards",
    published="none over a split by time that is known to us",
    draw=lambda seed, size: draw_sparkov(max(round(1_000 * size), 200), seed),
    features=usual_features,
    train_days=None,
    gap_days=GAP_DAYS,
    test_days=45,
    leaks=("a spree of one card is in training and in the test",),
)
