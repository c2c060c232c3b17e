"""Verdicts by transaction_id: looked up among the answers, and sent on to the topic ``labels``."""

import logging
import threading
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator

from fraud.contracts import LABELS, MOST_AHEAD_S, Label, check_future
from fraud.contracts.wire import EventTime, Identifier
from fraud.errors import BadRecord, Unavailable
from fraud.http.access import ANYONE
from fraud.http.problems import Problem, of_record
from fraud.kafka.delivery import Kafka
from services.scoring.records import now
from services.scoring.scorer import Scorer

SOURCE: Final = "api:"
"""Before the client's name, in a label's source; the console's labels begin with another word."""
_KEYS: Final = ("user_id", "merchant_id", "event_time")
Detail = Annotated[str, Field(min_length=1, max_length=27)]
log = logging.getLogger(__name__)


class LabelRequest(BaseModel):
    """The verdict on one transaction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    transaction_id: Identifier
    is_fraud: StrictBool
    label_time: EventTime | None = None
    """When the verdict became known; now by default."""
    source: Detail | None = None
    """Where the verdict comes from; it follows the client's name in the label's source."""
    user_id: Identifier | None = None
    """Of the transaction, like the next two: needed where it was not scored here, or long ago."""
    merchant_id: Identifier | None = None
    event_time: EventTime | None = None

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        given = [one is not None for one in (self.user_id, self.merchant_id, self.event_time)]
        if any(given) and not all(given):
            raise ValueError("give user_id, merchant_id and event_time of the transaction, or none of them")
        return self


class _Named(LabelRequest):
    """A request with the whole source."""

    source: Identifier | None = None


class Labels:
    """Takes verdicts.

    Parameters
    ----------
    scorer
        Knows the transactions.
    kafka
        Takes the labels.
    pending
        File for the verdicts on transactions that are not known yet; None: they are refused.
    most_ahead_s
        How far a verdict may be dated ahead of the present, seconds.
    """

    def __init__(
        self, scorer: Scorer, kafka: Kafka, pending: Path | None, most_ahead_s: float = MOST_AHEAD_S
    ) -> None:
        self._scorer, self._kafka, self._pending = scorer, kafka, pending
        self._most_ahead_s = most_ahead_s
        self._lock = threading.Lock()

    def take(self, request: LabelRequest, client: str = ANYONE.name) -> str:
        """Send a verdict on; returns ``accepted`` or ``pending``.

        Parameters
        ----------
        client
            Who sends it: the source begins with this name, so that nobody speaks for another one.

        Raises
        ------
        Problem
            422, when it is dated into the future, or its keys are not the transaction's; 404, when the
            transaction is not known, the label has no keys, and labels are not kept.
        Unavailable
            When Kafka does not take it; send it again.
        """
        self._refuse_future(request)
        request = _Named(**request.model_dump() | {"source": source_of(client, request.source)})
        label = self._label_of(request)
        if label is None:
            if self._pending is None:
                raise Problem(
                    404,
                    "no transaction of this id was scored here, or its answer is not kept any more: send its "
                    "user_id, merchant_id and event_time with the label",
                )
            self._keep(self._pending, request)
            return "pending"
        self.resolve()  # an older verdict on it may be kept: the last one that is sent holds
        self._send(label)
        return "accepted"

    def resolve(self) -> int:
        """Send on the kept verdicts whose transactions have become known; returns how many.

        Lines that a crash has torn go to a file beside (``.torn``).
        """
        if self._pending is None or not self._pending.exists():
            return 0
        with self._lock:
            left, torn, sent = [], [], 0
            for line in filter(None, self._pending.read_bytes().splitlines()):
                try:
                    request = _Named.model_validate_json(line)
                except ValidationError:
                    torn.append(line)
                    continue
                label = self._label_of(request)
                if label is None:
                    left.append(line)
                    continue
                self._send(label)
                sent += 1
            if torn:
                aside = self._pending.with_suffix(".torn")
                log.error("%d kept labels are torn and cannot be sent: they lie in %s", len(torn), aside)
                with aside.open("ab") as opened:
                    opened.writelines(line + b"\n" for line in torn)
            if sent or torn:
                partial = self._pending.with_suffix(".partial")
                partial.write_bytes(b"".join(line + b"\n" for line in left))
                partial.replace(self._pending)
        return sent

    def _refuse_future(self, request: LabelRequest) -> None:
        """Refuse, also where it would be kept, a verdict that carries a time of the future."""
        try:
            check_future(request, now(), self._most_ahead_s)
        except BadRecord as error:
            raise of_record(error) from error

    def _keep(self, file: Path, request: LabelRequest) -> None:
        timed = request.model_copy(update={"label_time": request.label_time or now()})
        with self._lock, file.open("ab") as opened:
            opened.write(b"\n" + timed.model_dump_json().encode())  # the line before may be torn

    def _label_of(self, request: LabelRequest) -> Label | None:
        keys = self._keys_of(request)
        if keys is None:
            return None
        return Label(
            transaction_id=request.transaction_id,
            **keys,
            label_time=request.label_time or now(),
            is_fraud=request.is_fraud,
            source=request.source,
        )

    def _keys_of(self, request: LabelRequest) -> dict[str, Any] | None:
        """Find the keys of a transaction: those of its answer, else those of the request.

        Raises
        ------
        Problem
            422, when the request names others than the answer.
        """
        given = {name: getattr(request, name) for name in _KEYS} if request.user_id is not None else None
        found = self._scorer.find(request.transaction_id)
        if found is None:
            return given
        scored = orjson.loads(found.record)
        keys = {name: scored[name] for name in _KEYS}
        keys["event_time"] = datetime.fromisoformat(scored["event_time"])
        for name, value in (given or {}).items():
            if value != keys[name]:
                words = "the transaction that was scored here has another one"
                raise Problem(422, f"{name}: {words}", [{"field": name, "message": words}])
        return keys

    def _send(self, label: Label) -> None:
        if not all(self._kafka.send([(LABELS, label.user_id, label.model_dump_json().encode())])):
            raise Unavailable("Kafka did not take the label; send it again")


def source_of(client: str, detail: str | None = None) -> str:
    """Name who sent a label, and where it says that the verdict comes from.

    Examples
    --------
    >>> source_of("gateway", "chargeback"), source_of("gateway")
    ('api:gateway:chargeback', 'api:gateway')
    """
    return f"{SOURCE}{client}" + (f":{detail}" if detail else "")
