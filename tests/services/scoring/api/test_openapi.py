"""The document holds: whatever is generated from it gets an answer that it names, and no failure."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fraud.runtime.waiting import wait_until
from tests.services.scoring.api.test_api import Api, Taking
from tests.services.scoring.samples import document

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service behind its HTTP server; Kafka takes everything."""
    api = Api(tmp_path_factory.mktemp("fuzzed"), Taking([]))
    taken = socket.create_server(("127.0.0.1", 0))  # and kept: a free port may be another's a moment later
    server = uvicorn.Server(uvicorn.Config(api.app, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
    thread.start()
    assert wait_until(lambda: server.started or not thread.is_alive(), 60.0)
    assert server.started
    yield f"http://127.0.0.1:{taken.getsockname()[1]}"
    server.should_exit = True
    thread.join(20.0)


def test_the_examples_of_the_document_are_answered_with_200(url: str) -> None:  # before others take its ids
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            body = content.get("application/json", {}).get("example")
            answer = httpx.request(method, url + path.replace("{transaction_id}", "t-0001"), json=body)
            assert answer.status_code == 200, (path, answer.text)


def test_every_call_that_needs_a_scope_says_that_it_may_be_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    digests = {one: hashlib.sha256(one.encode()).hexdigest() for one in ("rules", "label")}
    file.write_text("".join(f"{one}: {{sha256: {sha}, scopes: [{one}]}}\n" for one, sha in digests.items()))
    api = Api(tmp_path, keys_file=file)
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            headers = [{"authorization": f"Bearer {one}"} for one in digests]
            is_refused = 403 in {api.call(method.upper(), path, headers=one).status_code for one in headers}
            assert is_refused == ("403" in operation["responses"]), path
            assert is_refused == ("scope " in operation["summary"]), path


def test_the_example_of_a_label_shows_the_primary_key() -> None:
    content = document()["paths"]["/v1/labels"]["post"]["requestBody"]["content"]
    assert "user_id" in set(content["application/json"]["example"])


@SCHEMA.parametrize()
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_no_input_makes_the_service_fail_and_every_answer_is_in_the_document(
    case: schemathesis.Case, url: str
) -> None:
    case.call_and_validate(base_url=url, checks=CHECKS)
