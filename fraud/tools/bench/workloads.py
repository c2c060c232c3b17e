"""What the fold is measured on: the simulator's traffic, and two kinds of extreme."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from fraud.features import kernel
from fraud.features.events import events_of_labels, events_of_transactions
from fraud.features.hashing import hash_text
from fraud.features.kernel import Floats
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings

__all__ = ["Traffic", "draw_bursts", "draw_busy_merchant", "draw_history", "draw_traffic"]

START_US: Final = 1_772_323_200_000_000.0
"""2026-03-01."""
DAY_US: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Traffic:
    """Events of the simulator, in the order of arrival."""

    transactions: Floats
    with_labels: Floats
    """The same, each followed by its label once that has arrived."""
    users: Floats
    """Keys of all users, also of those who bought nothing."""


def draw_traffic(transactions: int, users: int, merchants: int, days: int = 120) -> Traffic:
    """Draw the simulator's traffic: 2 % fraud, users and merchants of very different volumes."""
    data = generate(GeneratorSettings(transactions=transactions, users=users, merchants=merchants, days=days))
    events, labels = events_of_transactions(data.transactions), events_of_labels(data.labels)
    label_us = data.labels["label_time"].cast("int64").to_numpy()
    arrival = np.concatenate([label_us, events[:, kernel.E_TIME]])
    order = np.argsort(arrival, kind="stable")
    keys = np.array([hash_text(user) for user in data.users["user_id"].to_pylist()])
    return Traffic(events, np.concatenate([labels, events])[order], keys)


def draw_history(traffic: Traffic, each: int, most: int) -> Iterator[Floats]:
    """Draw so many earlier transactions of every user, like those of the traffic, in parts."""
    stream, users = traffic.transactions, traffic.users
    span_us = 15 * DAY_US
    first_us = stream[0, kernel.E_TIME] - span_us
    total = each * len(users)
    for first in range(0, total, most):
        number = np.arange(first, min(first + most, total))
        part = stream[number % len(stream)]
        part[:, kernel.E_ID] = number + 1.0
        part[:, kernel.E_USER] = users[number % len(users)]
        part[:, kernel.E_TIME] = first_us + np.floor(number * (span_us / total))
        yield part


def draw_bursts(transactions: Floats, length: int) -> Floats:
    """Give every ``length`` transactions to one user, a second apart: tests of stolen cards."""
    events = transactions[: len(transactions) // length * length].copy()
    number = np.arange(len(events))
    events[:, kernel.E_USER] = events[::length, kernel.E_USER].repeat(length)
    events[:, kernel.E_TIME] = START_US + number // length * 7e6 + number % length * 1e6
    return events[np.argsort(events[:, kernel.E_TIME], kind="stable")]


def draw_busy_merchant(transactions: Floats) -> Floats:
    """Give all transactions to one merchant, within seven days."""
    events = transactions.copy()
    events[:, kernel.E_MERCHANT] = 1.0
    times = events[:, kernel.E_TIME]
    events[:, kernel.E_TIME] = START_US + np.floor((times - times[0]) / (times[-1] - times[0]) * 168 * 3.6e9)
    return events
