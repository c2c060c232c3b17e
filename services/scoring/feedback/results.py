"""Results by transaction_id, as they come to ``POST /v1/results``; they go the way of labels."""

from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, model_validator

from fraud.contracts import Result, contracts_of
from fraud.contracts.models import REFUND, ReasonCode, make_model, result_type
from fraud.contracts.result import check_refund
from fraud.contracts.transaction import refused
from fraud.contracts.wire import EventTime, Identifier
from fraud.schema.deployed import deployed_schema
from services.scoring.feedback.requests import Detail, check_keys
from services.scoring.records import now

_SCHEMA: Final = deployed_schema()
_MODEL: Final = contracts_of(_SCHEMA).result


class ResultRequest(BaseModel):
    """A result of one transaction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    transaction_id: Identifier
    result: str
    """One of those that the schema takes."""
    result_time: EventTime | None = None
    """When the result became known; default: now."""
    source: Detail | None = None
    """Where the result comes from; it follows the client's name in the stored source."""
    reason_code: ReasonCode | None = None
    """Of the issuer or the card network, e.g. ``51``."""
    event_time: EventTime | None = None
    """Of the transaction, like its keys (the schema's). The primary entity's key suffices."""

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        check_keys(self)
        check_refund(self, _SCHEMA.money)
        if getattr(self, "amount", None) is not None and self.result_time is None:
            words = "must be given with an amount: it tells a refund from another one of its transaction"
            raise refused("result_time", words)
        return self


_KEYS: Final[dict[str, Any]] = dict.fromkeys(_SCHEMA.key_names, (Identifier | None, None))
_REFUND: Final[dict[str, Any]] = REFUND if _SCHEMA.takes_refunds else {}
_WORD: Final[dict[str, Any]] = {"result": (result_type(_SCHEMA), ...), **_REFUND}
RESULT_REQUEST: Final[type[ResultRequest]] = make_model("ResultRequest", ResultRequest, {**_KEYS, **_WORD})
NAMED_RESULT: Final[type[ResultRequest]] = make_model(
    "NamedResult", RESULT_REQUEST, {"source": (Identifier | None, None)}
)
"""A request with the whole source."""


def result_of(request: ResultRequest, keys: Any) -> Result:
    """Make the record of a result.

    Parameters
    ----------
    keys
        Of its transaction.

    Raises
    ------
    TypeError
        When the schema takes no results; there is no endpoint then.
    """
    if _MODEL is None:
        raise TypeError("the schema takes no results")
    return _MODEL(
        transaction_id=request.transaction_id,
        **keys,
        result_time=request.result_time or now(),
        result=request.result,
        source=request.source,
        reason_code=request.reason_code,
        **{name: getattr(request, name) for name in _REFUND},
    )
