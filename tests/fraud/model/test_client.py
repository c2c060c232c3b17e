"""Laws of the scoring client, against a scripted network and a clock that the test moves."""

import json
from collections.abc import Callable, Iterator

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.errors import BadModel, Unavailable
from fraud.model.client import JSON_LENGTH, ModelClient, ModelClientSettings

FEATURES = 4
Answer = Callable[[httpx.Request], httpx.Response]


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def read_vectors(request: httpx.Request) -> np.ndarray:
    content = request.read()
    length = int(request.headers[JSON_LENGTH])
    tensor = json.loads(content[:length])["inputs"][0]
    assert tensor["parameters"]["binary_data_size"] == len(content) - length
    return np.frombuffer(content[length:], "<f8").reshape(tensor["shape"])


def serve(request: httpx.Request, version: str = "1", features_version: str = "f1") -> httpx.Response:
    """Answer like the model server; the probability is the first feature."""
    values = np.ascontiguousarray(read_vectors(request)[:, 0])
    raw = values.tobytes()
    tensor = {"name": "probability", "datatype": "FP64", "shape": [len(values)]}
    head = json.dumps(
        {
            "outputs": [{**tensor, "parameters": {"binary_data_size": len(raw)}}],
            "parameters": {
                "model_version": version,
                "features_version": features_version,
                "review_threshold": 0.2,
                "decline_threshold": 0.8,
            },
        }
    ).encode()
    return httpx.Response(200, content=head + raw, headers={JSON_LENGTH: str(len(head))})


def away(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def make_client(
    answer: Answer, time: Time | None = None, draw: float = 1.0, **settings: float
) -> ModelClient:
    time = time or Time()
    return ModelClient(
        ModelClientSettings(**settings),
        features_version="f1",
        transport=httpx.MockTransport(answer),
        clock=time.clock,
        sleep=time.sleep,
        draw=lambda: draw,
    )


def in_turn(*answers: Answer) -> tuple[Answer, list[httpx.Request]]:
    """Answer each request with the next one; the last one stays."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answers[min(len(seen), len(answers)) - 1](request)

    return answer, seen


def status(code: int) -> Answer:
    return lambda _: httpx.Response(code, text="some words")


VECTORS = np.array([[0.1, np.nan, np.inf, -0.0], [0.9, 1e-300, 1.0, 2.0]])


@given(st.integers(0, 40), st.integers(1, 15))
def test_rows_come_back_in_their_order_whatever_the_size_of_a_request(rows, max_rows):
    vectors = np.random.default_rng(rows).random((rows, FEATURES))
    answer, seen = in_turn(serve)
    scores = make_client(answer, max_rows=max_rows).score(vectors)
    np.testing.assert_array_equal(scores.probability, vectors[:, 0])
    assert scores.reason_index.shape == scores.reason_contribution.shape == (rows, 3)
    assert len(seen) == max(-(-rows // max_rows), 1)


def test_vectors_arrive_bit_for_bit():
    answer, seen = in_turn(serve)
    make_client(answer).score(VECTORS)
    assert read_vectors(seen[0]).tobytes() == VECTORS.tobytes()


@pytest.mark.parametrize("failure", [away, status(503), status(429), status(500)])
def test_what_may_pass_is_retried(failure):
    time = Time()
    answer, seen = in_turn(failure, failure, serve)
    assert len(make_client(answer, time, backoff_s=0.1).score(VECTORS).probability) == 2
    assert len(seen) == 3
    assert time.waits == [0.1, 0.2]


@given(st.floats(0.0, 0.999), st.integers(0, 8), st.floats(0.5, 20.0))
def test_retries_and_waits_are_bounded(draw, retries, deadline_s):
    time = Time()
    answer, seen = in_turn(away)
    client = make_client(
        answer, time, draw, retries=retries, deadline_s=deadline_s, backoff_max_s=1.0, breaker_failures=1000
    )
    with pytest.raises(Unavailable, match="in time"):
        client.score(VECTORS)
    assert len(seen) <= retries + 1
    assert time.now < deadline_s
    ceilings = [min(0.05 * 2**retry, 1.0) for retry in range(retries)]
    assert all(wait == draw * ceiling for wait, ceiling in zip(time.waits, ceilings, strict=False))


@pytest.mark.parametrize("code", [400, 404, 422])
def test_a_refusal_is_bad_model_and_not_retried(code):
    answer, seen = in_turn(status(code))
    with pytest.raises(BadModel, match="some words"):
        make_client(answer).score(VECTORS)
    assert len(seen) == 1


def test_another_feature_table_is_bad_model():
    with pytest.raises(BadModel, match="f2"):
        make_client(lambda request: serve(request, features_version="f2")).score(VECTORS)


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: httpx.Response(200, text="hello"),
        lambda _: httpx.Response(200, json={"outputs": []}),
        lambda request: (
            serve(httpx.Request("POST", "/", content=b"", headers={JSON_LENGTH: "0"}))
            if not request
            else httpx.Response(200, json=[])
        ),
    ],
)
def test_an_answer_of_something_else_is_bad_model(answer):
    with pytest.raises(BadModel, match="cannot be read"):
        make_client(answer).score(VECTORS)


def test_one_answer_never_mixes_two_model_versions():
    old = [lambda request: serve(request, "1")] * 2
    answer, seen = in_turn(*old, lambda request: serve(request, "2"))
    scores = make_client(answer, max_rows=1).score(np.random.default_rng(0).random((3, FEATURES)))
    assert scores.model_version == "2"
    assert len(scores.probability) == 3
    assert len(seen) == 6


def test_a_model_that_changes_without_end_is_unavailable():
    versions = iter(range(1000))
    client = make_client(lambda request: serve(request, str(next(versions))), max_rows=1)
    with pytest.raises(Unavailable, match="changed its model"):
        client.score(VECTORS)


def test_an_open_breaker_fails_at_once_and_probes_after_the_cooldown():
    time = Time()
    answer, seen = in_turn(away, away, away, serve)
    client = make_client(answer, time, retries=0, breaker_failures=2, breaker_cooldown_s=5.0)
    for _ in range(2):
        with pytest.raises(Unavailable, match="in time"):
            client.score(VECTORS)
    with pytest.raises(Unavailable, match="breaker is open"):
        client.score(VECTORS)
    assert len(seen) == 2
    time.now += 5.0
    with pytest.raises(Unavailable, match="in time"):  # the probe fails: open again
        client.score(VECTORS)
    with pytest.raises(Unavailable, match="breaker is open"):
        client.score(VECTORS)
    assert len(seen) == 3
    time.now += 5.0
    assert len(client.score(VECTORS).probability) == 2
    assert client.breaker.state == "closed"


def test_a_refusal_does_not_open_the_breaker():
    client = make_client(status(400), breaker_failures=1)
    for _ in range(3):
        with pytest.raises(BadModel):
            client.score(VECTORS)
    assert client.breaker.state == "closed"


def test_an_answer_that_drips_beyond_the_timeout_is_given_up():
    time = Time()

    def drip() -> Iterator[bytes]:
        for _ in range(100):
            time.now += 0.3
            yield b"."

    answer, seen = in_turn(lambda _: httpx.Response(200, content=drip()))
    with pytest.raises(Unavailable, match="not whole"):
        make_client(answer, time, timeout_s=1.0, deadline_s=3.0, retries=1).score(VECTORS)
    assert time.now < 3.0
    assert len(seen) == 2
