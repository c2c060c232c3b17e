"""The reference rates by which a table is priced: those that stream and scoring service use.

Reads the deployment's file of rates and the topic ``rates``, once a process, and only for a table that has
amounts in another currency than the base without what they were converted to.
"""

from functools import cache
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts.priced import is_priced
from fraud.kafka.rates import rates_now
from fraud.money import NO_RATES, Rates
from fraud.schema.deployed import rates_file
from fraud.schema.fields import AMOUNT_MINOR
from fraud.schema.schema import Schema
from fraud.settings.stream import KafkaSettings

CURRENCY: Final = "currency"


def rates_for(table: pa.Table, schema: Schema) -> Rates:
    """Give the rates that the transactions of a table need.

    Parameters
    ----------
    table
        Transactions, under our names.
    schema
        Theirs.

    Returns
    -------
    Rates
        None at all where the schema has no money, or each amount is in the base or recorded in it.

    Raises
    ------
    BadConfig
        When the file of rates cannot be read, or a line is wrong.
    """
    money = schema.money
    if money is None or CURRENCY not in table.column_names:
        return NO_RATES
    currencies = table[CURRENCY].cast(pa.string())
    if is_priced(table):
        currencies = currencies.filter(table[AMOUNT_MINOR].is_null())
    has_others = pc.any(pc.not_equal(currencies, money.base)).as_py()
    return deployed_rates(money.base) if has_others else NO_RATES


@cache
def deployed_rates(base: str) -> Rates:
    """Read the rates to a base currency; a warning says when the brokers do not answer.

    Raises
    ------
    BadConfig
        When the file of rates cannot be read, or a line is wrong.
    """
    kafka = KafkaSettings()
    return rates_now(base, rates_file(), kafka.kafka_bootstrap, kafka.kafka_options)
