"""What clients may send: nested, packed, binary, wrong in bulk; each answer is in words."""

import asyncio
import gzip
import json
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.contracts import contracts_of
from fraud.http.access import RateLimit
from fraud.http.problems import Problem
from fraud.schema.reading import default_schema
from services.scoring.records import Decided
from services.scoring.scorer import Scorer
from tests.services.scoring import samples
from tests.services.scoring.api.test_api import Api, new

REQUEST: Any = contracts_of(default_schema()).request
BATCH, PREDICT, INFER = "/v1/score/batch", "/v1/models/fraud:predict", "/v2/models/fraud/infer"
POSTS = ["/v1/score", BATCH, "/v1/labels", PREDICT, INFER]
GETS = [path for path, found in samples.document()["paths"].items() if "get" in found]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    made = Api(tmp_path)
    yield made
    made.service.store.close()


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    made = Api(tmp_path_factory.mktemp("fuzzed"))
    yield made
    made.service.store.close()


def one(**fields: Any) -> dict[str, Any]:
    return {**samples.TRANSACTION, "transaction_id": new(), **fields}


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def tensor(texts: list[bytes]) -> tuple[dict[str, str], bytes]:
    binary = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    described = {"name": "transactions", "datatype": "BYTES", "shape": [len(texts)]}
    described["parameters"] = {"binary_data_size": len(binary)}
    head = json.dumps({"inputs": [described]}).encode()
    return {"inference-header-content-length": str(len(head))}, head + binary


@pytest.mark.parametrize("depth", [100, 253, 254, 260, 500, 1_000, 1_023, 1_100, 20_000])
@pytest.mark.parametrize("path", POSTS)
def test_deep_json_is_refused_in_words(api: Api, path: str, depth: int) -> None:
    for body in (
        nested(depth),
        b'{"transactions":[{"amount":' + nested(depth) + b"}]}",
        b'{"instances":[' + nested(depth) + b"]}",
        b'{"inputs":[{"name":' + nested(depth) + b"}]}",
    ):
        answer = api.call("POST", path, content=body)
        if path == BATCH and answer.status_code == 200:
            assert [found["status"] // 10 for found in answer.json()["answers"]] in ([40], [42])
        else:
            assert 400 <= answer.status_code < 500, answer.text
            assert answer.json()["detail"]


def test_a_body_of_many_arrays_is_refused_before_it_is_built(api: Api) -> None:
    body = b'{"transactions":[' + b",".join([b"[]"] * 300_000) + b"]}"
    answer = api.call("POST", BATCH, content=body)
    assert (answer.status_code, "arrays" in answer.json()["detail"]) == (422, True)


def test_a_batch_of_wrong_transactions_names_the_fields_of_the_first_and_is_answered_whole(api: Api) -> None:
    wrong = [{f"k{at}": 1 for at in range(45)}] * 480
    answers = api.call("POST", BATCH, json={"transactions": [*wrong, one()]}).json()["answers"]
    assert [len(found.get("errors", [])) for found in answers[:22]] == [20] * 20 + [0, 0]
    assert {found["status"] for found in answers[:480]} == {422}
    assert answers[480]["outcome"]


def test_between_the_transactions_of_a_batch_others_are_answered(api: Api) -> None:
    wrong = orjson.dumps({"transactions": [{f"k{at}": 1 for at in range(20)}] * 480})
    order: list[str] = []

    async def ask() -> None:
        transport = httpx.ASGITransport(api.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:

            async def send(name: str, path: str, body: bytes) -> None:
                assert (await http.post(path, content=body)).status_code == 200
                order.append(name)

            batch = asyncio.create_task(send("batch", BATCH, wrong))
            for at in range(8):
                await send(f"single {at}", "/v1/score", orjson.dumps(one()))
            await batch

    api.run(ask())
    assert order[-1] == "batch", order


def test_batches_under_way_take_places_by_their_size(tmp_path: Path) -> None:
    api = Api(tmp_path, max_batch=10, max_waiting=1_000)

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(api.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            body = {"transactions": [one() for _ in range(10)]}
            answers = await asyncio.gather(*(http.post(BATCH, json=body) for _ in range(6)))
            single = await http.post("/v1/score", json=one())
        return [*(answer.status_code for answer in answers), single.status_code]

    statuses = api.run(ask())
    assert sorted(statuses[:6]) == [200, 200, 429, 429, 429, 429]
    assert statuses[6] == 200


def test_a_client_s_limit_counts_the_transactions_of_its_batches(tmp_path: Path) -> None:
    api = Api(tmp_path, rate_per_s=0.001, rate_burst=50)
    for path, body in (
        (BATCH, {"transactions": [one() for _ in range(20)]}),
        (PREDICT, {"instances": [one() for _ in range(20)]}),
        (BATCH, {"transactions": [{} for _ in range(20)]}),
    ):
        assert api.call("POST", path, json=body).status_code == 200
    assert api.score().status_code == 429


def test_the_limiter_forgets_who_has_all_tokens_again() -> None:
    now = [0.0]
    limit = RateLimit(1.0, 3, clock=lambda: now[0])
    for at in range(1_000):
        limit.take(f"client {at}")
    assert len(limit) == 1_000
    now[0] = 10.0
    for _ in range(1_000):
        limit.take("another")
        now[0] += 1.0
    assert len(limit) == 1
    for _ in range(3):
        limit.take("spender")
    with pytest.raises(Problem):
        limit.take("spender")


@pytest.mark.parametrize("path", [*POSTS, *GETS])
def test_another_method_is_answered_405_with_the_one_that_is_allowed(api: Api, path: str) -> None:
    wanted = "POST" if path in POSTS else "GET"
    other = api.call("GET" if path in POSTS else "POST", path)
    assert (other.status_code, other.headers["allow"].split(", ")[0]) == (405, wanted)


@pytest.mark.parametrize("path", ["/v1/score/", "/v1/score/batch/", "/v1/labels/", "/health/", INFER + "/"])
def test_a_slash_at_the_end_is_another_path_and_the_answer_says_which_one_there_is(
    api: Api, path: str
) -> None:
    for method in ("GET", "POST"):
        answer = api.call(method, path, json=one())
        assert (answer.status_code, answer.json()["detail"].endswith(path[:-1])) == (404, True)


@pytest.mark.parametrize("path", POSTS)
def test_a_body_may_be_packed(api: Api, path: str) -> None:
    operation = samples.document()["paths"][path]["post"]
    body = json.dumps(operation["requestBody"]["content"]["application/json"]["example"]).encode()
    plain = api.call("POST", path, content=body)
    packed = api.call("POST", path, content=gzip.compress(body), headers={"content-encoding": "gzip"})
    assert (packed.status_code, packed.content) == (plain.status_code, plain.content)


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", b"{}", 400),
        ("gzip", gzip.compress(b" " * 900, mtime=0)[:-9], 400),
        ("gzip", gzip.compress(b"{}", mtime=0) * 2, 400),
        ("gzip", gzip.compress(b" " * 50_000_000, mtime=0), 413),
        ("br", b"{}", 415),
        ("gzip, gzip", b"{}", 415),
    ],
)
def test_a_body_that_is_packed_wrongly_or_too_large_is_refused(
    api: Api, encoding: str, body: bytes, status: int
) -> None:
    for path in (BATCH, "/v1/score"):
        answer = api.call("POST", path, content=body, headers={"content-encoding": encoding})
        assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)


def test_binary_tensors_are_read_and_written(api: Api) -> None:
    texts = [orjson.dumps(one(channel="süd")) for _ in range(3)]
    headers, body = tensor(texts)
    plain = api.call("POST", INFER, content=body, headers=headers).json()
    decisions = next(found["data"] for found in plain["outputs"] if found["name"] == "decision")

    head = json.loads(body[: int(headers["inference-header-content-length"])])
    head["outputs"] = [
        {"name": "decision", "parameters": {"binary_data": True}},
        {"name": "probability", "parameters": {"binary_data": True}},
        {"name": "outcome"},
    ]
    written = json.dumps(head).encode()
    rest = body[int(headers["inference-header-content-length"]) :]
    headers = {"inference-header-content-length": str(len(written))}
    answer = api.call("POST", INFER, content=written + rest, headers=headers)

    end = int(answer.headers["inference-header-content-length"])
    described = json.loads(answer.content[:end])["outputs"]
    sizes = [found["parameters"]["binary_data_size"] for found in described[:2]]
    assert (len(answer.content), described[2]["data"]) == (end + sum(sizes), ["approve"] * 3) or described[2]
    texts_of, at = [], end
    while at < end + sizes[0]:
        (size,) = struct.unpack_from("<I", answer.content, at)
        texts_of.append(answer.content[at + 4 : at + 4 + size].decode())
        at += 4 + size
    assert texts_of == decisions, "the same requests have the same answers"
    scores = np.frombuffer(answer.content[at:], "<f8")
    assert scores.tolist() == [json.loads(text)["score"] for text in decisions]


@pytest.mark.parametrize(
    "asked",
    [True, 7, 1.5, "outcome", {"name": "outcome"}, ["outcome"], [None], [{}], [{"name": ["outcome"]}]],
)
@pytest.mark.parametrize("others", [{}, {"parameters": {"binary_data_output": True}}], ids=["json", "binary"])
def test_outputs_that_are_no_list_of_names_are_refused(api: Api, asked: Any, others: dict[str, Any]) -> None:
    tensor_ = {"name": "transactions", "datatype": "BYTES", "shape": [1], "data": [json.dumps(one())]}
    answer = api.call("POST", INFER, json={"inputs": [tensor_], "outputs": asked, **others})
    assert (answer.status_code, "names of outcome" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize("length", ["-1", "x", "9" * 30, "99999", "3"])
def test_a_wrong_length_of_the_json_before_a_tensor_is_refused(api: Api, length: str) -> None:
    _, body = tensor([orjson.dumps(one())])
    answer = api.call("POST", INFER, content=body, headers={"inference-header-content-length": length})
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", True),
        ("amount", "1_000"),
        ("amount", "12.5"),
        ("latitude", "52.5"),
        ("latitude", False),
        ("home_longitude", "1e1"),
        ("event_time", 1_772_366_400),
        ("event_time", "1772366400"),
        ("schema_version", "1"),
    ],
)
def test_a_number_is_a_json_number_and_a_time_a_text_on_every_path(api: Api, field: str, value: Any) -> None:
    wrong = one(home_latitude=1.0, home_longitude=2.0) | {field: value}
    assert api.call("POST", "/v1/score", json=wrong).status_code == 422
    assert api.call("POST", BATCH, json={"transactions": [wrong]}).json()["answers"][0]["status"] == 422
    assert api.call("POST", PREDICT, json={"instances": [wrong]}).status_code == 422
    headers, body = tensor([orjson.dumps(wrong)])
    assert api.call("POST", INFER, content=body, headers=headers).status_code == 422


@pytest.mark.parametrize("value", [1, "yes", "true", None])
def test_a_label_is_true_or_false(api: Api, value: Any) -> None:
    label = {**samples.LABEL, "is_fraud": value}
    assert api.call("POST", "/v1/labels", json=label).status_code == 422


def test_a_websocket_is_refused(api: Api) -> None:
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": "x",
        "sec-websocket-version": "13",
    }
    answer = api.call("GET", "/health", headers=headers)
    assert (answer.status_code, "WebSocket" in answer.json()["detail"]) == (400, True)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
RAW = st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode())
DEEP = st.builds(lambda depth, rest: nested(depth)[: rest * depth], st.integers(1, 2_000), st.integers(1, 2))
LIST = st.sampled_from([b'{"transactions":[', b'{"instances":[', b'{"inputs":[{"data":['])
BODY = RAW | DEEP | st.builds(lambda start, rest: start + rest + b"]}", LIST, RAW | DEEP)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "content-encoding": st.sampled_from(["gzip", "br", "identity", "deflate", ""]),
        "inference-header-content-length": st.integers(-9, 300).map(str) | st.just("x"),
        "content-type": st.sampled_from(["application/json", "text/plain", "application/octet-stream"]),
    },
)
METHOD = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])


@settings(max_examples=300)
@given(
    method=METHOD | st.just("POST"),
    path=st.sampled_from([*POSTS, *GETS, "/", "/v1/score/", "/v1/decisions/", "/v2/models/else/infer"]),
    headers=HEADERS,
    body=BODY | BODY.map(gzip.compress),
)
def test_no_bytes_on_any_path_make_the_service_fail(
    fuzzed: Api, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    answer = fuzzed.call(method, path, headers=headers, content=body)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and method != "HEAD":
        assert answer.json()["detail"]


def test_a_record_names_the_store_that_it_was_committed_to_whatever_other_threads_learn(
    api: Api,
) -> None:
    """The store is renewed while one thread decides; another one takes its new name in meanwhile."""
    store = api.service.store
    first = store.identity()
    decides, goes_on = threading.Event(), threading.Event()

    class Paused:
        """A decision that is slow to be written down."""

        def __init__(self, decided: Decided) -> None:
            self.decided = decided

        def __getattr__(self, name: str) -> Any:
            if threading.current_thread().name == "slow" and not decides.is_set():
                decides.set()
                assert goes_on.wait(20.0)
            return getattr(self.decided, name)

    class Slow:
        def decide(self, *given: Any) -> Any:
            return Paused(api.service.decider.decide(*given))

    scorer = Scorer(store, Slow(), 4)  # type: ignore[arg-type]
    request = REQUEST.model_validate_json(orjson.dumps(one()))
    thread = threading.Thread(target=scorer.score, args=(request,), name="slow")
    thread.start()
    assert decides.wait(20.0)
    store.renew(is_whole=False)
    second = store.renew(is_whole=True)
    assert second not in {"", first}
    other = REQUEST.model_validate_json(orjson.dumps(one(user_id="u-2", merchant_id="m-2")))
    scorer.score(other)  # refused once, then it knows the new name
    goes_on.set()
    thread.join(20.0)
    records = [orjson.loads(record) for _, record in store.answers().waiting(9)]
    assert {record["store"] for record in records} == {second}
    assert len(records) == 2
