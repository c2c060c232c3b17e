"""The pages (FastAPI): ``/``, ``/cases/{transaction_id}``, ``/model``, ``/experiment``, ``/login``.

``/rules`` and ``/lists`` stand in ``rule_pages`` and ``list_pages``.

``GET /events`` streams what is new (server-sent events), ``POST /cases/{transaction_id}/label`` writes a
label; ``/health``, ``/ready`` and ``/metrics`` need no session. Every page works without a script, too.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import StreamingResponse

from fraud.contracts import Decision
from fraud.decide.live_lists import LiveLists
from fraud.errors import BadRecord, Unavailable
from fraud.http.access import Client, KeyScope
from fraud.kafka.producer import Producer, ProducerSettings
from fraud.model.overview import Registry
from fraud.runtime.threads import ended_threads
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from services.console import metrics, views
from services.console.archive import ConsoleArchive
from services.console.door import AccessControl, form_of
from services.console.ended import EndedSessions
from services.console.labels import Labels
from services.console.list_pages import ListPages
from services.console.live import Follower, Live
from services.console.rule_pages import Route, RulePages
from services.console.sessions import COOKIE, Session
from services.console.settings import ConsoleSettings

HERE: Final = Path(__file__).parent
SHOWN: Final = 60
"""Alerts on the first page."""
EVENT_S: Final = 0.5
MOST_DIGITS: Final = 18
"""Of the number of an event."""
_HEADERS: Final = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


class Text(Convertor[str]):
    """An id in a path, of any characters: slashes, dots and line breaks too."""

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        """Take it as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Give it as it is."""
        return value


register_url_convertor("text", Text())


class Console:
    """All parts of the console, wired; ``app`` is the ASGI application.

    Parameters
    ----------
    settings
        Of the console.
    registry
        Of models; without one, the registry that the settings name.
    schema
        Of the transactions; by default the deployment's.

    Raises
    ------
    BadConfig
        When it could be reached from outside without keys.
    """

    def __init__(
        self,
        settings: ConsoleSettings,
        registry: Registry | None = None,
        schema: Schema | None = None,
    ) -> None:
        self.settings, self.schema = settings, schema or deployed_schema()
        self.door = AccessControl(settings)
        self.sessions = self.door.sessions
        self.live = Live(settings.kept)
        self.follower = Follower(settings, self.live, self.schema)
        self.archive = ConsoleArchive(settings.delta, settings.delta_options, self.schema)
        self.registry = registry or Registry(settings.mlflow_uri, settings.model_name)
        kafka = ProducerSettings(
            bootstrap=settings.kafka_bootstrap,
            options=settings.kafka_options,
            delivery_timeout_s=settings.kafka_timeout_s,
        )
        producer = Producer(kafka)
        self.labels = Labels(producer, self.live, self.schema)
        lists = LiveLists(producer, settings.kafka_bootstrap, settings.kafka_options)
        self.list_pages = ListPages(self.door, lists, self._page, self.schema)
        self.ended = EndedSessions(settings, self.sessions, producer) if settings.session_secret else None
        """The logouts of all replicas; None: no other process reads this one's sessions."""
        self.rule_pages = RulePages(settings, self.door, lists, self._page, self.schema)
        self._readers: Counter[str] = Counter()
        """Pages that follow live, by session."""
        self.templates = Jinja2Templates(HERE / "templates")
        views.add_filters(self.templates.env)
        self.app = FastAPI(title="fraud console", openapi_url=None, lifespan=self._live)
        self.app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
        self.app.middleware("http")(self._guard)
        routes: tuple[Route, ...] = (
            ("/", self.alerts, "GET"),
            ("/cases/{transaction_id:text}", self.case, "GET"),
            ("/cases/{transaction_id:text}/label", self.judge, "POST"),
            ("/model", self.model, "GET"),
            ("/experiment", self.experiment, "GET"),
            ("/events", self.events, "GET"),
            ("/login", self.login, "GET"),
            ("/login", self.enter, "POST"),
            ("/logout", self.leave, "POST"),
            ("/health", self.health, "GET"),
            ("/ready", self.ready, "GET"),
            ("/metrics", self.metrics, "GET"),
            *self.rule_pages.routes(),
            *self.list_pages.routes(),
        )
        for path, act, method in routes:
            self.app.add_api_route(path, act, methods=[method], response_model=None)

    @asynccontextmanager
    async def _live(self, _app: FastAPI) -> AsyncIterator[None]:
        parts: list[AccessControl | Follower | ListPages | RulePages | EndedSessions] = [
            self.door,
            self.follower,
            self.list_pages,
            self.rule_pages,
        ]
        if self.ended is not None:
            parts.append(self.ended)
        for part in parts:
            part.start()
        yield
        for part in parts:
            part.stop()

    async def _guard(self, request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        """Let in who has a session; count; say no to pages of others that send forms here."""
        started, path = time.perf_counter(), request.url.path
        answer = self.door.admit(request) or await go_on(request)
        begun: Session | None = request.state.begun
        if begun is not None and COOKIE not in answer.headers.get("set-cookie", ""):
            self.door.give(answer, begun)
        answer.headers.update(_HEADERS)
        if path.startswith("/static/"):
            answer.headers["cache-control"] = "max-age=300"
        route = request.scope.get("route")
        name = getattr(route, "path", "other")
        metrics.REQUESTS.labels(name, answer.status_code).inc()
        metrics.SECONDS.labels(name).observe(time.perf_counter() - started)
        return answer

    async def alerts(self, request: Request) -> Response:
        """Show the alerts, the newest first."""
        number = self.live.number  # before the rows are read: none may fall between them and what follows
        shows_all = request.query_params.get("show") == "all"
        found = self.live.alerts() if shows_all else self.live.open_alerts()
        queue = request.query_params.get("queue", "")
        queues = Counter(one.queue for one in found if one.queue)
        found = _of_queue(found, queue)
        context = {
            "queue": queue,
            "queues": sorted({**queues, **({queue: len(found)} if queue else {})}.items()),
            "number": number,
            "rows": [views.row(one, self.live, self.schema) for one in found[:SHOWN]],
            "total": len(found),
            "shows_all": shows_all,
            "recent": [views.row(one, self.live, self.schema) for one in self.live.recent(14)],
            **views.pulse(self.live),
        }
        return self._page(request, "alerts.html", context)

    async def case(self, request: Request, transaction_id: str) -> Response:
        """Show one case with its user's history."""
        decision, trouble, status = await self._find(transaction_id)
        if decision is None:
            words = trouble or (
                "It is neither among the newest decisions nor in the archive. A new decision reaches "
                "the archive within seconds."
            )
            return self._page(request, "missing.html", {"id": transaction_id, "words": words}, status)
        try:
            history = await run_in_threadpool(
                self.archive.history,
                self.schema.primary_of(decision),
                decision.event_time,
                self.settings.history_days,
                transaction_id,
            )
        except Unavailable as error:
            history, trouble = [], str(error)
        context = views.case(decision, history, self.live, trouble, self.schema)
        context["offered"] = self.list_pages.offered(request, decision, context["here"])
        return self._page(request, "case.html", context)

    async def judge(self, request: Request, transaction_id: str) -> Response:
        """Write a label, then show the next open alert."""
        form = await form_of(request)
        session: Session = request.state.session
        if refused := self._refuse_label(session, form):
            return self._page(request, "error.html", {"words": refused[0]}, refused[1])
        decision, trouble, status = await self._find(transaction_id)
        if decision is None:
            words = trouble or "There is no such transaction any more."
            return self._page(request, "error.html", {"words": words}, status)
        is_fraud = form["label"] == "fraud"
        try:
            await run_in_threadpool(self.labels.give, decision, session.client, is_fraud=is_fraud)
        except Unavailable as error:
            return self._page(request, "error.html", {"words": f"{error}."}, 503)
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"label": form["label"], "open": len(self.live.open_alerts())})
        return RedirectResponse(f"/cases/{quote(transaction_id, safe='')}", 303)

    async def model(self, request: Request) -> Response:
        """Show the served model, its scores, and drift."""
        troubles = []
        try:
            versions = await run_in_threadpool(self.registry.versions)
        except Unavailable as error:
            versions = []
            troubles.append(str(error))
        figures: dict[str, Any] = {}
        for job in ("drift", "performance", "parity"):
            try:
                figures[job] = await run_in_threadpool(self.archive.figures, job)
            except Unavailable as error:
                figures[job] = []
                troubles.append(str(error))
        return self._page(request, "model.html", views.model(versions, figures, self.live, troubles))

    async def experiment(self, request: Request) -> Response:
        """Show how the experiment stands."""
        context = views.experiment(self.settings.experiment_file, self.settings.experiment_state)
        return self._page(request, "experiment.html", context)

    async def events(self, request: Request) -> Response:
        """Stream what is new: ``alert`` (a row), ``pulse`` (figures and chart)."""
        session: Session = request.state.session
        queue = request.query_params.get("queue", "")
        # Where the page that asks, or the browser that connects again, has got to.
        come = request.headers.get("last-event-id") or request.query_params.get("after", "")
        is_number = come.isascii() and come.isdigit() and len(come) <= MOST_DIGITS
        seen = min(int(come), self.live.number) if is_number else self.live.number
        if refused := self._refuse_reader(session):
            return refused

        async def stream() -> AsyncIterator[str]:
            nonlocal seen
            metrics.VIEWERS.inc()
            self._readers[session.nonce] += 1
            beat = 0
            try:
                while not self.follower.is_stopping and self.sessions.is_on(session):
                    if await request.is_disconnected():
                        break
                    number = self.live.number
                    fresh = self.live.alerts(after=seen) if number > seen else []
                    seen = number
                    for decision in reversed(_of_queue(fresh, queue)[:SHOWN]):
                        row = self._render("row.html", row=views.row(decision, self.live, self.schema))
                        yield _event("alert", {"id": decision.transaction_id, "html": row}, seen)
                    if beat % 2 == 0:
                        html = self._render("pulse.html", **views.pulse(self.live))
                        recent = [views.row(one, self.live, self.schema) for one in self.live.recent(14)]
                        ticker = self._render("ticker.html", recent=recent)
                        count = len(self.live.open_alerts())
                        yield _event("pulse", {"html": html, "ticker": ticker, "open": count}, seen)
                    beat += 1
                    await asyncio.sleep(EVENT_S)
            finally:
                metrics.VIEWERS.dec()
                self._readers[session.nonce] -= 1
                self._readers += Counter()  # drops those without any

        return StreamingResponse(stream(), media_type="text/event-stream")

    def _refuse_reader(self, session: Session) -> Response | None:
        """Refuse one more page that follows live; None where it may."""
        if self._readers[session.nonce] >= self.settings.max_readers_of_one:
            words, status = "Too many pages of this session are open. Close one.", 429
        elif self._readers.total() >= self.settings.max_readers:
            words, status = "Too many pages are open. Try again later.", 503
        else:
            return None
        return PlainTextResponse(words, status, {"retry-after": "30"})

    async def login(self, request: Request) -> Response:
        """Ask for the API key."""
        if request.state.session is not None:
            return RedirectResponse("/", 303)
        return self._page(request, "login.html", {"words": ""})

    async def enter(self, request: Request) -> Response:
        """Begin a session."""
        form = await form_of(request)
        client = self.door.enter(request, form.get("key", ""))
        if not isinstance(client, Client):
            words, status = client
            return self._page(request, "login.html", {"words": words}, status)
        answer = RedirectResponse("/", 303)
        self.door.give(answer, self.sessions.begin(client))
        self.door.mark(answer, client)
        return answer

    async def leave(self, request: Request) -> Response:
        """End the session."""
        form = await form_of(request)
        session: Session = request.state.session
        if not self.sessions.is_token(session, form.get("token", "")):
            return self._page(request, "error.html", {"words": "This form is too old."}, 403)
        self.sessions.end(session.nonce, session.until_s)
        if self.ended:
            await run_in_threadpool(self.ended.publish, session)
        return self.door.leave()

    async def health(self) -> Response:
        """Say that it lives."""
        return JSONResponse({"status": "alive"})

    async def ready(self) -> Response:
        """Say whether it follows Kafka."""
        trouble = self.live.trouble or (self.ended.trouble if self.ended else "")
        trouble = trouble or ", ".join(f"the thread {name} has ended" for name in ended_threads())
        return JSONResponse({"status": trouble or "ready"}, 503 if trouble else 200)

    async def metrics(self) -> Response:
        """Give the figures."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    def _refuse_label(self, session: Session, form: dict[str, str]) -> tuple[str, int] | None:
        """Say why a label is not taken, and the status; None where it is."""
        if not self.sessions.is_token(session, form.get("token", "")):
            return "This form is too old. Load the page again.", 403
        if not self.door.may(session, KeyScope.LABEL):
            return "Your API key lacks the scope `label`; add it in the keys file.", 403
        if form.get("label") not in {"fraud", "honest"}:
            return "A label is fraud or honest.", 422
        return None

    async def _find(self, transaction_id: str) -> tuple[Decision | None, str, int]:
        """Find a decision; where there is none, with words why, if it is more than that, and the status."""
        found = self.live.find(transaction_id)
        if found is not None:
            return found, "", 200
        try:
            found = await run_in_threadpool(self.archive.find, transaction_id)
        except Unavailable as error:
            return None, str(error), 503
        except BadRecord as error:
            words = f"The archive's row of this transaction is not a decision that can be shown: {error}."
            return None, words, 404
        return found, "", 200 if found else 404

    def _page(self, request: Request, name: str, context: dict[str, Any], status: int = 200) -> HTMLResponse:
        session: Session | None = request.state.session
        shared = {
            "token": self.sessions.token(session) if session else "",
            "client": session.client if session else "",
            "is_guarded": not self.door.keys.is_open,
            "trouble": self.live.trouble,
            "open_count": len(self.live.open_alerts()),
            "number": self.live.number,
            "path": request.url.path,
        }
        return self.templates.TemplateResponse(request, name, {**shared, **context}, status_code=status)

    def _render(self, name: str, **context: Any) -> str:
        return self.templates.get_template(name).render(**context)


def _event(kind: str, content: dict[str, Any], number: int) -> str:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(content)}\n\n"


def _of_queue(alerts: list[Decision], queue: str) -> list[Decision]:
    """Take the alerts that rules sent to a queue; all, where none is chosen."""
    return [one for one in alerts if one.queue == queue] if queue else alerts
