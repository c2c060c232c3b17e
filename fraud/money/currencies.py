"""Currencies of ISO 4217 and their digits, as the maintenance agency's table gives them (package iso4217)."""

from functools import cache


@cache
def _digits() -> dict[str, int]:
    from iso4217 import Currency  # noqa: PLC0415  (reads a table of 60 kB, which one currency needs not)

    return {one.code: one.exponent for one in Currency if one.exponent is not None}


def digits_of(currency: str) -> int | None:
    """Tell how many decimals a currency's amounts have; None: no currency of ISO 4217 that has amounts.

    Examples
    --------
    >>> digits_of("EUR"), digits_of("JPY"), digits_of("KWD"), digits_of("XXX")
    (2, 0, 3, None)
    """
    return _digits().get(currency)
