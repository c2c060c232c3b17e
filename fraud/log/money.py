"""Whether the log and the schema mean the same by an amount: with currencies, or as it comes."""

import logging

from fraud.errors import BadConfig, Unavailable
from fraud.log.tables import NO_OPTIONS, Options, Table, find_table
from fraud.schema.fields import BASE_MINOR
from fraud.schema.schema import Schema

log = logging.getLogger(__name__)


def see_that_money_is_the_same(delta: str, schema: Schema, options: Options = NO_OPTIONS) -> None:
    """Look at the table of transactions, where there is one; see :func:`refuse_other_money`.

    Where the tables cannot be read, decisions go on: they wait for nothing of the tables.
    """
    try:
        found = find_table(delta, "transactions", options)
    except Unavailable as error:
        log.warning("the schema's money is not compared with that of the log: %s", error)
        return
    if found is not None:
        refuse_other_money(found, schema)


def refuse_other_money(transactions: Table, schema: Schema) -> None:
    """Refuse a schema whose amounts cannot be added to those that the log holds.

    Raises
    ------
    BadConfig
        When one of them has currencies and the other has not; says what to do.
    """
    has_money = BASE_MINOR in transactions.columns
    if has_money == (schema.money is not None):
        return
    was, now = ("with", "has no") if has_money else ("without", "has a")
    raise BadConfig(
        f"the amounts in {transactions.uri} were counted {was} currencies, and the schema {schema.name!r} "
        f"{now} part `money`: they cannot be added. Use the earlier schema; or start another "
        "deployment, with its own home and tables, and let its backfill read these "
        "(`FRAUD_BACKFILL_DATA`), which converts each amount"
    )
