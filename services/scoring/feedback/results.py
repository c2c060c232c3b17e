"""Results by transaction_id, as they come to ``POST /v1/results``; they go the way of labels."""

from functools import lru_cache
from typing import Any, ClassVar, Self

from pydantic import model_validator

from fraud.contracts import Result, contracts_of
from fraud.contracts.models import REFUND, make_model, result_type
from fraud.contracts.result import check_refund
from fraud.contracts.transaction import refused
from fraud.contracts.wire import EventTime, Identifier, ReasonCode
from fraud.money import Money
from fraud.schema.schema import Schema
from services.scoring.feedback.requests import Detail, NoticeRequest, with_keys
from services.scoring.records import now


class ResultRequest(NoticeRequest):
    """A result of one transaction."""

    money: ClassVar[Money | None] = None
    """Of the schema's amounts."""

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
    def _check_amount(self) -> Self:
        check_refund(self, self.money)
        if getattr(self, "amount", None) is not None and self.result_time is None:
            words = "must be given with an amount: it tells a refund from another one of its transaction"
            raise refused("result_time", words)
        return self


@lru_cache(maxsize=64)
def result_request_of(schema: Schema) -> type[ResultRequest]:
    """Make the model of a schema's results as they come."""
    words = {"result": (result_type(schema), ...), **(REFUND if schema.takes_refunds else {})}
    found: type[ResultRequest] = with_keys("ResultRequest", ResultRequest, schema, words)
    found.money = schema.money
    return found


@lru_cache(maxsize=64)
def named_result_of(schema: Schema) -> type[ResultRequest]:
    """Make the model of such a request with the whole source."""
    found: type[ResultRequest] = make_model(
        "NamedResult", result_request_of(schema), {"source": (Identifier | None, None)}
    )
    return found


def result_of(request: ResultRequest, keys: Any, schema: Schema) -> Result:
    """Make the record of a result.

    Parameters
    ----------
    keys
        Of its transaction.
    schema
        Of the records.

    Raises
    ------
    TypeError
        When the schema takes no results; there is no endpoint then.
    """
    model = contracts_of(schema).result
    if model is None:
        raise TypeError("the schema takes no results")
    return model(
        transaction_id=request.transaction_id,
        **keys,
        result_time=request.result_time or now(),
        result=request.result,
        source=request.source,
        reason_code=request.reason_code,
        **{name: getattr(request, name) for name in (REFUND if schema.takes_refunds else ())},
    )
