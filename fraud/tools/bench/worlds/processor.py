"""A world in the form of a card processor's (Vesta's IEEE-CIS data), from its description.

Cards pay in shops online, from devices, addresses and e-mail accounts. The published data count what a card
was seen with (columns C) and the days since (columns D). Fraud comes in rings: one device and a few addresses
try many stolen cards with fresh e-mail accounts within days. Once a card is charged back, its later payments
are fraud too, which is how the published labels were made.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.tools.bench.worlds.world import (
    DAY_US,
    START_US,
    Floats,
    Ints,
    World,
    as_table,
    distinct_so_far,
    numbers_of,
    since_last,
    times_of,
    window_sums,
)

Bools = NDArray[np.bool_]
DAYS = 120
GAP_DAYS = 14.0
PRODUCTS = ("W", "C", "R", "H", "S")
DOMAINS = ("gmail.com", "yahoo.com", "hotmail.com", "anonymous.com", "protonmail.com", "aol.com")
RING_SIZE = 14


def draw_processor(cards: int = 8_000, seed: int = 0) -> pa.Table:
    """Draw 120 days of payments, some 3 % of them fraud."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(1.0, 6.0, cards))
    card = np.repeat(np.arange(cards), counts)
    n = len(card)
    level, taste = np.exp(rng.normal(4.0, 0.8, cards)), rng.integers(0, len(PRODUCTS), cards)
    day = rng.uniform(0, DAYS, n)
    device = np.where(rng.random(n) < 0.8, card, cards + rng.integers(0, 4 * cards, n))
    address = np.where(rng.random(n) < 0.6, card, cards + rng.integers(0, cards // 4, n))
    email = np.where(rng.random(n) < 0.95, card, cards + rng.integers(0, cards, n))
    product = np.where(rng.random(n) < 0.7, taste[card], rng.integers(0, len(PRODUCTS), n))
    amount = level[card] * rng.gamma(3.0, 1 / 3, n)
    honest = (card, day, device, address, email, product, amount, (card * 7) % 5)
    rings = [_draw_ring(rng, cards, ring) for ring in range(cards // 150)]
    fraud = tuple(np.concatenate(columns) for columns in zip(*rings, strict=True))
    is_fraud = np.repeat([False, True], [n, len(fraud[0])])
    card, day, device, address, email, product, amount, domain = (
        np.concatenate(pair) for pair in zip(honest, fraud, strict=True)
    )
    return as_table(
        START_US + (day * DAY_US).astype(np.int64),
        is_fraud | _is_charged_back(card, day, is_fraud, cards),
        GAP_DAYS,
        card=np.char.add("c", card.astype(str)),
        device=np.char.add("d", device.astype(str)),
        ip=np.char.add("i", address.astype(str)),
        email=np.char.add("e", email.astype(str)),
        product=np.array(PRODUCTS)[product],
        domain=np.array(DOMAINS)[domain],
        amount=np.maximum(amount, 0.5).round(2),
    )


def _draw_ring(rng: np.random.Generator, cards: int, ring: int) -> tuple[Floats | Ints, ...]:
    """One device, three addresses and fresh e-mail accounts, over stolen cards."""
    stolen = rng.choice(cards, RING_SIZE, replace=False)
    card = np.repeat(stolen, rng.integers(1, 4, RING_SIZE))
    n = len(card)
    day = np.minimum(rng.uniform(2, DAYS - 5) + rng.exponential(1.5, n), DAYS - 0.01)
    device = np.where(rng.random(n) < 0.75, 6 * cards + ring, 7 * cards + rng.integers(0, 4 * cards, n))
    address = 2 * cards + 3 * ring + rng.integers(0, 3, n)
    email = 3 * cards + RING_SIZE * ring + rng.integers(0, RING_SIZE, n)
    amount = np.exp(rng.normal(4.4, 0.7, n))
    return card, day, device, address, email, rng.integers(0, 5, n), amount, rng.choice(6, n)


def _is_charged_back(card: Ints, day: Floats, is_fraud: Bools, cards: int) -> Bools:
    """Tell payments of a card within five days after its first fraud."""
    first = np.full(cards, np.inf)
    np.minimum.at(first, card[is_fraud], day[is_fraud])
    return (day > first[card]) & (day < first[card] + 5.0)


def published_features(table: pa.Table) -> Floats:
    """Compute columns as the published C and D: what the card was seen with so far, days since, and sums."""
    time_us, amount = times_of(table), table["amount"].to_numpy()
    card, device, ip, email = (numbers_of(table, name) for name in ("card", "device", "ip", "email"))
    columns = [
        amount,
        time_us // 3_600_000_000 % 24,
        numbers_of(table, "product"),
        numbers_of(table, "domain"),
    ]
    columns += [distinct_so_far(card, other, time_us) for other in (device, ip, email)]
    columns += [distinct_so_far(other, card, time_us) for other in (device, ip, email)]
    columns += [since_last(key, time_us) for key in (card, device, ip, email)]
    columns += window_sums(card, time_us, amount, 0, 30 * DAY_US)
    return np.column_stack(columns).astype(float)


WORLD = World(
    name="processor",
    form="IEEE-CIS (Vesta): cards, devices, addresses, e-mail; labels spread over a card",
    published="none of average precision: its contest published ROC-AUC alone",
    draw=lambda seed, size: draw_processor(max(round(8_000 * size), 2_000), seed),
    features=published_features,
    train_days=None,
    gap_days=GAP_DAYS,
    test_days=30,
    schema="processor.yaml",
    leaks=(
        "payments of one ring stand in training and in the test",
        "a card's label spreads to its later payments",
    ),
)
