"""The synthetic world in the words of a deployment's schema: cards, accounts, e-mails, addresses, terminals.

Every column follows from who pays whom with which device, so that the fraud patterns show in it: a thief's
device brings its address along, a gang shares one, a card that is tried out is tried at one terminal.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.schema.arrow import columns_of
from fraud.schema.fields import CORE_NAMES, Field, FieldType
from fraud.schema.schema import Schema
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.places import ZONES
from fraud.synthetic.settings import DAY_US

Words = NDArray[Any]
_LETTERS: Final = np.array(list("abcdefgh"), object)
_OPENED_DAYS: Final = 2_000
"""Accounts were opened within so many days before the first transaction."""


def as_schema(data: DataSet, schema: Schema) -> DataSet:
    """Give a data set the columns that a schema declares.

    Parameters
    ----------
    data
        Of the packaged schema.
    schema
        A field is found by its name (card, e-mail, ip, terminal, mcc, billing_country ...); one of another
        name gets values of its type that belong to the payer.

    Returns
    -------
    DataSet
        With the same transactions, amounts, times, labels and results; these name the primary's key alone.
    """
    world = _World(data)
    transactions = data.transactions.select(
        [name for name in data.transactions.column_names if name in CORE_NAMES]
    )
    places = [field.name for field in schema.named(FieldType.PLACE)]
    for field in schema.fields:
        if field.name in CORE_NAMES:
            continue
        columns = columns_of(field)
        for column, values in zip(columns, world.values(field, places), strict=True):
            transactions = transactions.append_column(column, values.cast(column.type))
    order = [column.name for field in schema.fields for column in columns_of(field)]
    transactions = transactions.select([name for name in order if name in transactions.column_names])
    rows = pc.index_in(data.labels["transaction_id"], transactions["transaction_id"].combine_chunks())
    labels = data.labels.select(
        [name for name in data.labels.column_names if name not in {"user_id", "merchant_id"}]
    )
    for name in schema.key_names:
        labels = labels.append_column(name, transactions[name].take(rows))
    results = data.results
    if results is not None:
        of = pc.index_in(results["transaction_id"], transactions["transaction_id"].combine_chunks())
        primary = schema.primary_key.name
        results = results.append_column(primary, transactions[primary].take(of))
    return replace(data, transactions=transactions, labels=labels, results=results)


@dataclass(frozen=True)
class _World:
    """Who paid whom with what, as numbers and words."""

    data: DataSet

    @cached_property
    def user(self) -> NDArray[np.int64]:
        return _codes(self.data.transactions["user_id"])

    @cached_property
    def merchant(self) -> NDArray[np.int64]:
        return _codes(self.data.transactions["merchant_id"])

    @cached_property
    def device(self) -> NDArray[np.int64]:
        """Number of the device; -1: none."""
        return _codes(self.data.transactions["device_id"])

    @cached_property
    def channel(self) -> Words:
        return self.text("channel")

    @cached_property
    def is_online(self) -> NDArray[np.bool_]:
        return np.asarray(self.channel == "online", np.bool_)

    @cached_property
    def is_at_terminal(self) -> NDArray[np.bool_]:
        return np.asarray(np.isin(self.channel.astype(str), ["chip", "contactless", "swipe"]), np.bool_)

    def text(self, name: str) -> Words:
        found: Words = np.array(self.data.transactions[name].to_pylist(), object)
        return found

    def scattered(self, numbers: NDArray[np.int64], salt: int) -> NDArray[np.int64]:
        """Scatter numbers, the same ones to the same places."""
        mixed = (numbers.astype(np.uint64) + np.uint64(salt)) * np.uint64(0x9E3779B97F4A7C15)
        return np.asarray(mixed >> np.uint64(33), np.int64)

    def values(self, field: Field, places: list[str]) -> list[pa.Array]:
        """Make the columns of one field."""
        if field.type is FieldType.PLACE:
            prefixes = dict(zip(places, ("", "home_"), strict=False))
            if field.name not in prefixes:
                return [pa.nulls(self.data.transactions.num_rows)] * 2
            names = (f"{prefixes[field.name]}{name}" for name in ("latitude", "longitude"))
            return [self.data.transactions[name].combine_chunks() for name in names]
        make = _BY_WORD.get(field.word.replace("-", "_")) or _BY_TYPE[field.type]
        values = make(self)
        if field.required and values.dtype == object:
            is_missing = np.array([value is None for value in values.tolist()])
            values = np.where(is_missing, _payer(self), values)
        return [pa.array(values.tolist() if values.dtype == object else values, columns_of(field)[0].type)]


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    indices = column.combine_chunks().dictionary_encode().indices.fill_null(-1)
    return np.asarray(indices.to_numpy(zero_copy_only=False), np.int64)


def _worded(prefix: str, numbers: NDArray[np.int64], is_there: NDArray[np.bool_] | None = None) -> Words:
    words: Words = np.array([f"{prefix}{number:07d}" for number in numbers.tolist()], object)
    return words if is_there is None else _where(is_there, words)


def _where(is_there: NDArray[np.bool_], words: Words) -> Words:
    found = words.copy()
    found[~is_there] = None
    return found


def _payer(world: _World) -> Words:
    return _worded("u", world.user)


def _payee(world: _World) -> Words:
    return _worded("m", world.merchant)


def _account_paid(world: _World) -> Words:
    """Let two payees in five be persons with an account of their own, from which they also pay."""
    is_person = world.scattered(world.merchant, 9) % 5 < 2
    person = _worded("u", world.scattered(world.merchant, 10) % (int(world.user.max(initial=0)) + 1))
    return np.where(is_person, person, _payee(world))


def _card(world: _World) -> Words:
    """Give three users in ten a second card, with which they pay online."""
    second = (world.scattered(world.user, 1) % 10 < 3) & world.is_online
    return _worded("c", 2 * world.user + second)


def _terminal(world: _World) -> Words:
    """Name one of up to three of a shop; online there is none."""
    number = 3 * world.merchant + world.scattered(world.user, 2) % 3
    return _worded("t", number, world.is_at_terminal)


def _ip(world: _World) -> Words:
    """Take the device's address, else that of the user's network; none at a terminal."""
    number = np.where(world.device >= 0, world.scattered(world.device, 3), world.scattered(world.user, 4))
    words = [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in number.tolist()]
    return _where(world.is_online, np.array(words, object))


def _email(world: _World) -> Words:
    return _worded("e", world.user, world.is_online)


def _opened(world: _World) -> Words:
    """Let each user have opened the account on some day before the first transaction."""
    first = int(world.data.transactions["event_time"].cast(pa.int64()).to_numpy().min())
    days = 1 + world.scattered(world.user, 5) % _OPENED_DAYS
    return np.asarray(first - days * DAY_US).astype("datetime64[us]")


def _country_of_user(world: _World) -> Words:
    countries = world.data.users["country"].to_pylist()
    names = world.data.users["user_id"].to_pylist()
    of = dict(zip(names, countries, strict=True))
    return np.array([of[user] for user in world.data.transactions["user_id"].to_pylist()], object)


def _zone(world: _World) -> Words:
    """Tell the clocks of the place; where it is not known there are none."""
    return np.array([ZONES.get(country) for country in world.text("country").tolist()], object)


def _items(world: _World) -> Words:
    amount = np.asarray(world.data.transactions["amount"].to_numpy(), np.float64)
    return np.asarray(
        1.0 + np.minimum(world.scattered(world.user + world.merchant, 6) % 4 + amount // 200, 19)
    )


Maker = Callable[[_World], Words]
_BY_WORD: Final[dict[str, Maker]] = {
    **dict.fromkeys(("user", "customer", "cardholder", "client", "account", "sender", "payer"), _payer),
    **dict.fromkeys(("merchant", "shop", "seller", "store"), _payee),
    **dict.fromkeys(("receiver", "payee", "beneficiary"), _account_paid),
    "card": _card,
    "terminal": _terminal,
    "ip": _ip,
    "email": _email,
    "device": lambda world: _worded("d", world.device, world.device >= 0),
    **dict.fromkeys(("category", "mcc"), lambda world: world.text("category")),
    **dict.fromkeys(("country", "shipping_country"), lambda world: world.text("country")),
    "billing_country": _country_of_user,
    **dict.fromkeys(("channel", "entry_mode"), lambda world: world.channel),
    "is_card_present": lambda world: world.is_at_terminal,
    "items": _items,
}
"""By what features call a field."""
_BY_TYPE: Final[dict[FieldType, Maker]] = {
    FieldType.KEY: _payer,
    FieldType.CATEGORY: lambda world: _LETTERS[world.scattered(world.merchant, 7) % len(_LETTERS)],
    FieldType.NUMBER: _items,
    FieldType.FLAG: lambda world: world.scattered(world.user + world.merchant, 8) % 2 == 0,
    FieldType.TIME: _opened,
    FieldType.ZONE: _zone,
    FieldType.TEXT: lambda world: _worded("note ", world.merchant),
}
