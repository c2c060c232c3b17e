"""What tables call things: words of a column's name, and how well they fit a role."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_WORD: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_FILLING: Final = frozenset(
    {"tx", "txn", "trx", "trans", "transaction", "the", "of", "is", "no", "num", "number", "id"}
)
"""Words that do not tell one thing from another."""
_JOINED: Final = {
    "isfraud": ("is", "fraud"),
    "fraudbool": ("is", "fraud"),
    "datetime": ("datetime",),
    "userid": ("user", "id"),
    "customerid": ("customer", "id"),
    "cardnumber": ("card", "number"),
    "merchantid": ("merchant", "id"),
    "transactionid": ("transaction", "id"),
    "deviceid": ("device", "id"),
    "nameorig": ("orig",),
    "namedest": ("dest",),
    "ccnum": ("cc", "num"),
}


def words(name: str) -> tuple[str, ...]:
    """Take a name apart.

    Examples
    --------
    >>> words("TransactionAmt"), words("Is Fraud?"), words("cc_num"), words("nameDest")
    (('transaction', 'amt'), ('is', 'fraud'), ('cc', 'num'), ('dest',))
    """
    name = "".join(one for one in unicodedata.normalize("NFKD", name) if not unicodedata.combining(one))
    folded = re.sub(r"[^a-z0-9]", "", name.lower())
    return _JOINED.get(folded) or tuple(word.lower() for word in _WORD.findall(name))


@dataclass(frozen=True, slots=True)
class Role:
    """What names a role has.

    Parameters
    ----------
    points
        Word: how much it speaks for the role.
    against
        Words that speak against it.
    """

    points: Mapping[str, float]
    against: frozenset[str] = frozenset()

    def score(self, name: str) -> float:
        """Tell how well a name fits; 0: not at all."""
        found = words(name)
        if self.against & set(found):
            return 0.0
        best = max((self.points.get(word, 0.0) for word in found), default=0.0)
        others = sum(1 for word in found if word not in self.points and word not in _FILLING)
        return max(0.0, best - 0.4 * others) if best else 0.0


def _all(points: float, names: str) -> dict[str, float]:
    return dict.fromkeys(names.split(), points)


def _words(*lists: str) -> frozenset[str]:
    return frozenset(word for names in lists for word in names.split())


_ATTRIBUTES: Final = _words(
    "category type city state country zip lat latitude lon long longitude risk brand network bin limit "
    "balance age open opened created since expiry present reader os browser provider domain"
)
LABEL: Final = Role(
    {
        **_all(3, "fraud fraudulent isfraud"),
        **_all(2, "chargeback betrug fraude"),
        **_all(1, "class label target y"),
    },
    _words("time date score prob probability type reported flagged rule amount count"),
)
LABEL_TIME: Final = Role(_all(2, "label chargeback reported report dispute disputed confirmed"), _words("is"))
TIME: Final = Role(
    {
        **_all(3, "timestamp datetime time event occurred zeitpunkt"),
        **_all(2, "date day datum fecha ts when uhrzeit zeit hora created purchase placed ordered"),
        **_all(2, "step hour seconds unix dt"),
    },
    _words(
        "birth dob born expiry opened open label chargeback since zone signup registration update updated"
    ),
)
AMOUNT: Final = Role(
    {
        **_all(3, "amount amt betrag importe montant valor monto"),
        **_all(2, "value price total sum usd eur cents minor pence amountusd"),
    },
    _words("old new balance limit avg mean max min std count before after fee tax prev last credit median"),
)
IDENTITY: Final = Role(
    {
        **_all(3, "transaction trans tx txn trx payment transactionid"),
        **_all(2, "id uuid record reference event"),
    },
    _words(
        "user card customer merchant device account client terminal amount amt date time type category "
        "session step day"
    ),
)
PRIMARY: Final = Role(
    {
        **_all(4, "card cc pan cardnumber karte kartennummer kreditkarte tarjeta carte carta"),
        **_all(3, "user customer client cardholder member kunde cliente uid"),
        **_all(2.5, "account acct iban payer sender orig source konto"),
        **_all(1, "owner buyer"),
    },
    _ATTRIBUTES | _words("merchant dest device terminal beneficiary old new shop name first last"),
)
MERCHANT: Final = Role(
    {
        **_all(3, "merchant merch handler haendler comercio"),
        **_all(2.5, "shop store seller vendor terminal pos"),
        **_all(2, "beneficiary payee dest recipient receiver target"),
    },
    _ATTRIBUTES | _words("old new"),
)
DEVICE: Final = Role(_all(3, "device fingerprint deviceinfo deviceid"), _ATTRIBUTES | _words("model"))
IP: Final = Role(_all(3, "ip ipaddress"), _ATTRIBUTES | _words("proxy"))
EMAIL: Final = Role(_all(3, "email mail"), _words("domain provider verified valid"))
CATEGORY: Final = Role(_all(3, "category mcc"), _words("user customer card"))
COUNTRY: Final = Role(_all(3, "country land pais"), _words("ip issuer bank"))
CHANNEL: Final = Role({**_all(3, "channel entry"), **_all(2, "chip mode method product")}, frozenset())
CURRENCY: Final = Role(_all(3, "currency ccy waehrung curr"), frozenset())
LATITUDE: Final = Role(_all(3, "lat latitude"))
LONGITUDE: Final = Role(_all(3, "lon lng long longitude"))
MOMENT: Final = Role(_all(2, "date time dob birth born opened created since signup registered registration"))
CODES: Final = _words("zip postcode plz code mcc bin id type")
"""Numbers with such a name are names."""
CENTS: Final = _words("cent cents minor pence centavos")
"""Amounts with such a name are in hundredths."""
AFTERWARDS: Final = _words(
    "after newbalance settled settlement refunded resolved resolution investigated investigation flagged "
    "reported dispute disputed"
)
"""What is known only after the decision."""
CLOCK: Final = Role(_all(3, "time clock uhrzeit hora zeit hour"), _words("zone"))
PERSONAL: Final = _words(
    "first last name street address phone dob birth gender email surname firstname lastname zip ip"
)
UNREAD: Final = _words("first last street address phone surname firstname lastname")
"""Personal data that no feature reads."""


def field_name(name: str, taken: Iterable[str]) -> str:
    """Make a field's name of a column's.

    Examples
    --------
    >>> field_name("Errors?", []), field_name("C1", ["c1"]), field_name("2nd", [])
    ('errors', 'c1_2', 'x_2nd')
    """
    known = set(taken)
    letters = "".join(one for one in unicodedata.normalize("NFKD", name) if not unicodedata.combining(one))
    plain = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]+", "_", _snake(letters))).strip("_") or "column"
    base = (plain if plain[0].isalpha() else f"x_{plain}")[:36]
    found, at = base, 1
    while found in known or found.removesuffix("_id") in known or f"{found}_id" in known:
        at += 1
        found = f"{base}_{at}"
    return found


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
