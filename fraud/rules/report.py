"""What each rule did, from the log alone: ``fraud rules report``, and the console's page of rules.

Reads the Delta tables ``decisions`` and ``labels``, a part at a time; writes nothing.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts.priced import amount_column, base_amounts
from fraud.decide.columns import Bools
from fraud.decide.engine import RuleSet
from fraud.log.tables import NO_OPTIONS, Options, micros_of, open_table
from fraud.rules.effects import MATURITY, Costs, HistoryPart, RuleEffects
from fraud.rules.history import ALWAYS, WITHOUT, Range, labels_of, last_labels, outcome_codes
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema

_RULES: Final = ("rules", "shadow_rules")


def report(
    rules: RuleSet,
    delta: str,
    options: Options = NO_OPTIONS,
    *,
    costs: Costs | None = None,
    maturity: timedelta = MATURITY,
    when: Range = ALWAYS,
    now: datetime | None = None,
) -> RuleEffects:
    """Tell what each rule did.

    Parameters
    ----------
    rules
        What their outcomes are; a rule of the log that is not among them has no money.
    maturity
        After which a transaction without a label counts as honest.
    when
        Which transactions, by the time when they were received.
    now
        By default the clock's.

    Raises
    ------
    BadInput
        When there are no decisions.
    Unavailable
        When the tables cannot be read.
    """
    schema = rules.schema or deployed_schema()
    read = ("transaction_id", amount_column(schema), "outcome", WITHOUT, *_RULES, "received_at")
    table = open_table(delta, "decisions", options)
    labels = last_labels(delta, options)
    by_name = {rule.name: rule for rule in rules.rules}
    found = RuleEffects(rules.version, by_name, costs or Costs(), (now or datetime.now(UTC)) - maturity)
    found.currency = schema.base_currency
    names = list(by_name)
    for batch in table.batches([name for name in read if name in table.columns], when.filter()):
        found.count(_part(pa.Table.from_batches([batch]), labels, names, schema))
    return found


def _part(table: pa.Table, labels: Mapping[str, bool], names: list[str], schema: Schema) -> HistoryPart:
    ids = table["transaction_id"].to_pylist()
    is_labelled, is_fraud = labels_of(ids, labels)
    live, shadow = (_mask(table, column, names) for column in _RULES)
    full = np.zeros((len(names), table.num_rows), np.bool_)
    full[: len(live)] = live  # the other column may have named more rules
    return HistoryPart(
        ids=ids,
        received_us=micros_of(table["received_at"]),
        was=outcome_codes(table),
        became=outcome_codes(table, with_rules=True),
        amounts=base_amounts(table, schema),
        is_fraud=is_fraud,
        is_labelled=is_labelled,
        names=names,
        live=full,
        shadow=shadow,
    )


def _mask(table: pa.Table, column: str, names: list[str]) -> Bools:
    """Read which rules held, each distinct text once; adds to ``names`` what it does not know."""
    if column not in table.column_names:
        return np.zeros((len(names), table.num_rows), np.bool_)
    coded = pc.fill_null(table[column], "[]").combine_chunks().dictionary_encode()
    texts = [json.loads(text) for text in coded.dictionary.to_pylist()]
    for text in texts:
        names.extend(name for name in text if name not in names)
    holds = np.zeros((len(names), len(texts)), np.bool_)
    for at, text in enumerate(texts):
        holds[[names.index(name) for name in text], at] = True
    found: Bools = holds[:, coded.indices.to_numpy()] if texts else holds[:, :0]
    return found
