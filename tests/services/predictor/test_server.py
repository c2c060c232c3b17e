"""The real model server, over HTTP, with a real registry."""

import socket
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from fraud.errors import BadModel, Unavailable
from fraud.model.client import ModelClient, ModelClientSettings, encode_request
from tests.deployed import FEATURE_NAMES, FEATURES_VERSION

INFER = "/v2/models/fraud/infer"


def as_json(vectors: np.ndarray, **parameters: Any) -> dict[str, Any]:
    data = [None if np.isnan(value) else value for value in vectors.ravel().tolist()]
    tensor = {"name": "features", "shape": list(vectors.shape), "datatype": "FP64", "data": data}
    return {"inputs": [tensor], "parameters": parameters}


def post(server: Any, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(server.url + INFER, json=body, timeout=30.0)


def outputs(answer: httpx.Response) -> dict[str, np.ndarray]:
    assert answer.status_code == 200, answer.text
    return {o["name"]: np.array(o["data"]).reshape(o["shape"]) for o in answer.json()["outputs"]}


@pytest.fixture(scope="module")
def client(server):
    settings = ModelClientSettings(url=server.url, timeout_s=20.0, deadline_s=40.0, max_rows=300)
    with ModelClient(settings) as made:
        yield made


@pytest.mark.parametrize("rows", [0, 1, 64, 65, 1000])
def test_json_binary_and_local_scores_are_the_same(server, client, models, tools, rows):
    vectors = tools.make_vectors(rows)
    expected = models[0].predict(vectors)
    scores = client.score(vectors, reasons_from=0.3)
    np.testing.assert_allclose(scores.probability, expected, rtol=0, atol=1e-12)
    said = outputs(post(server, as_json(vectors, reasons_from=0.3)))
    np.testing.assert_allclose(said["probability"].astype(float), expected, rtol=0, atol=1e-12)
    index, contribution = models[0].reasons(vectors, expected >= 0.3)
    for name, values in (("reason_index", index), ("reason_contribution", contribution)):
        np.testing.assert_allclose(getattr(scores, name), values, rtol=0, atol=1e-12)
        np.testing.assert_allclose(said[name].astype(float), values, rtol=0, atol=1e-12)


def test_reasons_come_only_for_rows_from_the_asked_probability_on(client, tools):
    scores = client.score(tools.make_vectors(400), reasons_from=0.5)
    is_explained = (scores.reason_index >= 0).any(axis=1)
    assert 0 < is_explained.sum() < 400
    assert (is_explained == (scores.probability >= 0.5)).all()


def test_no_reasons_unless_asked_for(server, tools):
    assert set(outputs(post(server, as_json(tools.make_vectors(3))))) == {"probability"}


def test_scores_carry_the_version_the_features_and_the_thresholds_of_one_model(client, models, tools):
    scores = client.score(tools.make_vectors(2))
    assert scores.model_version == "1"
    assert scores.features_version == FEATURES_VERSION
    assert scores.thresholds == models[0].card.thresholds


def test_plain_curl_without_any_header_is_answered(server, tools):
    text = httpx.Request("POST", "http://x", json=as_json(tools.make_vectors(1))).content
    done = subprocess.run(
        ["curl", "-sS", server.url + INFER, "-d", "@-"], input=text, capture_output=True, check=True
    )
    assert b'"probability"' in done.stdout


def test_metadata_describe_the_tensors_and_the_version(server):
    described = server.get("/v2/models/fraud").json()
    assert described["inputs"] == [
        {"name": "features", "datatype": "FP64", "shape": [-1, len(FEATURE_NAMES)]}
    ]
    assert [o["name"] for o in described["outputs"]] == ["probability", "reason_index", "reason_contribution"]
    assert described["versions"] == ["1"]


def changed(**change: Any) -> dict[str, Any]:
    body = as_json(np.zeros((1, len(FEATURE_NAMES))))
    body["inputs"][0].update(change)
    return body


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (changed(shape=[1, 3]), "shape [n, "),
        (changed(shape=[len(FEATURE_NAMES)]), "shape [n, "),
        (changed(shape=[2, len(FEATURE_NAMES)]), "do not fill the shape"),
        (changed(data=["x"] * len(FEATURE_NAMES)), "could not convert"),
        (changed(datatype="FP32"), "got FP32"),
        (changed(name="other"), "'other'"),
        ({"inputs": []}, "got []"),
        (as_json(np.zeros((1, len(FEATURE_NAMES))), reasons_from="much"), "reasons_from must be a number"),
    ],
)
def test_a_wrong_request_is_refused_with_400_and_words(server, body, words):
    answer = post(server, body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def with_input(**change: Any) -> dict[str, Any]:
    """A request of no vectors, which is legal, with something changed."""
    tensor = {"name": "features", "datatype": "FP64", "shape": [0, len(FEATURE_NAMES)], "data": []}
    return {"inputs": [{**tensor, **change}]}


@pytest.mark.parametrize(
    "head",
    [
        with_input(parameters=[1]),
        with_input(parameters={"binary_data_size": "8"}),
        with_input(parameters={"binary_data_size": -8}),
        with_input(parameters={"binary_data_size": 1e3}),
        with_input(shape=[2**63, len(FEATURE_NAMES)]),
        with_input(shape=[2**62, len(FEATURE_NAMES)]),
        with_input(datatype=64),
        with_input(data={}, shape=[1, len(FEATURE_NAMES)]),
        with_input() | {"parameters": [1]},
        with_input() | {"parameters": "reasons_from"},
        with_input() | {"parameters": {"reasons_from": [1]}},
        with_input() | {"id": 7},
        with_input() | {"id": {"a": 1}},
        with_input() | {"outputs": 7},
        with_input() | {"outputs": ["probability"]},
        with_input() | {"outputs": [{"name": ["probability"]}]},
        with_input() | {"outputs": [{"name": "probability", "parameters": 7}]},
        with_input() | {"outputs": [{"name": "probability", "parameters": ["binary_data"]}]},
        with_input() | {"inputs": None},
        with_input() | {"inputs": {"name": "features"}},
        [],
        "inputs",
    ],
    ids=str,
)
def test_a_head_of_the_wrong_types_is_refused_with_400(server: Any, head: Any) -> None:
    """Binary requests are read by our own reader, without the SDK's models."""
    body = orjson.dumps(head)
    for length in (len(body), len(body) + 8):
        headers = {
            "content-type": "application/octet-stream",
            "inference-header-content-length": str(length),
        }
        answer = httpx.post(server.url + INFER, content=body, headers=headers)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]


def test_a_request_of_no_vectors_is_answered(server: Any) -> None:
    body = orjson.dumps(with_input() | {"id": None, "parameters": None, "outputs": None})
    headers = {"content-type": "application/octet-stream"}
    answer = httpx.post(server.url + INFER, content=body, headers=headers)
    assert (answer.status_code, outputs(answer)["probability"].tolist()) == (200, [])


@pytest.mark.parametrize("cut", [0, 8, 20])
def test_a_binary_body_of_the_wrong_length_is_refused_with_400(server, tools, cut):
    body, json_length = encode_request(tools.make_vectors(2), None)
    body = body[:-cut] if cut else body + b"12345678"
    headers = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(json_length),
    }
    answer = httpx.post(server.url + INFER, content=body, headers=headers)
    assert answer.status_code == 400
    assert "bytes" in answer.json()["error"] or "fill" in answer.json()["error"]


def test_the_client_calls_a_refusal_bad_model(client):
    with pytest.raises(BadModel, match="shape"):
        client.score(np.zeros((2, 3)))


def test_nobody_can_unload_the_model_by_request(server, client, tools):
    answer = httpx.post(server.url + "/v2/repository/models/fraud/unload")
    assert answer.status_code == 501
    assert len(client.score(tools.make_vectors(1)).probability) == 1


def test_rows_and_explained_rows_are_counted(server, client, tools):
    names = (
        "fraud_predictor_rows_total",
        "fraud_predictor_reason_rows_total",
        "fraud_predictor_request_seconds_count",
    )
    before = [server.metric(name) for name in names]
    scores = client.score(tools.make_vectors(123), reasons_from=0.5)
    after = [server.metric(name) for name in names]
    assert [new - old for new, old in zip(after, before, strict=True)] == [
        123,
        (scores.probability >= 0.5).sum(),
        1,
    ]


def test_a_model_of_another_feature_table_is_refused_and_the_old_one_stays(server, client, registry, tools):
    before = server.metric("fraud_predictor_refused_models_total")
    registry.register(tools.make_model(3, features_version="other"))
    tools.wait_until(
        lambda: server.metric("fraud_predictor_refused_models_total") == before + 1, "the refusal is counted"
    )
    assert client.score(tools.make_vectors(1)).model_version == "1"
    assert server.is_ready()
    assert "trained with features other" in server.log.read_text()


def test_a_moved_alias_swaps_the_model_without_dropping_a_request(server, client, registry, models, tools):
    vectors = tools.make_vectors(100)
    expected = {"1": models[0].predict(vectors)}
    answers: list[Any] = []
    is_done = threading.Event()

    def ask() -> None:
        while not is_done.is_set():
            answers.append(client.score(vectors))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        version = registry.register(models[1])
        expected[version] = models[1].predict(vectors)
        tools.wait_until(lambda: server.is_serving(version), "the new version is served")
        answered = len(answers)
        tools.wait_until(lambda: len(answers) > answered + 4, "requests after the swap are answered")
    finally:
        is_done.set()
        for thread in threads:
            thread.join()
    assert {scores.model_version for scores in answers} == set(expected)
    for scores in answers:
        np.testing.assert_allclose(scores.probability, expected[scores.model_version], rtol=0, atol=1e-12)
    labels = f'{{features_version="{FEATURES_VERSION}",model="fraud",version="{version}"}}'
    assert server.metric("fraud_predictor_model_info" + labels) == 1
    assert server.get("/metrics").text.count("fraud_predictor_model_info{") == 1


def test_it_lives_without_a_model_becomes_ready_with_one_and_its_death_is_unavailable(
    tmp_path: Path, tools: SimpleNamespace
):
    registry = tools.Registry(f"sqlite:///{tmp_path / 'mlflow.db'}")
    registry.create()  # empty: two processes cannot create one file's tables at once
    with tools.run_server(registry.uri, tmp_path) as server:
        tools.wait_until(server.is_up, "the server is up")
        assert server.get("/v2/health/ready").status_code == 503
        assert server.get("/v2/models/fraud/ready").status_code == 503
        assert not ModelClient(ModelClientSettings(url=server.url)).is_ready()
        model = tools.make_model(4)
        registry.register(model)
        vectors = tools.make_vectors(7)
        settings = ModelClientSettings(
            url=server.url, deadline_s=2.0, breaker_failures=2, breaker_cooldown_s=60.0
        )
        tools.wait_until(server.is_ready, "the server is ready")
        with ModelClient(settings) as client:
            assert client.is_ready()
            np.testing.assert_allclose(client.score(vectors).probability, model.predict(vectors), atol=1e-12)
            server.kill()
            assert not client.is_ready()
            for _ in range(2):
                with pytest.raises(Unavailable):
                    client.score(vectors)
            assert client.breaker.state == "open"


def test_the_server_bounds_what_clients_hold(
    registry: Any, models: Any, tools: SimpleNamespace, tmp_path: Path
) -> None:
    """Half bodies, long heads and large bodies are ended with the right status; others are served."""
    registry.register(models[0])
    with tools.run_server(registry.uri, tmp_path, head_s="1", body_s="1", max_body_bytes="200000") as bounded:
        tools.wait_until(bounded.is_ready, "the server is ready")
        head = b"POST /v2/models/fraud/infer HTTP/1.1\r\nhost: x\r\n"
        for sent, status in (
            (head + b"content-length: 10\r\n\r\n12345", 408),
            (head, 408),
            (head + b"x: " + b"x" * 40_000 + b"\r\n\r\n", 431),
            (head + b"content-length: 900000\r\n\r\n" + b" " * 300_000, 413),
        ):
            port = int(bounded.url.rsplit(":", 1)[1])
            with socket.create_connection(("127.0.0.1", port), 20.0) as client:
                client.sendall(sent)
                answered = client.recv(1_000)
            assert answered.startswith(f"HTTP/1.1 {status} ".encode()), answered
        assert bounded.is_ready()


@pytest.mark.parametrize("depth", [100, 260, 1_000, 20_000])
def test_deep_json_is_refused_in_words(server: Any, depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    data = b'{"inputs":[{"name":"features","datatype":"FP64","shape":[1,%d],"data":' % len(FEATURE_NAMES)
    for path, body in (
        (INFER, nested),
        (INFER, b'{"inputs":' + nested + b"}"),
        (INFER, data + nested + b"}]}"),
        (INFER, b'{"inputs":[],"parameters":{"reasons_from":' + nested + b"}}"),
        ("/v1/models/fraud:predict", b'{"instances":' + nested + b"}"),
    ):
        answer = httpx.post(server.url + path, content=body, timeout=30.0)
        assert 400 <= answer.status_code < 500, answer.text
