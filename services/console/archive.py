"""What the Delta tables know of a case: its decision, and its user's history.

Reads ``transactions``, ``decisions``, ``labels`` and ``figures``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from fraud.contracts import Decision, contracts_of
from fraud.contracts.models import record_names
from fraud.errors import BadRecord
from fraud.log.arrival import COLUMNS
from fraud.log.labels import in_order_of_arrival
from fraud.log.tables import Table, find_table
from fraud.money import digits_of
from fraud.schema.fields import AMOUNT_BASE, BASE_MINOR, CORE_NAMES, Field, FieldType
from fraud.schema.schema import Schema

_LISTS: Final = ("reasons", "rules", "shadow_rules", "tags")
"""Of a decision, kept as JSON."""
MOST: Final = 400
"""Transactions of a history that are shown, the newest."""


@dataclass(frozen=True, slots=True)
class Event:
    """One transaction of a user's history."""

    transaction_id: str
    event_time: datetime
    amount: float
    """In the base currency, where the schema has one; 0 where that is not known."""
    words: Mapping[str, str | None]
    """By field, those of :func:`shown_of`."""
    latitude: float | None
    longitude: float | None
    home_latitude: float | None
    home_longitude: float | None
    outcome: str | None
    """None: from before the platform decided."""
    score: float | None
    is_fraud: bool | None
    """None: no label yet."""
    is_case: bool
    currency: str | None = None
    paid: float | None = None
    """In ``currency``."""

    @property
    def money(self) -> str:
        """Say what was paid, in its own currency."""
        return money_words(self.amount if self.paid is None else self.paid, self.currency)


def money_words(amount: float, currency: str | None) -> str:
    """Write an amount with the digits of its currency.

    Examples
    --------
    >>> money_words(25_000_000.0, "VND"), money_words(1.5, None)
    ('25,000,000 VND', '1.50')
    """
    if not currency:
        return f"{amount:,.2f}"
    digits = digits_of(currency)
    return f"{amount:,.{2 if digits is None else digits}f} {currency}"


def shown_of(schema: Schema) -> tuple[Field, ...]:
    """List the fields of a transaction that a history shows beside its time and amount."""
    known = {*CORE_NAMES, schema.primary_key.name}
    return tuple(
        field for field in schema.named(FieldType.KEY, FieldType.CATEGORY) if field.name not in known
    )


def _places_of(schema: Schema) -> dict[str, str | None]:
    """Name the columns of the first two places, which are drawn; None where the schema has fewer."""
    axes = ("latitude", "longitude", "home_latitude", "home_longitude")
    names = [name for field in schema.named(FieldType.PLACE)[:2] for name in field.names]
    return {axis: names[at] if at < len(names) else None for at, axis in enumerate(axes)}


class ConsoleArchive:
    """Reads the tables again for each question.

    Parameters
    ----------
    delta
        Path or URI of the tables; empty: there is no archive.
    options
        Access to the object store.
    schema
        Of the transactions.
    """

    def __init__(self, delta: str, options: dict[str, str], schema: Schema) -> None:
        self._delta, self._options, self._schema = delta, options, schema
        self._shown, self._places = shown_of(schema), _places_of(schema)
        self._contract = contracts_of(schema).decision
        self._read = (
            "transaction_id",
            "event_time",
            "amount",
            "currency",
            *((BASE_MINOR,) if schema.money else ()),
            *(field.name for field in self._shown),
            *filter(None, self._places.values()),
        )

    def find(self, transaction_id: str) -> Decision | None:
        """Find a decision.

        Raises
        ------
        BadRecord
            When the table holds one that is none.
        """
        is_it = pc.field("transaction_id") == transaction_id
        found = self._rows("decisions", (*record_names(self._contract), BASE_MINOR), is_it)
        if not found:
            return None
        row = {name: value for name, value in found[0].items() if value is not None or name in _NULLABLE}
        if self._schema.money is not None:
            row[AMOUNT_BASE] = self._in_base(found[0])
        try:
            for name in _LISTS:
                row[name] = json.loads(row.get(name) or "[]")
            return self._contract.model_validate(row)
        except ValidationError as error:
            fields = ", ".join(sorted({".".join(map(str, one["loc"])) for one in error.errors()}))
            raise BadRecord("invalid_decision", f"wrong or missing: {fields}") from error
        except ValueError as error:
            raise BadRecord("invalid_decision", f"{name}: {error}") from error

    def history(self, key: str, until: datetime, days: float, transaction_id: str) -> list[Event]:
        """List an entity's transactions of the days before (and the day after) a case, the oldest first."""
        since, end = until - timedelta(days=days), until + timedelta(days=1)
        time = pc.field("event_time")
        is_near = (
            (pc.field(self._schema.primary_key.name) == key)
            & (time >= pc.scalar(since))
            & (time <= pc.scalar(end))
        )
        transactions = self._rows("transactions", self._read, is_near)
        decided = {
            row["transaction_id"]: row
            for row in self._rows("decisions", ("transaction_id", "outcome", "score"), is_near)
        }
        labels = self._table("labels", ("transaction_id", "is_fraud", "label_time", *COLUMNS), is_near)
        arrived = in_order_of_arrival(labels).to_pylist() if labels else []
        told = {row["transaction_id"]: row["is_fraud"] for row in arrived}
        events: dict[str, Event] = {}
        for row in sorted(transactions, key=lambda row: row["event_time"])[-MOST:]:
            id_ = row["transaction_id"]
            known = decided.get(id_, {})
            events[id_] = Event(
                transaction_id=id_,
                event_time=row["event_time"],
                amount=self._in_base(row),
                currency=row.get("currency") or self._schema.base_currency,
                paid=row["amount"],
                words={field.name: row.get(field.name) for field in self._shown},
                **{axis: row.get(name or "") for axis, name in self._places.items()},
                outcome=known.get("outcome"),
                score=known.get("score"),
                is_fraud=told.get(id_),
                is_case=id_ == transaction_id,
            )
        return list(events.values())

    def figures(self, job: str) -> list[tuple[str, dict[str, str], float]]:
        """List what a job has measured last: name, labels, value."""
        found = self._rows("figures", ("job", "text"), pc.field("job") == job)
        if not found:
            return []
        return [
            (sample.name, dict(sample.labels), sample.value)
            for family in text_string_to_metric_families(found[0]["text"])
            for sample in family.samples
        ]

    def _rows(self, table: str, columns: Sequence[str], where: pc.Expression) -> list[dict[str, Any]]:
        found = self._table(table, columns, where)
        rows: list[dict[str, Any]] = found.to_pylist() if found else []
        return rows

    def _table(self, table: str, columns: Sequence[str], where: pc.Expression) -> pa.Table | None:
        found: Table | None = find_table(self._delta, table, self._options) if self._delta else None
        if found is None:
            return None
        return found.rows([name for name in columns if name in found.columns], where)

    def _in_base(self, row: Mapping[str, Any]) -> float:
        if self._schema.money is None:
            return float(row["amount"])
        return (row.get(BASE_MINOR) or 0) / self._schema.money.unit


_NULLABLE: Final = frozenset({"score", "model_version"})
