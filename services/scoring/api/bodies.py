"""Request bodies: read within bounds, unpacked and parsed at a cost that their size bounds.

A body has at most ``max_body_bytes``, packed and unpacked; all bodies that are being read together have
``max_reading_bytes``. One record has at most ``MOST_RECORD`` bytes.
"""

import zlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from fraud.http.problems import Problem, of_validation
from services.scoring import metrics

MOST_RECORD: Final = 16_384
"""Bytes of one transaction or label; the longest legal one has less than half of it."""
MOST_COLONS: Final = 40
"""A record with more of them may have many fields: then their names are looked at first."""
BRACKETS: Final = 8
"""Arrays and objects of one transaction that are read, those in its texts included."""
GZIP: Final = 31
"""Window of zlib that reads gzip alone."""
SAID: Final = 20
"""Wrong fields that an answer names."""
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
M = TypeVar("M", bound=BaseModel)


class ClientDisconnected(Exception):
    """The client has closed the connection before its body was complete; no answer is needed."""


class BodyReader:
    """Reads the bodies of requests, within bounds of size and memory.

    Parameters
    ----------
    most
        Bytes of one, packed or unpacked.
    reading
        Bytes of all that are being read.
    """

    def __init__(self, most: int, reading: int) -> None:
        self._most = most
        self._reading = Places(reading, "bytes of other requests are being read")

    async def read(self, headers: dict[bytes, bytes], receive: Receive, most: int = 0) -> bytes:
        """Read one body of at most ``most`` bytes, by default those of the settings.

        Raises
        ------
        Problem
            400, 413, 415 or 429.
        ClientDisconnected
            When the client has left.
        """
        most = most or self._most
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and (len(length) > 18 or int(length) > most):
            raise _too_large(most)
        message = await receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await self._rest(body, receive, most)
        elif message["type"] == "http.disconnect":
            raise ClientDisconnected
        if len(body) > most:
            raise _too_large(most)
        encoding = headers.get(b"content-encoding")
        return body if encoding is None else unpack(body, encoding, most)

    async def _rest(self, first: bytes, receive: Receive, most: int) -> bytes:
        body, is_whole = bytearray(first), False
        with self._reading.held(0) as hold:
            while not is_whole:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnected
                chunk: bytes = message.get("body", b"")
                hold(len(chunk))
                body += chunk
                if len(body) > most:
                    raise _too_large(most)
                is_whole = not message.get("more_body")
        return bytes(body)


class Places:
    """Places that requests take by their size while they are under way; what finds none is refused.

    Examples
    --------
    >>> places = Places(10, "transactions of batches wait")
    >>> with places.held(8), places.held(8):
    ...     pass
    Traceback (most recent call last):
    ...
    fraud.http.problems.Problem: 8 transactions of batches wait; try again, or another replica
    """

    def __init__(self, most: int, said: str) -> None:
        self._most, self._said, self._taken = most, said, 0

    @contextmanager
    def held(self, size: int) -> Iterator[Callable[[int], None]]:
        """Take places until the end of the block; the block may take more.

        Raises
        ------
        Problem
            429.
        """
        own = 0

        def hold(more: int) -> None:
            nonlocal own
            if more and self._taken + more > self._most:
                metrics.SHED.labels("size").inc()
                raise Problem(429, f"{self._taken:,} {self._said}; try again, or another replica", (), 1)
            self._taken += more
            own += more

        try:
            hold(size)
            yield hold
        finally:
            self._taken -= own


def unpack(body: bytes, encoding: bytes, most: int) -> bytes:
    """Undo the content encoding.

    Raises
    ------
    Problem
        400, 413 or 415.
    """
    name = encoding.strip().lower()
    if name in {b"", b"identity"}:
        return body
    if name not in {b"gzip", b"x-gzip"}:
        raise Problem(415, "Content-Encoding: use gzip or none")
    reader = zlib.decompressobj(GZIP)
    try:
        found = reader.decompress(body, most + 1)
    except zlib.error as error:
        raise Problem(400, f"Content-Encoding is gzip, and the body is not: {error}") from error
    if len(found) > most:
        raise _too_large(most)
    if not reader.eof or reader.unused_data:
        raise Problem(400, "the gzip body is incomplete, or has bytes after its end")
    return found


def load(raw: bytes | memoryview, most: int) -> dict[str, Any]:
    """Read JSON, an object, of at most ``most`` transactions.

    Raises
    ------
    Problem
        400 or 422.
    """
    text = bytes(raw)
    # Python makes an object for each of them, and looks at all of them repeatedly while it does.
    if text.count(b"[") + text.count(b"{") > BRACKETS * (most + BRACKETS):
        raise Problem(422, f"the body holds more arrays and objects than {most} transactions can have")
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"not JSON: {error}") from error
    if not isinstance(content, dict):
        raise Problem(422, "the body must be a JSON object")
    return content


def dump(item: Any) -> bytes:
    """Write one item of a list again, to be parsed by its contract.

    Raises
    ------
    Problem
        422 where it is nested deeper than JSON is written.
    """
    try:
        return orjson.dumps(item)
    except orjson.JSONEncodeError as error:
        raise Problem(422, f"not a transaction: {error}") from error


def parse(kind: type[M], raw: bytes, prefix: str = "") -> M:
    """Read one record by its contract.

    Parameters
    ----------
    prefix
        Of the fields' names in the problem.

    Raises
    ------
    Problem
        400, 413 or 422, with the fields that are wrong.
    """
    if len(raw) > MOST_RECORD:
        raise Problem(413, f"{prefix}one record may have {MOST_RECORD:,} bytes at most")
    if raw.count(b":") > MOST_COLONS:
        _refuse_unknown(kind, raw, prefix)
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise of_validation(error, prefix) from error


def _refuse_unknown(kind: type[BaseModel], raw: bytes, prefix: str) -> None:
    """Refuse fields that the contract does not have; pydantic takes some hundred times as long for many."""
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return  # the parser reports it
    unknown = [name for name in content if name not in kind.model_fields] if isinstance(content, dict) else []
    if unknown:
        message = "Extra inputs are not permitted"
        errors = [{"field": prefix + name, "message": message} for name in unknown[:SAID]]
        raise Problem(422, f"{len(unknown)} fields are not known, the first is {errors[0]['field']}", errors)


def _too_large(most: int) -> Problem:
    return Problem(413, f"a body may have {most:,} bytes at most")
