"""Amounts as they are written, read exactly: decimals to whole minor units, never through a binary fraction.

A JSON number is read as the shortest decimal that names it, which is the one that was written as long as it
has 15 digits or fewer; a text is read as it stands.
"""

import re
from decimal import Decimal
from typing import Any, Final

MOST_DIGITS: Final = 15
"""Of an amount, leading and trailing zeros aside: so many survive as a JSON number."""
MOST_OWN_MINOR: Final = 2**53
"""Greatest amount in minor units of its own currency: tables and JSON hold whole numbers exactly up to it."""
_ROUNDS_FROM: Final = 28
"""Digits that ``Decimal.normalize`` keeps."""
_TEXT: Final = re.compile(r"-?\d{1,30}(\.\d{1,30})?", re.ASCII)


def exact_amount(value: Any) -> Decimal:
    """Read an amount.

    Raises
    ------
    ValueError
        When it is neither a number nor a text of digits with a point.

    Examples
    --------
    >>> exact_amount(0.1), exact_amount("12.340")
    (Decimal('0.1'), Decimal('12.340'))
    """
    if isinstance(value, Decimal):
        found = value
    elif isinstance(value, int) and not isinstance(value, bool):
        found = Decimal(value)
    elif isinstance(value, float):
        found = Decimal(repr(value))
    elif isinstance(value, str) and _TEXT.fullmatch(value):
        found = Decimal(value)
    else:
        raise ValueError("must be a number, or a text like '12.50'")
    if not found.is_finite():
        raise ValueError("must be a finite number")
    if len(_exact(found).as_tuple().digits) > MOST_DIGITS:
        raise ValueError(f"has more than {MOST_DIGITS} digits; round it to those of its currency")
    if found.adjusted() >= MOST_DIGITS:
        raise ValueError(f"must have fewer than {MOST_DIGITS + 1} digits before the point")
    return found


def most_digits(amount: Decimal) -> int:
    """Count the decimals of an amount, trailing zeros aside.

    Examples
    --------
    >>> most_digits(Decimal("12.340")), most_digits(Decimal("1200"))
    (2, 0)
    """
    exponent = _exact(amount).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def to_minor(amount: Decimal, currency: str, digits: int) -> int:
    """Turn an amount into whole minor units of its currency.

    Raises
    ------
    ValueError
        When it has more decimals than the currency, or is too large.

    Examples
    --------
    >>> to_minor(Decimal("1.234"), "KWD", 3), to_minor(Decimal("25000000"), "VND", 0)
    (1234, 25000000)
    >>> to_minor(Decimal("1.2345"), "KWD", 3)
    Traceback (most recent call last):
    ...
    ValueError: KWD has 3 digits, got 4
    """
    found = most_digits(amount)
    if found > digits:
        raise ValueError(f"{currency} has {digits} digits, got {found}")
    minor = int(amount.scaleb(digits))
    if abs(minor) > MOST_OWN_MINOR:
        raise ValueError(f"at most {MOST_OWN_MINOR // 10**digits:,} {currency} are accepted")
    return minor


def _exact(amount: Decimal) -> Decimal:
    """Leave trailing zeros out, without the rounding of ``Decimal.normalize``."""
    sign, digits, exponent = amount.as_tuple()
    if len(digits) <= _ROUNDS_FROM:
        return amount.normalize()
    text = "".join(map(str, digits)).rstrip("0")
    if not text or not isinstance(exponent, int):
        return Decimal(0)
    return Decimal((sign, tuple(map(int, text)), exponent + len(digits) - len(text)))


def round_words(amount: float, currency: str) -> str:
    """Write a sum or a cost in whole units, with its currency where that has a name.

    Examples
    --------
    >>> round_words(1234.4, "USD"), round_words(1234.4, "")
    ('1,234 USD', '1,234')
    """
    return f"{amount:,.0f} {currency}".rstrip()
