"""Amounts that go back to the cardholder: of a refund, and of a chargeback."""

from typing import Annotated, Any, Final

from pydantic import Field

from fraud.contracts.transaction import refused
from fraud.money import Money, digits_of, exact_amount, to_minor

HUNDREDTHS: Final = 2
"""Digits of the one currency of a schema without money."""
MOST_REFUND: Final = 1e13
"""In units of any currency; a refund never takes out more than its transaction's amount."""
PaidBack = Annotated[float, Field(strict=True, ge=0.0, le=MOST_REFUND, allow_inf_nan=False)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]


def check_paid_back(told: Any, names: tuple[str, str], money: Money | None) -> None:
    """Hold an amount to the digits of its currency; it may be absent.

    Parameters
    ----------
    told
        A result or a label, or a request that makes one.
    names
        Of its amount, and of the currency of that.
    money
        Of the schema.

    Raises
    ------
    ValidationError
        Naming the field, and what may stand there.
    """
    amount, currency = (getattr(told, name, None) for name in names)
    if amount is None:
        return
    if amount == 0:
        raise refused(names[0], "must be above 0: leave it out where no amount is known")
    if money is None and currency is not None:
        raise refused(names[1], "all amounts are in one currency: the schema has no part `money`")
    name = currency or (money.base if money else "")
    digits = digits_of(name) if money else HUNDREDTHS
    if digits is None:
        raise refused(names[1], f"{name} is no currency of ISO 4217 that has amounts")
    try:
        to_minor(exact_amount(amount), name or "an amount", digits)
    except ValueError as error:
        raise refused(names[0], str(error)) from error
