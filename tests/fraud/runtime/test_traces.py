"""The header `traceparent`: what is one, what is none, and to whom it belongs."""

import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.errors import BadConfig
from fraud.runtime.telemetry import JsonLines
from fraud.runtime.traces import (
    NO_TRACES,
    Traces,
    carried,
    carrying,
    headers,
    is_sampled,
    parent,
    span,
    valid_parent,
)
from fraud.settings.traces import TraceSettings

GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        GOOD.upper(),
        GOOD[:-1],
        GOOD + "-more",
        "ff" + GOOD[2:],
        GOOD.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        GOOD.replace("b7ad6b7169203331", "0" * 16),
        GOOD.replace("-01", "-0g"),
        f" {GOOD}",
        f"{GOOD}\n",
        "01" + GOOD[2:] + "-" + "x" * 1_000,
        "\uff10" + GOOD[1:],
    ],
)
def test_what_is_no_header_names_no_trace(text: str) -> None:
    assert valid_parent(text) == ""
    assert valid_parent(text.encode()) == ""


@given(st.one_of(st.text(), st.binary()))
def test_no_header_fails(text: str | bytes) -> None:
    assert valid_parent(text) in {"", text}


def test_a_header_of_a_later_version_is_read_as_one_of_this(tmp_path: object) -> None:  # noqa: ARG001
    assert valid_parent(b"cc" + GOOD.encode()[2:] + b"-what-the-future-brings") == GOOD
    assert is_sampled(GOOD)
    assert not is_sampled(f"{GOOD[:-1]}0")
    assert not is_sampled(None)


def test_a_work_has_the_trace_of_who_asked_for_it_in_another_thread_too() -> None:
    with ThreadPoolExecutor(1) as pool:
        with carrying(GOOD):
            work = carried(parent)
            assert pool.submit(parent).result() == ""
        assert parent() == ""
        assert pool.submit(work).result() == GOOD
        assert pool.submit(parent).result() == "", "it has left nothing behind"
    assert carried(parent) is parent, "without a trace a work stays as it is"


def test_off_nothing_is_read_or_made() -> None:
    with NO_TRACES.request("score", GOOD.encode()), span("fold"):
        assert not NO_TRACES.is_on
    with NO_TRACES.batch("publish", [GOOD]) as batch:
        assert batch.header == ""


def test_handed_on_without_an_sdk_a_header_stays_as_it_came() -> None:
    traces = Traces(TraceSettings(mode="headers"), "test")
    with traces.request("score", GOOD.encode()), span("fold"):
        assert headers() == [("traceparent", GOOD)]
    with traces.request("score", b"junk"):
        assert headers() == []


def test_a_line_of_the_log_names_its_trace() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "said", None, None)
    with carrying(GOOD):
        assert json.loads(JsonLines().format(record))["trace_id"] == GOOD.split("-")[1]
    assert "trace_id" not in json.loads(JsonLines().format(record))


def test_without_the_extra_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.exporter'] = None\n"
        "from fraud.runtime.traces import Traces; from fraud.settings.traces import TraceSettings\n"
        "Traces(TraceSettings(mode='otlp'), 'test')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "BadConfig" in done.stderr
    assert "install the extra otel" in done.stderr


def test_a_word_that_is_no_setting_is_refused() -> None:
    with pytest.raises(BadConfig, match="FRAUD_TRACES_MODE"):
        TraceSettings(mode="on")  # type: ignore[arg-type]
