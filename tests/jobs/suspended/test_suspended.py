"""A command runs while no driver does, and the stream continues whatever became of it; the API is played."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from fraud.errors import Unavailable
from jobs.suspended.application import MARK, Application
from tests.fraud.rollout.serving import serving

PATH = "/apis/sparkoperator.k8s.io/v1beta2/namespaces/fraud/sparkapplications/streaming"


class Cluster:
    """An operator that ends the driver some looks after the application was suspended."""

    def __init__(self) -> None:
        self.application: dict[str, Any] | None = {"metadata": {"annotations": {"other": "1"}}, "spec": {}}
        self.looks, self.takes = 0, 2
        self.patches: list[bool] = []
        self.lock = threading.Lock()

    @property
    def phase(self) -> str:
        is_suspended = self.application is not None and self.application["spec"].get("suspend")
        return "Succeeded" if is_suspended and self.looks >= self.takes else "Running"


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def application(cluster: Cluster) -> Iterator[Application]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self) -> None:
            with cluster.lock:
                if self.path.startswith("/api/v1/namespaces/fraud/pods"):
                    assert "app-name%3Dstreaming%2Cspark-role%3Ddriver" in self.path
                    cluster.looks += 1
                    pod = {"metadata": {"name": "driver"}, "status": {"phase": cluster.phase}}
                    self.answer(200, {"kind": "PodList", "apiVersion": "v1", "items": [pod]})
                elif self.path == PATH and cluster.application is not None:
                    self.answer(200, cluster.application)
                else:
                    self.answer(404, {"kind": "Status", "code": 404})

        def do_PATCH(self) -> None:
            with cluster.lock:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                assert cluster.application is not None
                cluster.application["spec"] |= body["spec"]
                notes = cluster.application["metadata"]["annotations"] | body["metadata"]["annotations"]
                kept = {name: text for name, text in notes.items() if text is not None}
                cluster.application["metadata"]["annotations"] = kept
                cluster.patches.append(body["spec"]["suspend"])
                self.answer(200, cluster.application)

        def log_message(self, *_: object) -> None: ...

    with serving(Handler) as url:
        yield Application("streaming", "fraud", ApiClient(Configuration(url)))


def test_the_command_runs_once_the_driver_has_ended_and_the_stream_goes_on(
    cluster: Cluster, application: Application
) -> None:
    with application.suspended("a rebuild", poll_s=0.01):
        assert cluster.phase == "Succeeded"
        assert cluster.application is not None
        assert cluster.application["metadata"]["annotations"] == {"other": "1", MARK: "a rebuild"}
    assert cluster.patches == [True, False]
    assert cluster.application["metadata"]["annotations"] == {"other": "1"}


def test_the_stream_goes_on_after_a_command_that_failed(cluster: Cluster, application: Application) -> None:
    with pytest.raises(ZeroDivisionError), application.suspended("a rebuild", poll_s=0.01):
        raise ZeroDivisionError
    assert cluster.patches == [True, False]


def test_nothing_runs_beside_a_driver_that_does_not_end(cluster: Cluster, application: Application) -> None:
    cluster.takes = 1_000_000
    with pytest.raises(Unavailable, match="did not end"), application.suspended("x", stop_s=0.1, poll_s=0.01):
        pytest.fail("the driver still runs")
    assert cluster.patches == [True, False]


def test_what_a_person_suspended_stays_so_and_what_an_earlier_try_suspended_goes_on(
    cluster: Cluster, application: Application
) -> None:
    assert cluster.application is not None
    cluster.application["spec"]["suspend"] = True
    with application.suspended("x", poll_s=0.01):
        pass
    assert cluster.patches == []
    cluster.application["metadata"]["annotations"][MARK] = "x"
    with application.suspended("x", poll_s=0.01):
        pass
    assert cluster.patches == [False]


def test_without_a_stream_the_command_runs(cluster: Cluster, application: Application) -> None:
    cluster.application = None
    with application.suspended("x"):
        pass
    assert cluster.patches == []
