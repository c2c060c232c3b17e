"""The records of one decision: the request, the answer, and what goes to the log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final, Literal

import orjson
from xxhash import xxh3_128_digest

from fraud.contracts import Outcome, Reason, Transaction, contracts_of
from fraud.contracts.columns import names_of
from fraud.contracts.decision import DecisionPart
from fraud.contracts.models import sequence_of
from fraud.decide.experiment import TRIAL_FIELDS, ExperimentRecord
from fraud.decide.overruling import RULED_FIELDS, Ruled, ruled_fields
from fraud.features import kernel
from fraud.features.kernel import Floats
from fraud.features.layout import layout_of
from fraud.runtime import traces
from fraud.schema.fields import AMOUNT_BASE, BASE_MINOR
from fraud.schema.schema import Schema

Part = Literal["store", "model", "log"]
MOST_REASONS: Final = 16
"""Of a decision; so its record stays below what the stream takes (``fraud.contracts.MOST_RECORD``)."""
_LATER: Final = frozenset({*RULED_FIELDS, *TRIAL_FIELDS})
"""Fields of a decision that records of earlier releases may lack."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided of one transaction, and by what."""

    outcome: Outcome
    score: float | None
    reasons: list[Reason]
    ruled: Ruled
    """What the rules made of it."""
    model_version: str | None
    policy_version: str
    is_fallback: bool
    degraded: tuple[Part, ...] = ()
    """Dependencies that were unavailable."""
    trial: ExperimentRecord | None = None
    """The experiment that it was part of."""


class AnswerWriter:
    """Writes what becomes of a schema's transactions.

    Parameters
    ----------
    schema
        Of the transactions.
    """

    def __init__(self, schema: Schema) -> None:
        self._fields = tuple(contracts_of(schema).priced.model_fields)
        self._values = itemgetter(*self._fields)
        self.primary = schema.primary_key.name
        """Field of the primary entity's key, which keys the topics."""
        self._money, self._version = schema.money, schema.features_version
        self._priced = [kernel.E_CENTS, layout_of(schema).mask]
        keys = dict.fromkeys(["transaction_id", *schema.key_names, "event_time", "amount"])
        self._told = (*keys, *names_of(DecisionPart), "features_version")

    def fingerprint(self, event: Floats, record: Transaction) -> bytes:
        """Name a request's content, 16 bytes: equal for the same transaction however its JSON is written."""
        text = record.currency or ""
        if self._money is not None:  # the rate may be another one when the request is repeated
            event = event.copy()
            event[:, self._priced] = 0.0
            text += f" {record.amount!r}"
        return xxh3_128_digest(event.tobytes() + text.encode())

    def answer(self, record: Transaction, decided: Decided, at: datetime) -> bytes:
        """Write the answer to a request."""
        return orjson.dumps(
            {
                "transaction_id": record.transaction_id,
                **_decision(decided),
                "degraded": decided.degraded,
                "features_version": self._version,
                "scored_at": at,
            },
            option=orjson.OPT_UTC_Z,
        )

    def record(
        self,
        record: Transaction,
        decided: Decided,
        at: datetime,
        *,
        features: Mapping[str, float],
        sequences: Mapping[str, int],
        store: str,
    ) -> bytes:
        """Write the record of the topic ``scored``.

        Parameters
        ----------
        features
            The vector by name; NaN becomes null.
        sequences
            By entity that the transaction names (of two sides, by side), how many it has counted with this
            one.
        store
            Identity of the store that has counted it.
        """
        content: dict[str, Any] = dict(zip(self._fields, self._values(vars(record)), strict=True))
        content.update(
            _decision(decided),
            features_version=self._version,
            features=features,
            scored_at=at,
            **{sequence_of(name): count for name, count in sequences.items()},
            store=store,
        )
        if decided.trial is not None:
            content.update((name, getattr(decided.trial, name)) for name in TRIAL_FIELDS)
        if trace := traces.parent():
            content[traces.HEADER] = trace
        return orjson.dumps(content, option=orjson.OPT_UTC_Z)

    def decision(self, scored: dict[str, Any]) -> bytes:
        """Write the record of the topic ``decisions`` from that of ``scored``."""
        in_base = {}
        if self._money is not None:
            minor = scored[BASE_MINOR]
            in_base = {
                "currency": scored["currency"],
                AMOUNT_BASE: None if minor is None else minor / self._money.unit,
            }
        return orjson.dumps(
            {
                "schema_version": 1,
                **{name: scored[name] for name in self._told if name in scored or name not in _LATER},
                **in_base,
                "received_at": scored["scored_at"],
                "processed_at": scored["scored_at"],
                "epoch": -1,
                "source_partition": -1,
                "source_offset": -1,
            }
        )


def now() -> datetime:
    """Tell the time, UTC."""
    return datetime.now(UTC)


def _decision(decided: Decided) -> dict[str, Any]:
    return {
        "outcome": str(decided.outcome),
        "score": decided.score,
        "reasons": [{"code": reason.code, "text": reason.text} for reason in decided.reasons[:MOST_REASONS]],
        "model_version": decided.model_version,
        "policy_version": decided.policy_version,
        **ruled_fields(decided.ruled),
        "is_fallback": decided.is_fallback,
    }
