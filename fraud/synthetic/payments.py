"""Kinds and currencies of a synthetic world, laid over its purchases; without them the world is as it was.

Kinds (``GeneratorSettings.kinds``). A thief who tests cards asks for verifications of 0 before the spree; an
honest cardholder stores a card at an online shop now and then. Some honest purchases are cash from a machine,
some come back as refunds or are reversed, with the amount of an earlier one at the same merchant.

Currencies (a schema with ``money``). Amounts are in the currency of the shop's country, and some online shops
price in one without decimals or with three. Reference rates wander from week to week.
"""

from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.random import Generator
from numpy.typing import NDArray

from fraud.money import Rate, Rates, digits_of
from fraud.money.rates import ALWAYS
from fraud.schema.kinds import PURCHASE, REFUND, VERIFICATION
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.places import CURRENCIES
from fraud.synthetic.settings import GeneratorSettings

EUROS: Final = {
    "EUR": 1.0,
    "GBP": 1.16,
    "USD": 0.92,
    "AUD": 0.6,
    "CAD": 0.67,
    "CHF": 1.04,
    "JPY": 0.0061,
    "KWD": 2.99,
    "VND": 0.0000365,
}
"""Euros for one unit at the beginning."""
FAR: Final = ("JPY", "KWD", "VND")
FAR_SHARE: Final = 0.08
"""Of the merchants that price online sales in a far currency."""
WEEK: Final = timedelta(days=7)
TESTED: Final = 0.7
"""Share of a thief's small trials that are verifications."""
STORED: Final = 0.01
REFUNDED: Final = 0.02
REVERSED: Final = 0.005
WITHDRAWN: Final = 0.03
SMALL: Final = 10.0
"""A thief's trials are below it."""


def lay_kinds(data: DataSet, settings: GeneratorSettings) -> DataSet:
    """Give the transactions their kinds, and the amounts that follow from them."""
    rng = np.random.default_rng([settings.seed, 11])
    table = data.transactions
    amount = np.asarray(table["amount"].to_numpy(), np.float64).copy()
    kind = np.full(len(amount), PURCHASE, object)
    is_fraud, is_tested = of_patterns(data)
    is_online = np.asarray(pc.fill_null(pc.equal(table["channel"], "online"), False))
    draw = rng.random(len(amount))
    trial = is_tested & (amount < SMALL) & (draw < TESTED)
    checked = trial | (~is_fraud & is_online & (draw < STORED))
    kind[checked], amount[checked] = VERIFICATION, 0.0
    cash = ~is_fraud & ~is_online & ~checked & (draw < WITHDRAWN)
    kind[cash], amount[cash] = "withdrawal", np.maximum(10.0, np.round(amount[cash], -1))
    earlier = _earlier(table, kind)
    back = ~is_fraud & (kind == PURCHASE) & (earlier >= 0) & (draw > 1.0 - REFUNDED - REVERSED)
    back &= ~back[earlier]  # it is a purchase that comes back
    amount[back] = amount[earlier[back]]
    kind[back] = np.where(draw[back] > 1.0 - REVERSED, "reversal", REFUND)
    at = table.column_names.index("amount")
    changed = table.set_column(at, "amount", pa.array(amount))
    return replace(data, transactions=changed.append_column("kind", pa.array(kind.tolist(), pa.string())))


def lay_currencies(data: DataSet, settings: GeneratorSettings) -> DataSet:
    """Write amounts in the currencies of the shops, with their digits."""
    rng = np.random.default_rng([settings.seed, 12])
    table = data.transactions
    currency = _currencies(table, rng)
    week = np.asarray(table["event_time"].cast(pa.int64()).to_numpy(), np.int64)
    week = (week - settings.start_us) // (7 * 86_400_000_000)
    euros = _walks(settings)
    amount = np.asarray(table["amount"].to_numpy(), np.float64)
    found = np.empty(len(amount))
    for code in EUROS:
        mine = currency == code
        scale = 10.0 ** (digits_of(code) or 0)
        minor = np.rint(amount[mine] / euros[code][np.clip(week[mine], 0, None)] * scale)
        found[mine] = np.where(amount[mine] > 0.0, np.maximum(minor, 1.0), 0.0) / scale
    for name, values in (("amount", pa.array(found)), ("currency", pa.array(currency.tolist(), pa.string()))):
        table = table.set_column(table.column_names.index(name), name, values)
    return replace(data, transactions=table)


def rates_of(settings: GeneratorSettings, base: str) -> Rates:
    """Give the reference rates of the world, a new one each week.

    Raises
    ------
    KeyError
        When the world has no such currency.
    """
    euros = _walks(settings)
    start = settings.start.astimezone(UTC)
    found = []
    for code in EUROS:
        if code == base:
            continue
        for week, value in enumerate(euros[code] / euros[base]):
            since = start + week * WEEK if week else ALWAYS
            found.append(Rate(code, base, since, Decimal(f"{value:.10f}").normalize()))
    return Rates(found)


def _walks(settings: GeneratorSettings) -> dict[str, NDArray[np.float64]]:
    """Euros for one unit, by currency and week."""
    rng = np.random.default_rng([settings.seed, 13])
    weeks = settings.days // 7 + 2
    steps = {code: np.cumsum(rng.normal(0.0, 0.006, weeks)) for code in EUROS}
    return {code: EUROS[code] * (np.ones(weeks) if code == "EUR" else np.exp(steps[code])) for code in EUROS}


def _currencies(table: pa.Table, rng: Generator) -> NDArray[Any]:
    countries = table["country"].to_pylist()
    merchants = table["merchant_id"].combine_chunks().dictionary_encode()
    codes = np.asarray(merchants.indices.to_numpy())
    far = rng.choice([*FAR, ""], len(merchants.dictionary), p=[FAR_SHARE / 3] * 3 + [1.0 - FAR_SHARE])
    is_online = np.asarray(pc.fill_null(pc.equal(table["channel"], "online"), False))
    near = np.array([CURRENCIES.get(country or "", "EUR") for country in countries], object)
    return np.where(is_online & (far[codes] != ""), far[codes], near)


def of_patterns(data: DataSet) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell what is fraud, and what of it tests cards."""
    ids = data.transactions["transaction_id"].combine_chunks()
    where = pc.index_in(ids, value_set=data.patterns["transaction_id"].combine_chunks())
    pattern = data.patterns["pattern"].take(where)
    return np.asarray(pattern.is_valid()), np.asarray(pc.fill_null(pc.equal(pattern, "card_testing"), False))


def _earlier(table: pa.Table, kind: NDArray[Any]) -> NDArray[np.int64]:
    """Find for each row the latest earlier purchase of its user at its merchant; -1: none."""
    last: dict[tuple[str, str], int] = {}
    found = np.full(len(kind), -1, np.int64)
    pairs = zip(table["user_id"].to_pylist(), table["merchant_id"].to_pylist(), strict=True)
    for row, pair in enumerate(pairs):
        found[row] = last.get(pair, -1)
        if kind[row] == PURCHASE:
            last[pair] = row
    return found
