"""A request's trace: from its header to the log, Kafka, the model server and an OTLP receiver."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import orjson
import pytest

from fraud.contracts import DECISIONS, SCORED, TRANSACTIONS
from fraud.kafka.producer import Record
from fraud.runtime.traces import Traces, carrying, is_sampled
from fraud.settings.traces import TraceSettings
from services.scoring.models import PredictorModel
from services.scoring.settings import ScoringSettings
from tests.deployed import FEATURE_NAMES, FEATURES_VERSION
from tests.otlp import Received, receiver
from tests.services.scoring import samples
from tests.services.scoring.api.test_api import Api, Taking

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    with receiver() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield found


def of_topics(sent: list[Record]) -> dict[str, list[tuple[str, str | bytes | None]]]:
    return {one.topic: list(one.headers) for one in sent}


def traces_of(mode: str) -> Traces:
    return Traces(TraceSettings(mode=mode), "fraud-scoring")  # type: ignore[arg-type]


def test_a_request_is_a_span_of_the_callers_trace_and_its_parts_are_spans_of_it(
    tmp_path: Path, received: Received
) -> None:
    sent: list[Record] = []
    api = Api(tmp_path, Taking(sent), traces=traces_of("otlp"))
    answer = api.call("POST", "/v1/score", json=samples.TRANSACTION, headers={"traceparent": GOOD})
    assert answer.status_code == 200
    assert api.service.outbox.drain() == 1
    api.service.stop()
    (request,) = received.named("score")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    for name in ("read", "fold", "model", "commit"):
        (part,) = received.named(name)
        assert (part.trace_id, part.parent_span_id) == (request.trace_id, request.span_id)
        assert request.start_time_unix_nano <= part.start_time_unix_nano
        assert part.end_time_unix_nano <= request.end_time_unix_nano
    (publish,) = received.named("publish")
    assert publish.trace_id != request.trace_id, "it carries many over at once"
    assert [link.trace_id for link in publish.links] == [request.trace_id]
    assert received.services == {"fraud-scoring"}
    told = f"00-{TRACE}-{request.span_id.hex()}-01"
    assert of_topics(sent)[SCORED] == of_topics(sent)[DECISIONS] == [("traceparent", told)]
    record = next(orjson.loads(one.value) for one in sent if one.topic == SCORED)
    assert record["traceparent"] == told


@pytest.mark.parametrize("header", ["", "junk", GOOD.upper(), "00-" + "0" * 32 + f"-{PARENT}-01"])
def test_a_header_that_is_wrong_is_ignored_and_a_trace_begins_here(
    tmp_path: Path, received: Received, header: str
) -> None:
    sent: list[Record] = []
    api = Api(tmp_path, Taking(sent), traces=traces_of("otlp"))
    answer = api.call("POST", "/v1/score", json=samples.TRANSACTION, headers={"traceparent": header})
    assert answer.status_code == 200
    api.service.outbox.drain()
    api.service.stop()
    (request,) = received.named("score")
    assert request.parent_span_id == b""
    ((_, told),) = of_topics(sent)[DECISIONS]
    assert str(told)[:-2] == f"00-{request.trace_id.hex()}-{request.span_id.hex()}-"
    assert is_sampled(str(told)), "whatever other flags the SDK sets"


def test_what_nobody_samples_is_handed_on_and_not_exported(tmp_path: Path, received: Received) -> None:
    sent: list[Record] = []
    api = Api(tmp_path, Taking(sent), traces=traces_of("otlp"))
    unsampled = f"{GOOD[:-2]}00"
    api.call("POST", "/v1/score", json=samples.TRANSACTION, headers={"traceparent": unsampled})
    api.service.outbox.drain()
    api.service.stop()
    ((_, told),) = of_topics(sent)[DECISIONS]
    assert str(told).startswith(f"00-{TRACE}-")
    assert str(told).endswith("-00")
    assert not {"score", "fold", "model"} & {span.name for span in received.spans}


def test_the_transactions_of_a_batch_and_of_kserve_belong_to_their_request(tmp_path: Path) -> None:
    sent: list[Record] = []
    api = Api(tmp_path, Taking(sent), traces=traces_of("headers"))
    other = GOOD.replace(PARENT, "c" * 16)
    several = [{**samples.TRANSACTION, "transaction_id": f"b{at}"} for at in range(2)]
    api.call("POST", "/v1/score/batch", json={"transactions": several}, headers={"traceparent": GOOD})
    one = [{**samples.TRANSACTION, "transaction_id": "k"}]
    api.call("POST", "/v1/models/fraud:predict", json={"instances": one}, headers={"traceparent": other})
    api.score(transaction_id="without")
    api.service.outbox.drain()
    found = {
        orjson.loads(record.value)["transaction_id"]: list(record.headers)
        for record in sent
        if record.topic == DECISIONS
    }
    assert found == {
        "b0": [("traceparent", GOOD)],
        "b1": [("traceparent", GOOD)],
        "k": [("traceparent", other)],
        "without": [],
    }


def test_off_a_header_goes_nowhere(tmp_path: Path) -> None:
    sent: list[Record] = []
    api = Api(tmp_path, Taking(sent))
    api.call("POST", "/v1/score", json=samples.TRANSACTION, headers={"traceparent": GOOD})
    api.service.outbox.drain()
    assert not any(record.headers for record in sent)
    assert not any(b"traceparent" in record.value for record in sent)


def test_what_the_stream_is_to_count_carries_its_trace(tmp_path: Path) -> None:
    sent: list[Record] = []
    api = Api(tmp_path, Taking(sent), traces=traces_of("headers"))
    api.service.store.renew(is_whole=False)
    api.call("POST", "/v1/score", json=samples.TRANSACTION, headers={"traceparent": GOOD})
    assert of_topics(sent) == {TRANSACTIONS: [("traceparent", GOOD)]}


def test_a_receiver_that_is_away_delays_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    api = Api(tmp_path, Taking([]), traces=traces_of("otlp"))
    assert api.score(transaction_id="one").status_code == 200
    api.service.stop()


def test_the_model_server_is_told_the_trace() -> None:
    told = []

    def answer(request: httpx.Request) -> httpx.Response:
        told.append(request.headers.get("traceparent"))
        outputs = [{"name": "probability", "datatype": "FP64", "shape": [1], "data": [0.9]}]
        thresholds = {"review_threshold": 0.3, "decline_threshold": 0.7}
        parameters = {"model_version": "7", "features_version": FEATURES_VERSION, **thresholds}
        return httpx.Response(200, json={"outputs": outputs, "parameters": parameters})

    model = PredictorModel(ScoringSettings(model_from="predictor"), transport=httpx.MockTransport(answer))
    vector = np.zeros((1, len(FEATURE_NAMES)))
    model.judge(vector)
    with carrying(GOOD):
        model.judge(vector)
    assert told == [None, GOOD]
