"""What all records share: the schema version, strict types, and one function that reads a record.

A number is a JSON number: ``true`` and texts like ``"12.5"`` are refused. A time is an ISO 8601 text with an
offset.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from fraud.errors import BadRecord

SCHEMA_VERSION: Final = 1
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)


def _refuse_numbers(value: Any) -> Any:
    """Refuse seconds or milliseconds since 1970, as a number or a text: which of them is a guess."""
    if isinstance(value, datetime) or (isinstance(value, str) and value[4:5] == "-"):
        return value
    raise ValueError("must be a time like 2026-03-01T12:00:00Z")


def _check_range(value: datetime) -> datetime:
    if not EARLIEST <= value < LATEST:
        raise ValueError("must lie in the years 2000 to 2099")
    return value


Identifier = Annotated[str, Field(min_length=1, max_length=64)]
ReasonCode = Annotated[str, Field(min_length=1, max_length=16)]
"""Of the card network or the issuer."""
SourceName = Annotated[str, Field(min_length=1, max_length=64)]
"""Where a label, a result or a profile comes from."""
Latitude = Annotated[float, Field(strict=True, ge=-90.0, le=90.0, allow_inf_nan=False)]
Longitude = Annotated[float, Field(strict=True, ge=-180.0, le=180.0, allow_inf_nan=False)]
EventTime = Annotated[AwareDatetime, BeforeValidator(_refuse_numbers), AfterValidator(_check_range)]


class Record(BaseModel):
    """A record on the wire: immutable, fields that it does not know are ignored (a newer writer)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = SCHEMA_VERSION


R = TypeVar("R", bound=Record)


def parse_record(kind: type[R], raw: bytes | None) -> R:
    """Read one record of the wire.

    Parameters
    ----------
    kind
        The contract, e.g. :class:`~fraud.contracts.Transaction`.
    raw
        The JSON bytes of the Kafka value, or None for a tombstone.

    Raises
    ------
    BadRecord
        With reason ``empty``, ``invalid_json``, ``missing_field``, ``invalid_field`` or, where the contract
        itself fails, ``invalid_record``; the record belongs in the dead letters.

    Examples
    --------
    >>> from fraud.contracts import Label
    >>> parse_record(Label, b"{")
    Traceback (most recent call last):
    ...
    fraud.errors.BadRecord: invalid_json: EOF while parsing an object at line 1 column 1
    """
    if not raw:
        raise BadRecord("empty", "the record has no value")
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise BadRecord("invalid_json", str(first["ctx"]["error"])) from error
        reason = "missing_field" if first["type"] == "missing" else "invalid_field"
        field = ".".join(str(part) for part in first["loc"]) or "record"
        raise BadRecord(reason, f"{field}: {first['msg'].removeprefix('Value error, ')}") from error
    except Exception as error:  # one record must not end who reads the others, whatever a contract overlooks
        raise BadRecord("invalid_record", f"the contract cannot read it: {type(error).__name__}") from error
