"""Results of a synthetic world: what issuers say of its transactions, and what shops take back.

Nearly every transaction is authorised within two seconds. Of a thief's small trials half are declined, for a
card number or an expiry date that is wrong; of the other frauds some, as the limit is reached or the issuer
knows better. Honest cardholders are declined now and then, mostly for want of money, and a few purchases are
reversed. Of others a part is paid back within ten days, once or twice, or all of it.
"""

from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.contracts.paid_back import HUNDREDTHS
from fraud.money import digits_of
from fraud.schema.arrow import TIME
from fraud.schema.kinds import PURCHASE
from fraud.schema.results import REFUNDED, REVERSED
from fraud.schema.schema import Schema
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.payments import SMALL, of_patterns
from fraud.synthetic.settings import GeneratorSettings

TRIAL_DECLINED: Final = 0.5
FRAUD_DECLINED: Final = 0.25
HONEST_DECLINED: Final = 0.02
SHARE_REVERSED: Final = 0.01
SHARE_REFUNDED: Final = 0.03
SHARE_WHOLE: Final = 0.3
"""Of the refunds, those of the whole amount."""
SHARE_TWICE: Final = 0.25
"""Of the others, those that a second one follows."""
WRONG_DATA: Final = ("14", "54", "82")
"""Reason codes (ISO 8583) of a wrong number, a wrong expiry date, a wrong check value."""
NO_FUNDS: Final = "51"
SUSPECTED: Final = "59"
ISSUER: Final = "issuer"
MERCHANT: Final = "merchant"
SECOND_US: Final = 1_000_000
HOUR_US: Final = 3_600 * SECOND_US
LATEST_US: Final = 240 * HOUR_US
"""Of a refund, after its transaction."""


def results_table(data: DataSet, settings: GeneratorSettings, schema: Schema) -> pa.Table:
    """Make the results of the transactions that the schema takes, by result_time.

    Parameters
    ----------
    data
        In the packaged schema's columns.
    """
    rng = np.random.default_rng([settings.seed, 14])
    table = data.transactions
    is_fraud, is_tested = of_patterns(data)
    amount = np.asarray(table["amount"].to_numpy(), np.float64)
    n, draw = len(amount), rng.random(len(amount))
    is_trial = is_tested & (amount < SMALL)
    limit = np.where(is_trial, TRIAL_DECLINED, np.where(is_fraud, FRAUD_DECLINED, HONEST_DECLINED))
    is_declined = draw < limit
    code: Any = np.where(is_fraud & (rng.random(n) < 0.5), SUSPECTED, NO_FUNDS).astype(object)
    code[is_trial] = rng.choice(WRONG_DATA, n)[is_trial]
    code[~is_declined] = None
    word: Any = np.where(is_declined, "declined", "authorised").astype(object)
    at = np.asarray(table["event_time"].cast(pa.int64()).to_numpy(), np.int64)
    told = [(np.arange(n), word, code, at + rng.integers(SECOND_US // 5, 2 * SECOND_US, n))]
    back = np.flatnonzero(~is_fraud & ~is_declined & (rng.random(n) < SHARE_REVERSED))
    later = rng.integers(30 * SECOND_US, 3_600 * SECOND_US, len(back))
    told.append((back, np.full(len(back), REVERSED, object), np.full(len(back), None), at[back] + later))
    rows, words, codes, times = (np.concatenate(parts) for parts in zip(*told, strict=True))
    found = pa.table(
        {
            "transaction_id": table["transaction_id"].take(pa.array(rows)),
            "event_time": table["event_time"].take(pa.array(rows)),
            "result_time": pa.array(times).cast(pa.timestamp("us")).cast(TIME),
            "result": pa.array(words.tolist(), pa.string()),
            "source": pa.array([ISSUER] * len(rows), pa.string()),
            "reason_code": pa.array(codes.tolist(), pa.string()),
        }
    )
    found = found.filter(pc.is_in(found["result"], value_set=pa.array(schema.results, pa.string())))
    return found.sort_by("result_time")


def with_refunds(data: DataSet, settings: GeneratorSettings, schema: Schema) -> DataSet:
    """Add refunds of honest purchases to the results, in the currencies and digits of these.

    Parameters
    ----------
    data
        With results, kinds and currencies.
    """
    rng = np.random.default_rng([settings.seed, 15])
    table, results = data.transactions, data.results
    if results is None:
        return data
    is_fraud, _ = of_patterns(data)
    ended = results.filter(pc.is_in(results["result"], value_set=pa.array(["declined", REVERSED])))
    is_ended = pc.is_in(table["transaction_id"], value_set=ended["transaction_id"].combine_chunks())
    taken = ~is_fraud & ~np.asarray(is_ended) & (rng.random(len(table)) < SHARE_REFUNDED)
    if "kind" in table.column_names:
        taken &= np.asarray(pc.equal(table["kind"], PURCHASE))
    rows = np.flatnonzero(taken)
    digits = _digits_of(table, rows, schema)
    minor = np.rint(np.asarray(table["amount"].to_numpy(), np.float64)[rows] * 10.0**digits).astype(np.int64)
    is_whole = rng.random(len(rows)) < SHARE_WHOLE
    first = np.where(is_whole, minor, np.maximum(1, (minor * rng.uniform(0.05, 0.95, len(rows))).astype(int)))
    second = np.maximum(1, ((minor - first) * rng.uniform(0.1, 1.0, len(rows))).astype(int))
    is_twice = (minor > first) & (rng.random(len(rows)) < SHARE_TWICE)
    at = np.asarray(table["event_time"].cast(pa.int64()).to_numpy(), np.int64)[rows]
    times = np.sort(at + rng.integers(HOUR_US, LATEST_US, (2, len(rows))), axis=0)
    parts = [(first, times[0], np.ones(len(rows), bool)), (second, times[1], is_twice)]
    told = [
        _refunds(table, schema, rows[on], (paid / 10.0**digits)[on], time[on]) for paid, time, on in parts
    ]
    found = pa.concat_tables([results, *told], promote_options="default").sort_by("result_time")
    return replace(data, results=found)


def _digits_of(table: pa.Table, rows: NDArray[np.int64], schema: Schema) -> NDArray[np.int64]:
    """Decimals of the amounts of some rows."""
    if schema.money is None:
        return np.full(len(rows), HUNDREDTHS)
    codes = table["currency"].take(pa.array(rows)).to_pylist()
    return np.array([digits_of(code) or 0 for code in codes], np.int64)


def _refunds(
    table: pa.Table,
    schema: Schema,
    rows: NDArray[np.int64],
    amount: NDArray[np.float64],
    at: NDArray[np.int64],
) -> pa.Table:
    found = table.select(["transaction_id", "event_time"]).take(pa.array(rows))
    told = pa.array(at).cast(pa.timestamp("us")).cast(TIME)
    columns = {
        "result_time": told,
        "result": pa.repeat(pa.scalar(REFUNDED), len(rows)),
        "source": pa.repeat(pa.scalar(MERCHANT), len(rows)),
        "amount": pa.array(amount),
    }
    if schema.money is not None:
        columns["currency"] = table["currency"].take(pa.array(rows))
    for name, values in columns.items():
        found = found.append_column(name, values)
    return found
