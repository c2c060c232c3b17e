"""Reference rates: how many units of the base currency one unit of another is worth, and since when.

A file of rates is CSV with the columns ``currency``, ``base``, ``rate`` and ``since``::

    currency,base,rate,since
    EUR,USD,1.0843,
    EUR,USD,1.0921,2026-11-27T15:00:00Z

An empty ``since`` means: always before the others. A rate holds from ``since`` until the next one of its
currency. The topic ``rates`` carries the same as JSON, keyed by currency and ``since``.
"""

import csv
import io
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from fraud.errors import BadConfig
from fraud.money.amounts import most_digits
from fraud.money.currencies import digits_of
from fraud.runtime.files import write_durably

COLUMNS: Final = ("currency", "base", "rate", "since")
ALWAYS: Final = datetime(1, 1, 1, tzinfo=UTC)
"""``since`` of a rate that has no beginning."""
MOST_DECIMALS: Final = 12
_NUMBER: Final = re.compile(r"(?=.{1,40}$)\d+(\.\d+)?([eE][+-]?\d{1,2})?", re.ASCII)
MOST_RATE: Final = Decimal(10**9)
MOST_BYTES: Final = 32 << 20
"""Greatest size of a file of rates."""


@dataclass(frozen=True, slots=True, order=True)
class Rate:
    """One reference rate.

    Examples
    --------
    >>> Rate("VND", "USD", ALWAYS, Decimal("0.0000394")).to_base(25_000_000)
    98500
    """

    currency: str
    base: str
    since: datetime
    rate: Decimal
    """Units of the base currency for one unit of the currency."""

    def to_base(self, minor: int) -> int:
        """Convert minor units of the currency to those of the base, half to even; whole numbers alone.

        Examples
        --------
        >>> half = Rate("EUR", "USD", ALWAYS, Decimal("0.5"))
        >>> [half.to_base(cents) for cents in (1, 3, 5)]
        [0, 2, 2]
        """
        _, digits, exponent = self.rate.as_tuple()
        value = minor * int("".join(map(str, digits)))
        shift = int(exponent) + (digits_of(self.base) or 0) - (digits_of(self.currency) or 0)
        if shift >= 0:
            return int(value * 10**shift)
        part: int = 10**-shift
        whole, rest = divmod(value, part)
        return whole + (2 * rest > part or (2 * rest == part and whole % 2 == 1))

    @property
    def row(self) -> dict[str, str]:
        """As it is in a file."""
        since = "" if self.since == ALWAYS else self.since.astimezone(UTC).isoformat().replace("+00:00", "Z")
        return {"currency": self.currency, "base": self.base, "rate": f"{self.rate:f}", "since": since}

    @property
    def key(self) -> str:
        """Of its record on the topic: a rate of the same currency and time takes its place."""
        return f"{self.currency}@{self.row['since']}"


def parse_rate(row: dict[str, Any], base: str) -> Rate:
    """Read a rate.

    Parameters
    ----------
    row
        ``COLUMNS``.
    base
        The deployment's, which it must be for.

    Raises
    ------
    ValueError
        Saying what is wrong.
    """
    missing = [name for name in ("currency", "base", "rate") if not row.get(name)]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    currency = str(row["currency"])
    if digits_of(currency) is None:
        raise ValueError(f"{currency} is no currency of ISO 4217 that has amounts")
    if row["base"] != base:
        raise ValueError(f"it is for the base {row['base']}, and the schema's base is {base}")
    if not _NUMBER.fullmatch(str(row["rate"])):
        raise ValueError(f"rate {str(row['rate'])[:40]!r} is no number of at most 40 characters")
    rate = Decimal(str(row["rate"]))
    if not 0 < rate <= MOST_RATE:
        raise ValueError(f"rate {row['rate']} is not above 0 and up to {MOST_RATE:,}")
    if most_digits(rate) > MOST_DECIMALS:
        raise ValueError(f"rate {row['rate']} has {most_digits(rate)} decimals; {MOST_DECIMALS} is the most")
    if currency == base and rate != 1:
        raise ValueError(f"{base} is the base: its rate is 1")
    return Rate(currency, base, _since(row.get("since")), rate)


def _since(given: Any) -> datetime:
    if given in (None, ""):
        return ALWAYS
    words = f"since {str(given)[:40]!r}"
    try:
        since = datetime.fromisoformat(str(given))
        moment = since.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{words} is no time like 2026-03-01T12:00:00Z") from error
    if since.tzinfo is None:
        example = since.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
        raise ValueError(f"{words} has no offset; write e.g. {example}")
    return moment


class Rates:
    """A table of rates; of two with one currency and time the later one counts.

    Parameters
    ----------
    rates
        In the order in which they came.

    Examples
    --------
    >>> rates = Rates([Rate("EUR", "USD", ALWAYS, Decimal("1.08"))])
    >>> rates.at("EUR", datetime(2026, 1, 1, tzinfo=UTC)).rate, rates.at("CHF", datetime.now(UTC))
    (Decimal('1.08'), None)
    """

    def __init__(self, rates: Iterable[Rate] = ()) -> None:
        unique = {(one.currency, one.since): one for one in rates}
        self._by_currency: dict[str, tuple[list[datetime], list[Rate]]] = {}
        for one in sorted(unique.values()):
            times, found = self._by_currency.setdefault(one.currency, ([], []))
            times.append(one.since)
            found.append(one)

    def __len__(self) -> int:
        return sum(len(found) for _, found in self._by_currency.values())

    def __iter__(self) -> Iterator[Rate]:
        for _, found in self._by_currency.values():
            yield from found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rates) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def at(self, currency: str, time: datetime) -> Rate | None:
        """Find the newest rate that is effective at a time; None: there is none."""
        times, found = self._by_currency.get(currency, ([], []))
        at = bisect_right(times, time)
        return found[at - 1] if at else None

    def of(self, currency: str) -> list[Rate]:
        """List the rates of a currency, growing by their time."""
        return self._by_currency.get(currency, ([], []))[1]

    def with_(self, rates: Iterable[Rate]) -> "Rates":
        """Add rates that came later."""
        return Rates([*self, *rates])


NO_RATES: Final = Rates()


def read_rates(file: Path, base: str) -> Rates:
    """Read a file of rates.

    Raises
    ------
    BadConfig
        ``file:line: what is wrong``.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise BadConfig(f"the rates {file} have over {MOST_BYTES:,} bytes; leave the oldest out")
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise BadConfig(f"the rates {file} cannot be read: {error}") from error
    reader = csv.DictReader(io.StringIO(text))
    lacking = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if lacking:
        raise BadConfig(f"{file}:1: the column {lacking[0]} is missing; write {','.join(COLUMNS)}")
    found = []
    for row in reader:
        try:
            found.append(parse_rate(row, base))
        except ValueError as error:
            raise BadConfig(f"{file}:{reader.line_num}: {error}") from error
    return Rates(found)


def write_rates(file: Path, rates: Iterable[Rate]) -> None:
    """Write a file of rates; when this returns it is on the disk: a micro-batch that runs again reads it."""
    lines = io.StringIO(newline="")
    writer = csv.DictWriter(lines, COLUMNS)
    writer.writeheader()
    writer.writerows(one.row for one in rates)
    write_durably(file, lines.getvalue().encode())
