"""The log of every program: one format, one line a message, no id in it."""

import ast
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fraud.runtime.telemetry import MOST_CONNECTIONS, serve_metrics
from tests.edges import parsed

ROOT = Path(__file__).parents[3]
PROGRAM = """
import logging
from fraud.runtime.telemetry import configure_logging
configure_logging()
log = logging.getLogger("jobs.trial")
log.debug("unseen")
log.info("café %d", 7, extra={"transaction": "a1b2"})
try:
    raise ValueError("first\\nsecond")
except ValueError:
    log.exception("failed")
"""
IDS = {"transaction_id", "user_id", "merchant_id", "device_id"}
WRITERS = {"debug", "info", "warning", "error", "exception", "critical"}


def run(**given: str) -> subprocess.CompletedProcess[str]:
    cleared = {name: value for name, value in os.environ.items() if not name.startswith("FRAUD_")}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**cleared, **given},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_without_a_setting_a_line_is_for_people() -> None:
    first, second, *_ = run().stderr.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO jobs\.trial café 7", first)
    assert second.endswith("ERROR jobs.trial failed")


def test_as_json_every_message_is_one_object_on_one_line() -> None:
    found = [json.loads(line) for line in run(FRAUD_LOG_FORMAT="json").stderr.splitlines()]
    assert [(one["level"], one["logger"], one["message"]) for one in found] == [
        ("INFO", "jobs.trial", "café 7"),
        ("ERROR", "jobs.trial", "failed"),
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found[0]["time"])
    assert found[0]["transaction"] == "a1b2"
    assert "exception" not in found[0]
    assert found[1]["exception"].endswith("ValueError: first\nsecond")


def test_the_level_is_a_setting() -> None:
    assert "unseen" in run(FRAUD_LOG_LEVEL="DEBUG").stderr
    assert run(FRAUD_LOG_LEVEL="ERROR").stderr.splitlines()[0].endswith("failed")


@pytest.mark.parametrize(("name", "value"), [("FRAUD_LOG_FORMAT", "xml"), ("FRAUD_LOG_LEVEL", "loud")])
def test_a_wrong_setting_ends_the_program_with_one_line_that_names_it(name: str, value: str) -> None:
    done = run(**{name: value})
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert name in line


def files() -> list[Path]:
    return [
        file for folder in ("fraud", "jobs", "services") for file in sorted((ROOT / folder).rglob("*.py"))
    ]


def test_no_program_sets_up_a_log_of_its_own() -> None:
    found = [file.relative_to(ROOT).as_posix() for file in files() if "basicConfig(" in file.read_text()]
    assert found == ["fraud/runtime/telemetry.py"]


def bare_ids(tree: ast.AST) -> Iterator[str]:
    """Ids that a line of the log is given as they are, and not masked."""
    for node in ast.walk(tree):
        is_call = (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITERS
        )
        if is_call and ast.unparse(node.func.value).rpartition(".")[2] in {"log", "_log"}:  # type: ignore[attr-defined]
            masked = {
                id(inner)
                for one in ast.walk(node)
                if isinstance(one, ast.Call) and ast.unparse(one.func).endswith("_mask")
                for inner in ast.walk(one)
            }
            for one in ast.walk(node):
                name: Any = (
                    getattr(one, "attr", None) or getattr(one, "id", None) or getattr(one, "value", None)
                )
                if isinstance(name, str) and name in IDS and id(one) not in masked:
                    yield f"line {node.lineno}: {name}"


def test_no_id_stands_in_a_log_unmasked() -> None:
    found = {file.relative_to(ROOT).as_posix(): list(bare_ids(parsed(file))) for file in files()}
    assert {file: ids for file, ids in found.items() if ids} == {}


@pytest.mark.parametrize(
    "text",
    [
        "log.info('of %s', record.user_id)",
        "_log.error(f'{record.transaction_id} is refused')",
        "self.log.info(row['user_id'])",
    ],
)
def test_a_bare_id_in_a_log_is_found(text: str) -> None:
    assert list(bare_ids(ast.parse(text)))


def test_a_masked_id_is_allowed() -> None:
    assert list(bare_ids(ast.parse("log.info('of %s', self._mask(record.user_id))"))) == []


@pytest.fixture
def port() -> Iterator[int]:
    server = serve_metrics("127.0.0.1", 0, lambda: True, patience_s=0.5)
    yield server.server_port
    server.shutdown()
    server.server_close()


def answered(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10.0) as client:
        client.sendall(b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n")
        return b"".join(iter(lambda: client.recv(4_096), b""))


def test_the_port_with_the_metrics_holds_few_connections_and_answers_beside_them(port: int) -> None:
    before = threading.active_count()
    with ExitStack() as held:
        for _ in range(3 * MOST_CONNECTIONS):
            silent = held.enter_context(socket.create_connection(("127.0.0.1", port), 10.0))
            silent.sendall(b"GET /metrics HTTP/1.1\r\nx: ")
            assert threading.active_count() - before <= MOST_CONNECTIONS + 5
        assert answered(port).endswith(b"ready\n")


def test_a_client_that_sends_half_a_request_to_the_metrics_is_ended(port: int) -> None:
    for sent in (b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nhost: x\r\n"):
        with socket.create_connection(("127.0.0.1", port), 10.0) as client:
            client.sendall(sent)
            assert client.recv(1) == b"", "closed, and not open for ever"
