"""Errors as ``application/problem+json`` (RFC 9457): what is wrong, where, and what to do."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from pydantic import ValidationError

from fraud.errors import BadRecord

MEDIA_TYPE: Final = "application/problem+json"
UNKNOWN_FIELD: Final = "unknown field; GET /openapi.json lists the fields of this deployment"
TITLES: Final = {
    400: "The request cannot be read",
    401: "The API key is missing or wrong",
    403: "The API key may not do this",
    404: "There is no such thing",
    405: "The method is not allowed here",
    409: "The transaction_id is taken",
    413: "The body is too large",
    415: "The content encoding is not supported",
    422: "A field is wrong",
    429: "Too many requests",
    500: "The service failed",
    503: "A dependency is unavailable",
}


class Problem(Exception):
    """An answer other than the one that was asked for.

    Parameters
    ----------
    status
        Of HTTP.
    detail
        What is wrong, in words; without values of the request, which may be personal.
    errors
        By field, where several are wrong.
    retry_after_s
        When to try again, whole seconds.
    allow
        Methods of the path, where another one was used.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[dict[str, str]] = (),
        retry_after_s: int | None = None,
        allow: str = "",
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.retry_after_s = retry_after_s
        self.allow = allow

    def body(self) -> bytes:
        """Write it."""
        content: dict[str, Any] = {
            "type": "about:blank",
            "title": TITLES[self.status],
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            content["errors"] = list(self.errors)
        return orjson.dumps(content)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Make the headers of its answer."""
        found = [(b"content-type", MEDIA_TYPE.encode())]
        if self.retry_after_s is not None:
            found.append((b"retry-after", str(self.retry_after_s).encode()))
        if self.allow:
            found.append((b"allow", self.allow.encode()))
        if self.status == 401:
            found.append((b"www-authenticate", b"Bearer"))
        return found


def of_validation(error: ValidationError, prefix: str = "") -> Problem:
    """Make the problem of a body that is not what the contract says."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    if any(one["type"] == "json_invalid" for one in found):
        return Problem(400, f"{prefix}not JSON: {found[0]['msg']}")
    errors = [
        {
            "field": prefix + (".".join(map(str, one["loc"])) or "body"),
            "message": UNKNOWN_FIELD if one["type"] == "extra_forbidden" else one["msg"],
        }
        for one in found
    ]
    return Problem(422, f"{errors[0]['field']}: {errors[0]['message']}", errors[:20])


def of_record(error: BadRecord, prefix: str = "") -> Problem:
    """Make the problem of a record that is refused for one field, which its reason and detail name."""
    field = prefix + error.detail.partition(":")[0]
    message = f"{error.reason}: {error.detail.partition(': ')[2]}"
    return Problem(422, f"{field}: {message}", [{"field": field, "message": message}])
