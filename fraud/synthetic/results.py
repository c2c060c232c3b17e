"""Results of a synthetic world: what issuers say of its transactions, and what shops take back.

Nearly every transaction is authorised within two seconds. Of a thief's small trials half are declined, for a
card number or an expiry date that is wrong; of the other frauds some, as the limit is reached or the issuer
knows better. Honest cardholders are declined now and then, mostly for want of money, and a few purchases are
reversed.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.schema.arrow import TIME
from fraud.schema.schema import Schema
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.payments import SMALL, of_patterns
from fraud.synthetic.settings import GeneratorSettings

TRIAL_DECLINED: Final = 0.5
FRAUD_DECLINED: Final = 0.25
HONEST_DECLINED: Final = 0.02
REVERSED: Final = 0.01
WRONG_DATA: Final = ("14", "54", "82")
"""Reason codes (ISO 8583) of a wrong number, a wrong expiry date, a wrong check value."""
NO_FUNDS: Final = "51"
SUSPECTED: Final = "59"
ISSUER: Final = "issuer"
SECOND_US: Final = 1_000_000


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
    back = np.flatnonzero(~is_fraud & ~is_declined & (rng.random(n) < REVERSED))
    later = rng.integers(30 * SECOND_US, 3_600 * SECOND_US, len(back))
    told.append((back, np.full(len(back), "reversed", object), np.full(len(back), None), at[back] + later))
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
