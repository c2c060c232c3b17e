"""Settings of traces, the same for every program (``FRAUD_TRACES_MODE``)."""

from typing import Literal

from pydantic_settings import SettingsConfigDict

from fraud.settings.base import Settings


class TraceSettings(Settings):
    """Whether a transaction's trace is followed."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_TRACES_", frozen=True, extra="forbid")

    mode: Literal["off", "headers", "otlp"] = "off"
    """``headers``: hand on the ``traceparent`` (W3C) that a request or a Kafka record brings; ``otlp``: begin
    traces too, and export spans as OpenTelemetry's variables ``OTEL_*`` say (needs the extra ``otel``)."""
