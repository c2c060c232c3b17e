"""A table in the form of the Fraud Detection Handbook's simulated data, from its published description.

Customers and terminals lie on a plane of 100 x 100; a customer uses the terminals within a radius, a
Poisson number of times a day, around noon, with amounts of their own mean and half of it as standard
deviation. Three scenarios of fraud: (1) every amount above 220; (2) each day two terminals are
compromised, and all their transactions of the next 28 days are fraud; (3) each day three customers'
credentials leak, and a third of their transactions of the next 14 days have five times the amount and are
fraud. Labels come 7 days later. (Le Borgne et al., Reproducible Machine Learning for Credit Card Fraud
Detection, 2022, chapter 3.)
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from fraud.tools.bench.worlds.world import DAY_US, Floats, World, window_sums

START = datetime(2018, 4, 1, tzinfo=UTC)
LABEL_DELAY_DAYS = 7
RADIUS = 5.0


def draw_handbook(
    customers: int = 5_000, terminals: int = 10_000, days: int = 183, seed: int = 0, events_a_day: float = 1.0
) -> pa.Table:
    """Draw the table.

    The published data are 5,000 customers and 10,000 terminals over 183 days. ``events_a_day`` scales the
    leaks and compromises, so that a smaller world keeps the share of fraud.
    """
    rng = np.random.default_rng(seed)
    place = rng.uniform(0.0, 100.0, (customers, 2))
    terminal_place = rng.uniform(0.0, 100.0, (terminals, 2))
    mean_amount = rng.uniform(5.0, 100.0, customers)
    daily = rng.uniform(0.0, 4.0, customers)
    radius = RADIUS * np.sqrt(10_000 / terminals)
    near = [np.flatnonzero(((terminal_place - home) ** 2).sum(axis=1) < radius**2) for home in place]
    counts = rng.poisson(np.repeat(daily[:, None], days, axis=1))
    customer, day = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    second = rng.normal(43_200.0, 20_000.0, len(customer)).astype(np.int64)
    reach = np.array([len(found) for found in near])
    keep = (second > 0) & (second < 86_400) & (reach[customer] > 0)
    customer, day, second = customer[keep], day[keep], second[keep]
    starts = np.concatenate([[0], np.cumsum(reach)[:-1]])
    pick = (rng.random(len(customer)) * reach[customer]).astype(np.int64)
    terminal = np.concatenate(near)[starts[customer] + pick]
    amount = rng.normal(mean_amount[customer], mean_amount[customer] / 2.0)
    amount = np.where(amount < 0.0, rng.uniform(0.0, 2.0 * mean_amount[customer]), amount).round(2)
    order = np.argsort(day * 86_400 + second, kind="stable")
    drawn: list[Any] = [column[order] for column in (customer, day, second, terminal, amount)]
    customer, day, second, terminal, amount = drawn
    is_fraud = amount > 220.0
    for begin in range(days):
        chosen = rng.choice(
            terminals, rng.poisson(2 * events_a_day) if events_a_day < 1 else 2, replace=False
        )
        is_fraud |= np.isin(terminal, chosen) & (day >= begin) & (day < begin + 28)
    for begin in range(days):
        chosen = rng.choice(
            customers, rng.poisson(3 * events_a_day) if events_a_day < 1 else 3, replace=False
        )
        leaked = np.flatnonzero(np.isin(customer, chosen) & (day >= begin) & (day < begin + 14))
        stolen = rng.choice(leaked, len(leaked) // 3, replace=False)
        amount[stolen] = (amount[stolen] * 5.0).round(2)
        is_fraud[stolen] = True
    event_us = round(START.timestamp()) * 1_000_000 + (day * 86_400 + second) * 1_000_000
    stamp = pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            "transaction_id": np.arange(len(day)).astype(str),
            "event_time": pa.array(event_us, stamp),
            "user_id": customer,  # numbers, as in the original
            "merchant_id": terminal,
            "amount": np.maximum(amount, 0.01),  # the contract wants a positive one
            "is_fraud": is_fraud.astype(np.int64),
            "label_time": pa.array(event_us + LABEL_DELAY_DAYS * DAY_US, stamp),
        }
    )


def baseline_features(table: pa.Table) -> Floats:
    """Compute the fifteen published features.

    Amount, weekend, night; for the windows of 1, 7 and 30 days the customer's number and mean amount, and
    the terminal's number and share of fraud, all 7 days ago.
    """
    event_us = table["event_time"].cast(pa.int64()).to_numpy()
    amount = table["amount"].to_numpy()
    hour, day = event_us // 3_600_000_000 % 24, event_us // DAY_US
    columns = [amount, ((day + 3) % 7 >= 5).astype(float), (hour <= 6).astype(float)]
    user, merchant = table["user_id"].to_numpy(), table["merchant_id"].to_numpy()
    is_fraud = table["is_fraud"].to_numpy().astype(float)
    for window in (1, 7, 30):
        count, total = window_sums(user, event_us, amount, 0, window * DAY_US)
        columns += [count, total / count]
    for window in (1, 7, 30):
        delay = LABEL_DELAY_DAYS * DAY_US
        near, frauds_near = window_sums(merchant, event_us, is_fraud, 0, delay)
        far, frauds_far = window_sums(merchant, event_us, is_fraud, 0, delay + window * DAY_US)
        count = far - near
        columns += [count, np.where(count > 0, (frauds_far - frauds_near) / np.maximum(count, 1.0), 0.0)]
    return np.column_stack(columns)


def _draw(seed: int, size: float) -> pa.Table:
    """Draw 60 days, the last of which are trained and tested on; a smaller world has the share of fraud."""
    if size >= 1.0:
        return draw_handbook(days=60, seed=seed)
    customers = round(5_000 * size)
    return draw_handbook(customers, 2 * customers, days=60, seed=seed, events_a_day=size)


WORLD = World(
    name="handbook",
    form="Fraud Detection Handbook (Le Borgne et al., 2022), chapter 3: customers and terminals",
    published="0.639 XGBoost, 0.658 random forest, 0.687 XGBoost tuned: average precision over its own data",
    draw=_draw,
    features=baseline_features,
    train_days=7,
    gap_days=7,
    test_days=7,
    without_known=True,
)
"""7 days of training, 7 until the labels come, 7 of test."""
