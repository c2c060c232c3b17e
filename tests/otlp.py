"""A receiver of OpenTelemetry's protocol: a real HTTP server in this process.

It is also a model server that is never ready, and notes by which trace it was asked.
"""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Received:
    """What has arrived."""

    url: str = ""
    spans: list[Any] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    asked: list[str | None] = field(default_factory=list)
    """Headers `traceparent` of requests that were for a model."""

    def named(self, name: str) -> list[Any]:
        """Find spans by their name."""
        return [span for span in self.spans if span.name == name]

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Take a request in."""
        for found in request.resource_spans:
            for one in found.resource.attributes:
                if one.key == "service.name":
                    self.services.add(one.value.string_value)
            for scope in found.scope_spans:
                self.spans += scope.spans


@contextmanager
def receiver() -> Iterator[Received]:
    """Serve until the end of the block."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path != "/v1/traces":
                received.asked.append(self.headers.get("traceparent"))
                self.send_error(503)
                return
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            received.take(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        thread.join(10.0)
        server.server_close()
