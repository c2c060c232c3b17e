"""A network of transfers in the form of AMLSim, from its description.

Accounts send to partners that they choose once, many to few (the network is scale-free), at their own pace
and amounts. Alerts are typologies of some accounts: fan-in, fan-out, cycle and scatter-gather. Their
transfers have like amounts within some days and are the fraud. All else of these accounts is as usual.
"""

import numpy as np
import pyarrow as pa

from fraud.tools.bench.worlds.world import (
    DAY_US,
    START_US,
    Floats,
    World,
    as_table,
    times_of,
    window_sums,
)

DAYS = 120
GAP_DAYS = 14.0
TYPOLOGIES = ("fan_in", "fan_out", "cycle", "scatter_gather")
Transfer = tuple[int, int, float, float]


def draw_amlsim(accounts: int = 4_000, seed: int = 0) -> pa.Table:
    """Draw 120 days of transfers, about 0.8 % of them in alerts."""
    rng = np.random.default_rng(seed)
    weight = rng.pareto(1.5, accounts) + 0.1
    partners = rng.choice(accounts, (accounts, 6), p=weight / weight.sum())
    counts = rng.poisson(rng.gamma(1.5, 0.15, accounts) * DAYS)
    sender = np.repeat(np.arange(accounts), counts)
    receiver = partners[sender, rng.integers(0, 6, len(sender))]
    level = np.exp(rng.normal(5.0, 1.0, accounts))
    honest = (
        sender,
        receiver,
        rng.uniform(0, DAYS, len(sender)),
        level[sender] * rng.gamma(2.0, 0.5, len(sender)),
    )
    alerts = [one for _ in range(accounts // 25) for one in _draw_alert(rng, accounts)]
    fraud = tuple(np.array(column) for column in zip(*alerts, strict=True))
    is_fraud = np.repeat([False, True], [len(sender), len(alerts)])
    sender, receiver, day, amount = (np.concatenate(pair) for pair in zip(honest, fraud, strict=True))
    keep = sender != receiver
    return as_table(
        START_US + (day[keep] * DAY_US).astype(np.int64),
        is_fraud[keep],
        GAP_DAYS,
        sender=np.char.add("a", sender[keep].astype(int).astype(str)),
        receiver=np.char.add("a", receiver[keep].astype(int).astype(str)),
        amount=np.maximum(amount[keep], 1.0).round(2),
    )


def _draw_alert(rng: np.random.Generator, accounts: int) -> list[Transfer]:
    """Sender, receiver, day and amount of the transfers of one typology."""
    members = rng.choice(accounts, rng.integers(4, 10), replace=False).tolist()
    main, rest, last = members[0], members[1:-1], members[-1]
    kind = TYPOLOGIES[rng.integers(len(TYPOLOGIES))]
    pairs = {
        "fan_in": [(one, main) for one in [*rest, last]],
        "fan_out": [(main, one) for one in [*rest, last]],
        "cycle": list(zip(members, [*members[1:], main], strict=True)),
        "scatter_gather": [(main, one) for one in rest] + [(one, last) for one in rest],
    }[kind]
    amount, begin, length = np.exp(rng.normal(6.0, 0.7)), rng.uniform(0, DAYS - 10), rng.uniform(1, 9)
    days = begin + np.sort(rng.uniform(0, length, len(pairs)))
    amounts = amount * rng.uniform(0.85, 1.0, len(pairs))
    return [
        (*pair, day, paid) for pair, day, paid in zip(pairs, days.tolist(), amounts.tolist(), strict=True)
    ]


def usual_features(table: pa.Table) -> Floats:
    """Compute degree features: what both sides sent and received, number and sum, in 7 and 30 days."""
    time_us, amount = times_of(table), table["amount"].to_numpy()
    accounts = pa.chunked_array([*table["sender"].chunks, *table["receiver"].chunks]).combine_chunks()
    codes = accounts.dictionary_encode().indices.to_numpy().astype(np.int64)
    sides = np.split(codes, 2)
    columns = [amount, time_us // 3_600_000_000 % 24]
    for key in sides:
        for window in (7, 30):
            columns += window_sums(key, time_us, amount, 0, window * DAY_US)
    return np.column_stack(columns)


WORLD = World(
    name="amlsim",
    form="AMLSim (IBM): accounts in a scale-free network, alerts of four typologies",
    published="none for single transfers over a split by time that is known to us",
    draw=lambda seed, size: draw_amlsim(max(round(4_000 * size), 1_000), seed),
    features=usual_features,
    train_days=None,
    gap_days=GAP_DAYS,
    test_days=30,
    schema="transfers.yaml",
    leaks=("transfers of one alert stand in training and in the test",),
)
