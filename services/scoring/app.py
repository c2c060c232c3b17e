"""The HTTP side (ASGI): paths, limits, keys, and errors in words.

``POST /v1/score``, ``/v1/score/batch``, ``/v1/labels``; ``GET /v1/decisions/{transaction_id}``, ``/health``,
``/ready``, ``/metrics``, ``/openapi.json``; KServe's ``/v1/models``, ``/v2/models``, ``/v2/health``
(``services.scoring.kserve_api``). No framework stands between: it would cost as much as all else together.
"""

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, Final

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError

from fraud.contracts import Transaction
from fraud.errors import Unavailable
from fraud.http.problems import Problem, of_validation
from fraud.http.security import Keys, RateLimit
from services.scoring import kserve_api, metrics
from services.scoring.labels import LabelRequest
from services.scoring.openapi import document
from services.scoring.records import TransactionRequest
from services.scoring.service import Service
from services.scoring.turns import POOL, Turns

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
JSON: Final = b"application/json"
BESIDE: Final = 4
"""Threads for all but scores."""
_OPEN: Final = frozenset({"/health", "/ready", "/metrics", "/openapi.json"})
"""Paths that need no key: probes, scrapes and the contract."""
log = logging.getLogger(__name__)


class App:
    """The ASGI application.

    Parameters
    ----------
    service
        Does what is asked.
    """

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._service = service
        self._settings = settings
        self._keys = Keys(settings.keys_file, settings.host)
        self._limit = RateLimit(settings.rate_per_s, settings.rate_burst)
        self._turns = Turns(settings.max_waiting, settings.threads or (0 if service.is_local else POOL))
        # Lookups, labels and probes wait for the store and Kafka: beside the scores, not among them.
        self._beside = Turns(settings.max_waiting, BESIDE)
        self._kserve = kserve_api.Endpoints(service, self._score, self._beside)
        # Readiness tells a stranger nothing that KServe's probes do not.
        self._open = _OPEN | {f"/v2/models/{settings.name}/ready"}
        self._openapi = orjson.dumps(document(settings.name, settings.max_batch))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        path, name = scope["path"], "other"
        status, headers, body = 500, [(b"content-type", JSON)], b""
        try:
            name, kind, body = await self._answer(scope, receive, path)
            status = 200
            headers = [(b"content-type", kind)]
        except Problem as problem:
            status, headers, body = problem.status, problem.headers(), problem.body()
        except Exception:
            log.exception("a request failed")
            failure = Problem(500, "the service failed; its log says why")
            headers, body = failure.headers(), failure.body()
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
        metrics.REQUESTS.labels(name, status).inc()
        if name != "other":
            metrics.SECONDS.labels(name).observe(time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, path: str) -> tuple[str, bytes, bytes]:
        """Find the endpoint; returns its name for the metrics, the media type and the body."""
        method = scope["method"]
        headers = dict(scope["headers"])
        if path not in self._open and not path.startswith("/v2/health"):
            self._limit.take(self._keys.client_of(headers.get(b"authorization")))
        if path == "/v1/score":
            _need(method, "POST")
            record = _parse(await self._body(headers, receive))
            return path, JSON, await self._score(record)
        if path == "/v1/score/batch":
            _need(method, "POST")
            return path, JSON, await self._score_batch(await self._body(headers, receive))
        if path == "/v1/labels":
            _need(method, "POST")
            body = await self._body(headers, receive)
            return path, JSON, await self._beside.run(partial(self._take_label, body))
        if path.startswith("/v1/decisions/"):
            _need(method, "GET")
            transaction_id = path.removeprefix("/v1/decisions/")  # decoded by the server
            found = await self._beside.run(lambda: orjson.dumps(self._service.find(transaction_id)))
            return "/v1/decisions", JSON, found
        if path.startswith(("/v1/models", "/v2")):
            body = await self._body(headers, receive) if method == "POST" else b""
            return "/kserve", JSON, await self._kserve.answer(method, path, body)
        _need(method, "GET")
        return self._look(path)

    async def _score(self, record: Transaction) -> bytes:
        """Answer one transaction; for Kafka, where the store does not answer, nobody else waits."""
        answer = await self._turns.run(partial(self._service.score, record))
        return answer or await self._beside.run(partial(self._service.score_without_store, record))

    def _look(self, path: str) -> tuple[str, bytes, bytes]:
        if path == "/health":
            return path, JSON, b'{"status":"alive"}'
        if path == "/ready":
            self._service.see_that_it_takes_requests()
            return path, JSON, b'{"status":"ready"}'
        if path == "/metrics":
            return path, CONTENT_TYPE_LATEST.encode(), generate_latest()
        if path == "/openapi.json":
            return path, JSON, self._openapi
        raise Problem(404, "there is no such path; see /openapi.json")

    async def _score_batch(self, raw: bytes) -> bytes:
        """Score one after another; each has its own answer or problem, in the order of the request."""
        content = _load(raw)
        items = content.get("transactions") if isinstance(content, dict) else None
        if not isinstance(items, list) or not 1 <= len(items) <= self._settings.max_batch:
            most = self._settings.max_batch
            raise Problem(422, f"transactions: a list of 1 to {most} transactions is needed")
        found = []
        for item in items:
            try:
                found.append(await self._score(_parse(orjson.dumps(item))))
            except Problem as problem:
                found.append(problem.body())
        return b'{"answers":[' + b",".join(found) + b"]}"

    def _take_label(self, raw: bytes) -> bytes:
        try:
            request = LabelRequest.model_validate_json(raw)
        except ValidationError as error:
            raise of_validation(error) from error
        try:
            status = self._service.labels.take(request)
        except Unavailable as error:
            raise Problem(503, str(error), (), 2) from error
        return orjson.dumps({"transaction_id": request.transaction_id, "status": status})

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        most = self._settings.max_body_bytes
        too_large = Problem(413, f"a body may have {most:,} bytes at most")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > most:
            raise too_large
        message = await receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
            if len(body) > most:
                raise too_large
        return body

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._service.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                self._service.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _parse(raw: bytes) -> TransactionRequest:
    try:
        return TransactionRequest.model_validate_json(raw)
    except ValidationError as error:
        raise of_validation(error) from error


def _load(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"not JSON: {error}") from error


def _need(method: str, wanted: str) -> None:
    if method != wanted and not (wanted == "GET" and method == "HEAD"):
        raise Problem(405, f"use {wanted}")
