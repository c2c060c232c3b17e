"""Verdicts by transaction_id: looked up among the answers, and sent on to the topic ``labels``."""

import logging
import threading
from datetime import datetime, timedelta
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, StrictBool, ValidationError

from fraud.contracts import LABELS, Label
from fraud.contracts.future import MOST_AHEAD_S, future_words, is_ahead
from fraud.contracts.wire import EventTime, Identifier
from fraud.errors import BadRecord, Unavailable
from fraud.http.problems import Problem, of_record
from fraud.kafka.delivery import Kafka
from services.scoring.records import now
from services.scoring.scorer import Scorer

log = logging.getLogger(__name__)


class LabelRequest(BaseModel):
    """The verdict on one transaction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    transaction_id: Identifier
    is_fraud: StrictBool
    label_time: EventTime | None = None
    """When the verdict became known; now by default."""
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

    def take(self, request: LabelRequest) -> str:
        """Send a verdict on; returns ``accepted`` or ``pending``.

        Raises
        ------
        Problem
            422, when it is dated into the future; 404, when the transaction is not known and labels are not
            kept.
        Unavailable
            When Kafka does not take it; send it again.
        """
        self._refuse_future(request)
        label = self._label_of(request)
        if label is None:
            if self._pending is None:
                raise Problem(
                    404, "no transaction of this id was scored here, or its answer is not kept any more"
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
                    request = LabelRequest.model_validate_json(line)
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
        """Refuse, also a verdict that would be kept, by the rule of :func:`fraud.contracts.check_future`."""
        time, arrival = request.label_time, now()
        if time is not None and is_ahead(time, arrival, timedelta(seconds=self._most_ahead_s)):
            words = future_words("label_time", time, arrival, self._most_ahead_s)
            raise of_record(BadRecord("future_label_time", words))

    def _keep(self, file: Path, request: LabelRequest) -> None:
        timed = request.model_copy(update={"label_time": request.label_time or now()})
        with self._lock, file.open("ab") as opened:
            opened.write(b"\n" + timed.model_dump_json().encode())  # the line before may be torn

    def _label_of(self, request: LabelRequest) -> Label | None:
        found = self._scorer.find(request.transaction_id)
        if found is None:
            return None
        scored = orjson.loads(found.record)
        return Label(
            transaction_id=request.transaction_id,
            user_id=scored["user_id"],
            merchant_id=scored["merchant_id"],
            event_time=datetime.fromisoformat(scored["event_time"]),
            label_time=request.label_time or now(),
            is_fraud=request.is_fraud,
            source=request.source,
        )

    def _send(self, label: Label) -> None:
        if not all(self._kafka.send([(LABELS, label.user_id, label.model_dump_json().encode())])):
            raise Unavailable("Kafka did not take the label; send it again")
