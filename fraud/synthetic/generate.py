"""A data set from settings: transactions, their labels, the users, the merchants and the true patterns.

Reads nothing; :mod:`fraud.synthetic.files` writes what comes out.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.random import Generator
from numpy.typing import NDArray

from fraud.contracts.label import DISPUTED
from fraud.schema.reading import default_schema
from fraud.schema.schema import Schema
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.drift import NEW_PATTERN, inject_drift
from fraud.synthetic.fraud_patterns import PATTERNS, draw_fraud
from fraud.synthetic.fraud_stage import set_stage
from fraud.synthetic.honest import draw_honest
from fraud.synthetic.own_fields import as_schema
from fraud.synthetic.payments import lay_currencies, lay_kinds
from fraud.synthetic.population import Population, draw_population
from fraud.synthetic.profiles import profiles_table
from fraud.synthetic.purchases import HONEST, Purchases
from fraud.synthetic.results import results_table, with_refunds
from fraud.synthetic.settings import GeneratorSettings
from fraud.synthetic.tables import labels_table, merchants_table, transactions_table, users_table

__all__ = ["DataSet", "generate"]

REASON_CODES = ("10.4", "10.3")
"""Of a chargeback: fraud without the card (online), and with it."""


def generate(settings: GeneratorSettings, schema: Schema | None = None) -> DataSet:
    """Generate a data set; the same settings give the same tables.

    Parameters
    ----------
    settings
        Sizes, period, share of fraud, drift.
    schema
        Whose fields the transactions have; None: the packaged one's.

    Examples
    --------
    >>> data_set = generate(GeneratorSettings(transactions=2_000, users=200, merchants=100))
    >>> data_set.transactions.num_rows, data_set.patterns.num_rows
    (2000, 40)
    """
    honest_rng, fraud_rng, record_rng, label_rng, drift_rng = (
        np.random.default_rng(seed) for seed in np.random.SeedSequence([settings.seed, 2]).spawn(5)
    )
    population = draw_population(settings)
    purchases = _draw_purchases(honest_rng, fraud_rng, drift_rng, population, settings)
    transactions = transactions_table(record_rng, population, purchases, settings)
    is_fraud = purchases.pattern != HONEST
    names = np.array([*PATTERNS, NEW_PATTERN])[purchases.pattern[is_fraud]]
    ids = transactions["transaction_id"].filter(pa.array(is_fraud))
    data = DataSet(
        transactions=transactions,
        labels=_with_types(labels_table(label_rng, transactions, is_fraud), transactions, ids, names),
        users=users_table(population, settings),
        merchants=merchants_table(population, settings),
        patterns=pa.table({"transaction_id": ids, "pattern": pa.array(names.tolist(), pa.string())}),
    )
    if settings.kinds:
        data = lay_kinds(data, settings)
    if schema is not None and schema.results:
        data = replace(data, results=results_table(data, settings, schema))
    has_money = schema is not None and schema.money is not None
    if has_money:
        data = lay_currencies(data, settings)
    if schema is not None and schema.takes_refunds:
        data = with_refunds(data, settings, schema)
    data = replace(data, labels=_with_disputed(data, has_currencies=has_money))
    if schema is None or schema.version == default_schema().version:
        return data
    made = as_schema(data, schema)
    if schema.profiles:
        made = replace(made, profiles=profiles_table(data, made.transactions, settings, schema))
    return made


def _with_types(
    labels: pa.Table, transactions: pa.Table, ids: pa.ChunkedArray, patterns: NDArray[np.str_]
) -> pa.Table:
    """Add to labels the kind of fraud (the pattern), and to chargebacks the card network's reason code."""
    fraud = pc.index_in(labels["transaction_id"], value_set=ids.combine_chunks())
    row = pc.index_in(labels["transaction_id"], value_set=transactions["transaction_id"].combine_chunks())
    is_online = pc.equal(transactions["channel"].take(row), "online")
    code = pc.if_else(is_online, *REASON_CODES)
    is_chargeback = pc.equal(labels["source"], "chargeback")
    return labels.append_column(
        "fraud_type", pa.array(patterns.tolist(), pa.string()).take(fraud)
    ).append_column("reason_code", pc.if_else(is_chargeback, code, pa.scalar(None, pa.string())))


def _with_disputed(data: DataSet, *, has_currencies: bool) -> pa.Table:
    """Add to chargebacks what is charged back: the whole amount, in the currency of the transaction."""
    labels, transactions = data.labels, data.transactions
    row = pc.index_in(labels["transaction_id"], value_set=transactions["transaction_id"].combine_chunks())
    is_paid = pc.greater(transactions["amount"].take(row), 0.0)
    is_chargeback = pc.and_(pc.equal(labels["source"], "chargeback"), is_paid)
    for name, of in zip(DISPUTED, ("amount", "currency"), strict=True):
        if of == "amount" or has_currencies:
            told = transactions[of].take(row)
            labels = labels.append_column(name, pc.if_else(is_chargeback, told, pa.scalar(None, told.type)))
    return labels


def _draw_purchases(
    honest_rng: Generator,
    fraud_rng: Generator,
    drift_rng: Generator,
    population: Population,
    settings: GeneratorSettings,
) -> Purchases:
    """Draw honest and fraudulent purchases, by time."""
    frauds = round(settings.transactions * settings.fraud_rate)
    honest = draw_honest(honest_rng, population, settings.transactions - frauds, settings.span_us)
    stage = set_stage(fraud_rng, population, honest, settings.span_us)
    purchases = Purchases.concatenate([honest, draw_fraud(fraud_rng, stage, frauds)])
    purchases = inject_drift(drift_rng, stage, purchases, settings)
    return purchases.take(np.argsort(purchases.time_us, kind="stable"))
