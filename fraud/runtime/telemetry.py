"""Logs and metrics of every deployable: one format, one HTTP port with ``/metrics`` and ``/ready``.

What a job that ends has measured reaches Prometheus through :mod:`fraud.watch.figures`.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from socket import SHUT_RDWR
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from fraud.errors import BadConfig
from fraud.runtime import traces
from fraud.settings.log import LoggingSettings

LATENCY_BUCKETS_S: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    1.5,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
"""Upper bounds of the latency histograms, seconds."""
AGE_BUCKETS_S: Final = (
    1.0,
    10.0,
    60.0,
    600.0,
    3600.0,
    6 * 3600.0,
    86_400.0,
    7 * 86_400.0,
    30 * 86_400.0,
)
"""Upper bounds of ages, seconds: to a second, ..., a minute, an hour, a day, a week, a month, beyond."""
EVENT_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86_400.0)
"""Upper bounds of the histograms that begin at a transaction's event time, seconds."""
STORE_BUCKETS_S: Final = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5)
"""Upper bounds of the times of a call of the feature store, seconds."""


MOST_CONNECTIONS: Final = 64
"""Of the port with ``/metrics``, each with its thread; a further one ends the oldest."""
PATIENCE_S: Final = 10.0
"""How long that port waits for the next bytes of a request, or until more of an answer is taken, seconds."""


class _Server(ThreadingMixIn, WSGIServer):
    """Holds no more connections than it may, as anyone who reaches the port may open some."""

    daemon_threads = True
    request_queue_size = 2 * MOST_CONNECTIONS

    def __init__(self, *given: Any) -> None:
        self._lock = threading.Lock()
        self._open: dict[Any, None] = {}
        """Connections, the oldest first."""
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open[request] = None
            if len(self._open) > MOST_CONNECTIONS:
                oldest = next(iter(self._open))
                del self._open[oldest]
                with suppress(OSError):
                    oldest.shutdown(SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that is late, or has left
            super().handle_error(request, client_address)


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Scrapes every few seconds are not worth a line each."""


_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record of a log carries; the rest are fields that its writer has added by ``extra``."""


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON: time (UTC), level, logger, thread, message, `extra`, exception.

    What is logged while a trace is under way has its `trace_id`.
    """

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        found: dict[str, Any] = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        if trace := traces.parent():
            found["trace_id"] = trace.split("-")[1]
        found |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        return json.dumps(found, default=str, ensure_ascii=False)


def configure_logging(settings: LoggingSettings | None = None) -> None:
    """Log to standard error, one line a message, times in UTC; ends the program where a setting is wrong.

    Parameters
    ----------
    settings
        None: read from the environment.
    """
    try:
        settings = settings or LoggingSettings()
    except BadConfig as error:
        sys.exit(f"error: {error}")
    formatter: logging.Formatter = JsonLines()
    if settings.format == "text":
        formatter = logging.Formatter(
            "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
        formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)


def serve_metrics(
    host: str, port: int, is_ready: Callable[[], bool], patience_s: float = PATIENCE_S
) -> WSGIServer:
    """Answer ``GET /metrics`` (Prometheus) and ``GET /ready`` (200 or 503) from a thread of its own.

    Parameters
    ----------
    patience_s
        How long it waits for the next bytes of a client, seconds.

    Raises
    ------
    BadConfig
        When the port is taken.
    """
    metrics = make_wsgi_app()

    def answer(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/ready":
            ready = is_ready()
            start("200 OK" if ready else "503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"ready\n" if ready else b"not ready\n"]
        found: Iterable[bytes] = metrics(environ, start)
        return found

    try:
        handler = type("Handler", (_QuietHandler,), {"timeout": patience_s})
        server = make_server(host, port, answer, _Server, handler)
    except OSError as error:
        raise BadConfig(f"port {port} for metrics cannot be used: {error}; set another one") from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
