"""Money: the digits of currencies, whole minor units, reference rates, and one rounding for all paths."""

from fraud.money.amounts import exact_amount, most_digits, round_words, to_minor
from fraud.money.currencies import digits_of
from fraud.money.money import Money
from fraud.money.rates import NO_RATES, Rate, Rates, read_rates, write_rates

__all__ = [
    "NO_RATES",
    "Money",
    "Rate",
    "Rates",
    "digits_of",
    "exact_amount",
    "most_digits",
    "read_rates",
    "round_words",
    "to_minor",
    "write_rates",
]
