"""Traces: the W3C header ``traceparent``, handed on, and spans for OpenTelemetry.

Off unless ``FRAUD_TRACES_MODE`` says otherwise: then nothing is read, made or sent. ``headers`` hands on what
comes. ``otlp`` makes spans with OpenTelemetry's SDK, which reads its own variables
(``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_TRACES_SAMPLER``, ...). What is under way is known per task of
asyncio and per thread (a context variable): :func:`span` and :func:`parent` need no argument.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, TypeVar

from fraud.errors import BadConfig
from fraud.settings.traces import TraceSettings

HEADER: Final = "traceparent"
MOST_LINKS: Final = 128
"""Traces that the span of a batch is linked with at most, as OpenTelemetry has it."""
FLUSH_S: Final = 5.0
"""How long spans may take to leave at the end, seconds."""
_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_NO_SPAN: Final[AbstractContextManager[None]] = nullcontext()
T = TypeVar("T")


class Trace:
    """A place in a trace.

    Parameters
    ----------
    header
        Names it to whoever is called from here.
    span
        Of OpenTelemetry; None: nothing is exported.
    tracer
        Makes further spans; None: this trace is not sampled.
    """

    __slots__ = ("header", "span", "tracer")

    def __init__(self, header: str, span: Any = None, tracer: Any = None) -> None:
        self.header, self.span, self.tracer = header, span, tracer


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def parent() -> str:
    """Give the header of what is under way; empty where there is no trace."""
    found = _current.get()
    return found.header if found is not None else ""


def headers() -> list[tuple[str, str | bytes | None]]:
    """Give the headers of a Kafka record that what is under way sends."""
    return headers_of(parent())


def headers_of(known: str | None) -> list[tuple[str, str | bytes | None]]:
    """Give the headers of a Kafka record that belongs to a trace."""
    return [(HEADER, known)] if known else []


def span(name: str) -> AbstractContextManager[object]:
    """Make what is done inside a span of what is under way; nothing where that is not sampled."""
    known = _current.get()
    return _NO_SPAN if known is None or known.tracer is None else _child(known, name)


@contextmanager
def carrying(header: str) -> Iterator[None]:
    """Hand a header on from what is done inside; an empty one changes nothing."""
    with _under_way(Trace(header)) if header else _NO_SPAN:
        yield


def carried(work: Callable[[], T]) -> Callable[[], T]:
    """Take the trace that is under way here to wherever a work is done."""
    known = _current.get()
    return work if known is None else partial(_carry, known, work)


def valid_parent(text: str | bytes | None) -> str:
    """Read a header ``traceparent``; empty where it is none.

    Examples
    --------
    >>> valid_parent(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    >>> valid_parent("00-00000000000000000000000000000000-b7ad6b7169203331-01"), valid_parent(None)
    ('', '')
    """
    if not text or len(text) > 512:
        return ""
    found = _PARENT.fullmatch(text.decode("latin-1") if isinstance(text, bytes) else text)
    if found is None:
        return ""
    version, trace, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or not trace.strip("0") or not span_id.strip("0"):
        return ""
    return f"00-{trace}-{span_id}-{flags}"


def is_sampled(known: str | None) -> bool:
    """Whether whoever began a trace records it; None is no trace."""
    return known is not None and int(known[-2:], 16) & 1 == 1


class Traces:
    """Begins traces, of one program.

    Parameters
    ----------
    settings
        Whether.
    service
        The program's name, unless ``OTEL_SERVICE_NAME`` gives another one.

    Raises
    ------
    BadConfig
        When spans are to be exported, and OpenTelemetry is not installed.
    """

    def __init__(self, settings: TraceSettings, service: str) -> None:
        self.is_on = settings.mode != "off"
        """Whether headers are handed on."""
        self._provider = _provider(service) if settings.mode == "otlp" else None
        self._tracer = self._provider.get_tracer("fraud") if self._provider else None

    @contextmanager
    def request(self, name: str, header: bytes | None) -> Iterator[None]:
        """Make what is done inside a request's span, within the trace that its header names."""
        known = valid_parent(header)
        if self._tracer is not None:
            with _spanning(self._tracer, name, _as_parent(known)):
                yield
        else:
            with carrying(known):
                yield

    @contextmanager
    def batch(self, name: str, parents: Iterable[str] = ()) -> "Iterator[Batch]":
        """Make what is done inside a span of many traces, which it is linked with."""
        if self._tracer is None:
            yield Batch(None)
            return
        with _spanning(self._tracer, name, _as_parent("")) as made:
            found = Batch(made if made.tracer is not None else None, self._tracer)
            found.link(parents)
            yield found

    def close(self) -> None:
        """Send the spans that wait."""
        if self._provider is not None:
            self._provider.force_flush(int(FLUSH_S * 1_000))
            self._provider.shutdown()


class Batch:
    """The span of work for many transactions; without a sampled trace, nothing is noted of it."""

    def __init__(self, trace: Trace | None, tracer: Any = None) -> None:
        self._trace, self._tracer = trace, tracer
        self._links = 0
        self._began_ns = time.time_ns()

    @property
    def header(self) -> str:
        """Names this span to whoever is called for it; empty where there is none."""
        return self._trace.header if self._trace is not None else ""

    def link(self, parents: Iterable[str]) -> None:
        """Link it with the traces of transactions."""
        if self._trace is None:
            return
        for known in parents:
            if self._links >= MOST_LINKS:
                return
            self._trace.span.add_link(_context_of(known))
            self._links += 1

    def note(self, **values: float) -> None:
        """Put figures on it."""
        if self._trace is not None:
            for name, value in values.items():
                self._trace.span.set_attribute(f"fraud.{name}", value)

    def tell(self, name: str, parents: Iterable[str]) -> None:
        """Make a span in each of these traces that lasted as long as this one until now."""
        if self._tracer is None:
            return
        for known in parents:
            links = [_link(self._trace.span.get_span_context())] if self._trace is not None else []
            made = self._tracer.start_span(
                name, context=_as_parent(known), start_time=self._began_ns, links=links
            )
            made.end()


def open_traces(service: str) -> Traces:
    """Begin traces as the environment says.

    Raises
    ------
    BadConfig
        When the setting is wrong, or OpenTelemetry is asked for and not installed.
    """
    return Traces(TraceSettings(), service)


NO_TRACES: Final = Traces(TraceSettings(mode="off"), "")


def _carry(known: Trace, work: Callable[[], T]) -> T:
    with _under_way(known):
        return work()


@contextmanager
def _under_way(trace: Trace) -> Iterator[Trace]:
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)


@contextmanager
def _child(known: Trace, name: str) -> Iterator[Trace]:
    from opentelemetry.trace import set_span_in_context  # noqa: PLC0415  of an extra that few install

    with _spanning(known.tracer, name, set_span_in_context(known.span)) as made:
        yield made


@contextmanager
def _spanning(tracer: Any, name: str, context: Any) -> Iterator[Trace]:
    """Make what is done inside a span; the context has its parent, if it has one."""
    made = tracer.start_span(name, context=context)
    of = made.get_span_context()
    header = f"00-{of.trace_id:032x}-{of.span_id:016x}-{int(of.trace_flags):02x}"
    try:
        with _under_way(Trace(header, made, tracer if made.is_recording() else None)) as trace:
            yield trace
    except Exception as error:
        made.record_exception(error)
        raise
    finally:
        made.end()


def _as_parent(known: str) -> Any:
    """Make OpenTelemetry's context of a header; an empty one begins a trace."""
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.context import Context  # noqa: PLC0415

    if not known:
        return Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(_context_of(known)), Context())


def _context_of(known: str) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415

    _, trace, span_id, flags = known.split("-")
    return SpanContext(
        int(trace, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )


def _link(context: Any) -> Any:
    from opentelemetry.trace import Link  # noqa: PLC0415

    return Link(context)


def _provider(service: str) -> Any:
    """Open OpenTelemetry's SDK, which exports from a thread of its own."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise BadConfig(
            "FRAUD_TRACES_MODE=otlp needs OpenTelemetry: install the extra otel (`uv sync --extra otel`, or "
            "`pip install 'fraud[otel]'`), or set FRAUD_TRACES_MODE=headers"
        ) from error
    named = Resource.create()  # with what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say
    if str(named.attributes["service.name"]).startswith("unknown_service"):
        named = named.merge(Resource({"service.name": service}))
    provider = TracerProvider(resource=named)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
