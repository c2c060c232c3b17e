"""The HTTP side (ASGI): limits, keys, and errors in words, for the endpoints that ``routes`` declares.

No framework stands between: it would cost as much as all else together, and beside one dictionary of the
declared paths it would be a second router.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, Final, NamedTuple

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from fraud.contracts import Transaction
from fraud.decide.list_changes import ListChange
from fraud.errors import BadInput, Unavailable
from fraud.http.access import ANYONE, KEYS_LOOK_S, Keys, KeyScope, RateLimit
from fraud.http.problems import Problem
from fraud.runtime.threads import Watch
from fraud.runtime.traces import carried
from services.scoring import metrics
from services.scoring.api import bodies
from services.scoring.api import kserve as kserve_api
from services.scoring.api.batches import Batches, items_of, read_item
from services.scoring.api.bodies import MOST_RECORD, BodyReader, ClientDisconnected, Receive
from services.scoring.api.calls import JSON, Act, Answered, Call, Headers
from services.scoring.api.openapi import document
from services.scoring.api.request_queue import POOL, RequestQueue
from services.scoring.api.routes import ID, Route, routes_of
from services.scoring.feedback.labels import LabelRequest, label_request_of
from services.scoring.feedback.profiles import profile_request_of
from services.scoring.feedback.results import ResultRequest, result_request_of
from services.scoring.service import Service
from services.scoring.states import INCOMPLETE

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
SIDE_THREADS: Final = 4
"""Threads for all but scores."""
UNKNOWN: Final = 8
"""Labels that may wait for a look into the tables."""
DETAILED: Final = 20
"""Wrong transactions of one batch whose fields are named; the others are said to be wrong."""
_WRONG: Final = Problem(
    422, f"wrong; the fields are named for the first {DETAILED} wrong ones of a batch"
).body()
log = logging.getLogger(__name__)


class Endpoint(NamedTuple):
    """A declaration, and what answers."""

    route: Route
    act: Act


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
        self._traces = service.traces
        self._keys = Keys(settings.keys_file, settings.host)
        self._keys_watch = Watch("keys", self._keys.look, KEYS_LOOK_S)
        self._limit = RateLimit(settings.rate_per_s, settings.rate_burst, unit="transactions")
        self._bodies = BodyReader(settings.max_body_bytes, settings.max_reading_bytes)
        self._queue = RequestQueue(
            settings.max_waiting,
            settings.threads or (0 if service.is_local else POOL),
            together=service.scorer.together,
        )
        # Lookups, labels and probes wait for the store and Kafka: beside the scores, not among them.
        self._side_queue = RequestQueue(settings.max_waiting, SIDE_THREADS)
        self._unknown = RequestQueue(UNKNOWN, 1) if settings.delta else self._side_queue
        """Looks into the tables: one at a time, beside everything else."""
        self._batches = Batches(settings, self._queue, self._limit)
        kserve = kserve_api.Endpoints(
            service,
            partial(self._score, is_of_batch=True),
            bodies=self._bodies,
            batches=self._batches,
            queue=self._queue,
            side_queue=self._side_queue,
        )
        acts: dict[str, Act] = {
            "score": self._score_one,
            "score_batch": self._score_batch,
            "label": self._take_label,
            "result": self._take_result,
            "profile": self._take_profile,
            "decision": self._find_decision,
            "list": self._change_list,
            "health": self._health,
            "ready": self._ready,
            "metrics": self._metrics,
            "openapi": self._document,
            **kserve.acts(),
        }
        routes = routes_of(service.schema, settings.name, settings.max_batch)
        found = [Endpoint(route, acts[route.operation]) for route in routes]
        self._endpoints = {one.route.path: one for one in found if ID not in one.route.path}
        self._prefixes = {one.route.path.removesuffix(ID): one for one in found if ID in one.route.path}
        self._openapi = orjson.dumps(document(routes))

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
        except ClientDisconnected:
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
        metrics.requests_of(name, status).inc()
        if name != "other":
            metrics.seconds_of(name).observe(time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, path: str) -> tuple[str, Headers, bytes]:
        """Find the endpoint; returns its name for the metrics, the headers and the body."""
        headers = dict(scope["headers"])
        found, rest = self._find(path)
        client = ANYONE
        if found is None or not found.route.is_open:
            client = self._keys.client_of(headers.get(b"authorization"))
            self._limit.take(client.name)
        if found is None:
            raise self._no_such_path(path)
        route = found.route
        _check(route, scope["method"], headers)
        if route.scope is not None:
            client.need(route.scope)
        act, call = found.act, Call(headers, receive, client.name, rest)
        if self._traces.is_on and route.scope is KeyScope.SCORE:
            with self._traces.request(route.operation, headers.get(b"traceparent")):
                return route.counted_as or path, *await act(call)
        return route.counted_as or path, *await act(call)

    def _find(self, path: str) -> tuple[Endpoint | None, str]:
        """Find the endpoint of a path, and the id at the path's end, decoded by the server."""
        found = self._endpoints.get(path)
        if found is None:
            for prefix, one in self._prefixes.items():
                if path.startswith(prefix):
                    return one, path.removeprefix(prefix)
        return found, ""

    def _no_such_path(self, path: str) -> Problem:
        shorter = path.rstrip("/")
        hint = f"see /openapi.json; the model is {self._settings.name!r}"
        if shorter in self._endpoints:
            hint = f"without the slash at its end there is {shorter}"
        return Problem(404, f"there is no such path; {hint}")

    async def _score_one(self, call: Call) -> Answered:
        raw = await self._bodies.read(call.headers, call.receive, MOST_RECORD)
        return [JSON], await self._score(partial(self._service.read_transaction, raw))

    async def _score(self, read: Callable[[], Transaction], *, is_of_batch: bool = False) -> bytes:
        """Read and answer one transaction; for Kafka, where the store does not answer, nobody else waits."""
        work = carried(partial(self._score_once, read))
        answer, record = await self._queue.run(work, is_of_batch=is_of_batch)
        return answer or await self._side_queue.run(
            carried(partial(self._service.score_without_store, record))
        )

    def _score_once(self, read: Callable[[], Transaction]) -> tuple[bytes, Transaction]:
        record = read()
        return self._service.score(record), record

    async def _find_decision(self, call: Call) -> Answered:
        find = partial(self._service.find, call.rest)
        return [JSON], await self._side_queue.run(lambda: orjson.dumps(find()))

    async def _health(self, _call: Call) -> Answered:
        return [JSON], b'{"status":"alive"}'

    async def _ready(self, _call: Call) -> Answered:
        self._service.see_that_it_is_ready()
        states = self._service.states
        problem = states.problem or ("" if states.is_complete else INCOMPLETE)
        found = {"status": "degraded", "detail": problem} if problem else {"status": "ready"}
        return [JSON], orjson.dumps(found)

    async def _metrics(self, _call: Call) -> Answered:
        return [(b"content-type", CONTENT_TYPE_LATEST.encode())], generate_latest()

    async def _document(self, _call: Call) -> Answered:
        return [JSON], self._openapi

    async def _score_batch(self, call: Call) -> Answered:
        """Score one after another; each has its own answer or problem, in the order of the request."""
        raw = await self._bodies.read(call.headers, call.receive)
        found: list[bytes] = []
        wrong = 0
        async with self._batches.read(raw, call.client, partial(items_of, "transactions")) as (items, _):
            for item in items:
                try:
                    read = partial(read_item, self._service.read_transaction, item)
                    found.append(await self._score(read, is_of_batch=True))
                except Problem as problem:
                    is_wrong = problem.status in {400, 413, 422}
                    wrong += is_wrong
                    found.append(_WRONG if is_wrong and wrong > DETAILED else problem.body())
        return [JSON], b'{"answers":[' + b",".join(found) + b"]}"

    async def _take_label(self, call: Call) -> Answered:
        return await self._take(call, label_request_of(self._service.schema))

    async def _take_result(self, call: Call) -> Answered:
        return await self._take(call, result_request_of(self._service.schema))

    async def _take(self, call: Call, model: type[LabelRequest] | type[ResultRequest]) -> Answered:
        """Take what is said of an earlier transaction: a label or a result."""
        raw = await self._bodies.read(call.headers, call.receive, MOST_RECORD)
        request = bodies.parse(model, raw)
        labels, wait_s = self._service.labels, self._settings.delta_timeout_s
        try:
            status = await self._side_queue.run(partial(labels.take, request, call.client))
            if status is None:
                async with asyncio.timeout(wait_s if self._settings.delta else None):
                    status = await self._unknown.run(partial(labels.take_unknown, request, call.client))
        except Unavailable as error:
            raise Problem(503, str(error), (), 2) from error
        except TimeoutError as error:
            words = f"send it again, or {self._service.schema.primary_key.name} of the transaction with it"
            raise Problem(
                503, f"timed out after {wait_s:g} s looking in the Delta tables: {words}", (), 2
            ) from error
        return [JSON], orjson.dumps({"transaction_id": request.transaction_id, "status": status})

    async def _take_profile(self, call: Call) -> Answered:
        raw = await self._bodies.read(call.headers, call.receive, MOST_RECORD)
        request = bodies.parse(profile_request_of(self._service.schema), raw)
        try:
            await self._side_queue.run(partial(self._service.profiles.take, request, call.client))
        except Unavailable as error:
            raise Problem(503, str(error), (), 2) from error
        return [JSON], orjson.dumps({"entity": request.entity, "status": "accepted"})

    async def _change_list(self, call: Call) -> Answered:
        raw = await self._bodies.read(call.headers, call.receive, MOST_RECORD)
        change = bodies.parse(ListChange, raw)
        try:
            await self._side_queue.run(partial(self._service.lists.change, change, call.client))
        except BadInput as error:
            raise Problem(422, str(error)) from error
        except Unavailable as error:
            raise Problem(503, str(error), (), 2) from error
        return [JSON], orjson.dumps({"list": change.list, "status": "accepted"})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._service.start()
                self._keys_watch.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                self._keys_watch.stop()
                self._service.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _check(route: Route, method: str, headers: dict[bytes, bytes]) -> None:
    """Refuse what the endpoint does not take: another method, a WebSocket."""
    if method != route.method and not (route.method == "GET" and method == "HEAD"):
        allow = "GET, HEAD" if route.method == "GET" else route.method
        raise Problem(405, f"use {route.method}", allow=allow)
    if headers.get(b"upgrade", b"").lower() == b"websocket":
        raise Problem(400, "WebSockets are not supported; send a plain HTTP request")
