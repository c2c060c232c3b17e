"""The HTTP side (ASGI): paths, limits, keys, and errors in words.

``POST /v1/score``, ``/v1/score/batch``, ``/v1/labels``; ``GET /v1/decisions/{transaction_id}``, ``/health``,
``/ready``, ``/metrics``, ``/openapi.json``; KServe's ``/v1/models``, ``/v2/models``, ``/v2/health``
(``services.scoring.kserve_api``). No framework stands between: it would cost as much as all else together.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, Final

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from fraud.contracts import Transaction
from fraud.errors import Unavailable
from fraud.http.access import ANYONE, Client, Keys, KeyScope, RateLimit
from fraud.http.problems import Problem
from services.scoring import bodies, kserve_api, metrics
from services.scoring.batches import Batches, items_of, read_item
from services.scoring.bodies import MOST_RECORD, Bodies, Gone, Receive
from services.scoring.kserve_api import Headers
from services.scoring.labels import LabelRequest
from services.scoring.openapi import document
from services.scoring.service import Service
from services.scoring.turns import POOL, Turns

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
JSON: Final = (b"content-type", b"application/json")
BESIDE: Final = 4
"""Threads for all but scores."""
UNKNOWN: Final = 8
"""Labels that may wait for a look into the tables."""
DETAILED: Final = 20
"""Wrong transactions of one batch whose fields are named; the others are said to be wrong."""
_OPEN: Final = frozenset({"/health", "/ready", "/metrics", "/openapi.json"})
"""Paths that need no key: probes, scrapes and the contract."""
_POST: Final = ("/v1/score", "/v1/score/batch", "/v1/labels")
_DECISIONS: Final = "/v1/decisions/"
_WRONG: Final = Problem(
    422, f"wrong; the fields are named for the first {DETAILED} wrong ones of a batch"
).body()
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
        self._limit = RateLimit(settings.rate_per_s, settings.rate_burst, unit="transactions")
        self._bodies = Bodies(settings.max_body_bytes, settings.max_reading_bytes)
        self._turns = Turns(settings.max_waiting, settings.threads or (0 if service.is_local else POOL))
        # Lookups, labels and probes wait for the store and Kafka: beside the scores, not among them.
        self._beside = Turns(settings.max_waiting, BESIDE)
        self._unknown = Turns(UNKNOWN, 1) if settings.delta else self._beside
        """Looks into the tables: one at a time, beside everything else."""
        self._batches = Batches(settings, self._turns, self._limit)
        self._kserve = kserve_api.Endpoints(
            service, partial(self._score, is_of_batch=True), self._batches, self._turns, self._beside
        )
        self._methods = {
            **dict.fromkeys(_OPEN, "GET"),
            **dict.fromkeys(_POST, "POST"),
            **kserve_api.methods(settings.name),
        }
        # Readiness tells a stranger nothing that KServe's probes do not.
        self._open = _OPEN | {f"/v2/models/{settings.name}/ready"}
        self._openapi = orjson.dumps(document(settings.name, settings.max_batch))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":  # no WebSockets: closed before it is open, which is answered 403
            await send({"type": "websocket.close"})
            return
        started = time.perf_counter()
        path, name = scope["path"], "other"
        status, headers, body = 500, [JSON], b""
        try:
            name, headers, body = await self._answer(scope, receive, path)
            status = 200
        except Gone:
            return
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

    async def _answer(self, scope: Scope, receive: Receive, path: str) -> tuple[str, Headers, bytes]:
        """Find the endpoint; returns its name for the metrics, the headers and the body."""
        method = scope["method"]
        headers = dict(scope["headers"])
        client = ANYONE
        if path not in self._open and not path.startswith("/v2/health"):
            client = self._keys.client_of(headers.get(b"authorization"))
            self._limit.take(client.name)
        self._check(path, method, headers)
        _need_scope(client, path, method)
        if path == "/v1/score":
            raw = await self._bodies.read(headers, receive, MOST_RECORD)
            return path, [JSON], await self._score(partial(self._service.read_transaction, raw))
        if path == "/v1/score/batch":
            return (
                path,
                [JSON],
                await self._score_batch(await self._bodies.read(headers, receive), client.name),
            )
        if path == "/v1/labels":
            body = await self._bodies.read(headers, receive, MOST_RECORD)
            return path, [JSON], await self._take_label(body, client.name)
        if path.startswith(_DECISIONS):
            transaction_id = path.removeprefix(_DECISIONS)  # decoded by the server
            found = await self._beside.run(lambda: orjson.dumps(self._service.find(transaction_id)))
            return "/v1/decisions", [JSON], found
        if path.startswith(("/v1/models", "/v2")):
            body = await self._bodies.read(headers, receive) if method == "POST" else b""
            return "/kserve", *await self._kserve.answer(path, headers, body, client.name)
        return self._look(path)

    def _check(self, path: str, method: str, headers: dict[bytes, bytes]) -> None:
        """Refuse what no endpoint takes: another path, another method, a WebSocket."""
        wanted = self._methods.get(path) or ("GET" if path.startswith(_DECISIONS) else None)
        if wanted is None:
            shorter = path.rstrip("/")
            hint = (
                f"without the slash at its end there is {shorter}"
                if shorter in self._methods
                else (f"see /openapi.json; the model is {self._settings.name!r}")
            )
            raise Problem(404, f"there is no such path; {hint}")
        if method != wanted and not (wanted == "GET" and method == "HEAD"):
            allow = "GET, HEAD" if wanted == "GET" else wanted
            raise Problem(405, f"use {wanted}", allow=allow)
        if headers.get(b"upgrade", b"").lower() == b"websocket":
            raise Problem(400, "there are no WebSockets here; send a plain HTTP request")

    async def _score(self, read: Callable[[], Transaction], *, is_of_batch: bool = False) -> bytes:
        """Read and answer one transaction; for Kafka, where the store does not answer, nobody else waits."""
        answer, record = await self._turns.run(partial(self._score_once, read), is_of_batch=is_of_batch)
        return answer or await self._beside.run(partial(self._service.score_without_store, record))

    def _score_once(self, read: Callable[[], Transaction]) -> tuple[bytes, Transaction]:
        record = read()
        return self._service.score(record), record

    def _look(self, path: str) -> tuple[str, Headers, bytes]:
        if path == "/health":
            return path, [JSON], b'{"status":"alive"}'
        if path == "/ready":
            self._service.see_that_it_takes_requests()
            self._service.see_that_all_threads_live()
            problem = self._service.states.problem
            found = {"status": "degraded", "detail": problem} if problem else {"status": "ready"}
            return path, [JSON], orjson.dumps(found)
        if path == "/metrics":
            return path, [(b"content-type", CONTENT_TYPE_LATEST.encode())], generate_latest()
        return path, [JSON], self._openapi

    async def _score_batch(self, raw: bytes, client: str) -> bytes:
        """Score one after another; each has its own answer or problem, in the order of the request."""
        found: list[bytes] = []
        wrong = 0
        async with self._batches.read(raw, client, partial(items_of, "transactions")) as (items, _):
            for item in items:
                try:
                    read = partial(read_item, self._service.read_transaction, item)
                    found.append(await self._score(read, is_of_batch=True))
                except Problem as problem:
                    is_wrong = problem.status in {400, 413, 422}
                    wrong += is_wrong
                    found.append(_WRONG if is_wrong and wrong > DETAILED else problem.body())
        return b'{"answers":[' + b",".join(found) + b"]}"

    async def _take_label(self, raw: bytes, client: str) -> bytes:
        request = bodies.parse(LabelRequest, raw)
        labels, wait_s = self._service.labels, self._settings.delta_timeout_s
        try:
            status = await self._beside.run(partial(labels.take, request, client))
            if status is None:
                async with asyncio.timeout(wait_s if self._settings.delta else None):
                    status = await self._unknown.run(partial(labels.take_unknown, request, client))
        except Unavailable as error:
            raise Problem(503, str(error), (), 2) from error
        except TimeoutError as error:
            words = "send the label again, or user_id, merchant_id and event_time of the transaction with it"
            raise Problem(503, f"the tables did not answer in {wait_s:g} s: {words}", (), 2) from error
        return orjson.dumps({"transaction_id": request.transaction_id, "status": status})

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


def _need_scope(client: Client, path: str, method: str) -> None:
    """Refuse what the caller's key may not be used for; the rest tells of the model alone.

    Raises
    ------
    Problem
        403.
    """
    if path == "/v1/labels":
        client.need(KeyScope.LABEL)
    elif path.startswith("/v1/decisions/"):
        client.need(KeyScope.READ)
    elif path.startswith("/v1/score") or method == "POST":
        client.need(KeyScope.SCORE)
