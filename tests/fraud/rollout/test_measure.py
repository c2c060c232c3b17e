"""What is enough to judge, what is bad, and what chance alone must not make bad."""

from collections import Counter
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest
from kubernetes.client import ApiClient, Configuration

from fraud.errors import Unavailable
from fraud.rollout.kserve import KServe, derive
from fraud.rollout.measure import Served, ServedSums, judge, psi
from fraud.rollout.settings import RolloutSettings
from tests.fraud.rollout.serving import serving

SETTINGS = RolloutSettings(stage_rows=500)
INF = float("inf")


def seen(rows=5_000, *, seed=1, failures=0, slow_s=0.01, flagged=0.02, shift=0.0):
    scores = np.clip(np.random.default_rng(seed).beta(1.0, 20.0, rows) + shift, 0.0, 0.999)
    bins = Counter((scores * 20).astype(int).tolist())
    return Served(failures, rows, flagged * rows, Counter({0.005: 0, slow_s: 100, INF: 100}), bins)


def test_two_samples_of_one_distribution_are_good():
    words = {judge(seen(seed=2 * n), seen(600, seed=2 * n + 1), SETTINGS).word for n in range(50)}
    assert words == {"good"}


def test_chance_alone_gives_no_index_on_average():
    found = [psi(seen(seed=2 * n), seen(600, seed=2 * n + 1)) for n in range(100)]
    assert np.mean(found) < 0.02


@pytest.mark.parametrize("rows", [0, 1, 499])
def test_too_few_rows_are_no_judgement(rows):
    assert judge(seen(), seen(rows), SETTINGS).word == "wait"
    assert judge(seen(rows), seen(), SETTINGS).word == "wait"


def test_failures_are_judged_at_once():
    assert judge(seen(), seen(1, failures=50), SETTINGS).word == "bad"


def test_a_failure_among_thousands_is_none():
    assert judge(seen(), seen(failures=1), SETTINGS).word == "good"


@pytest.mark.parametrize(
    ("canary", "words"),
    [
        (seen(seed=2, slow_s=2.0), "p99 of 2000 ms against 10 ms"),
        (seen(seed=2, flagged=0.2), "review threshold"),
        (seen(seed=2, flagged=0.0), "review threshold"),
        (seen(seed=2, shift=0.3), "PSI"),
    ],
)
def test_what_is_bad_is_said_in_words(canary, words):
    found = judge(seen(), canary, SETTINGS)
    assert found.word == "bad"
    assert words in "; ".join(found.reasons)


def test_a_server_that_comes_goes_or_starts_anew_takes_nothing_from_the_sums():
    account = ServedSums()
    account.take({"a": {"1": seen(1_000)}, "b": {"1": seen(2_000)}})
    account.take({})
    account.take({"a": {"1": seen(1_500)}, "b": {"1": seen(300)}})  # b has started again
    account.take({"a": {"1": seen(1_700)}, "c": {"1": seen(50), "2": seen(600)}})  # c in place of b
    assert account.of("1").rows == 500 + 300 + 200 + 50
    assert account.of("2").rows == 600
    assert min(account.of("1").scores.values()) >= 0


class Refusing(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(500, "etcd is away")

    def log_message(self, *_):
        pass


def test_a_cluster_that_does_not_answer_is_unavailable():
    with serving(Refusing) as url:
        place = KServe(SETTINGS.model_copy(update={"namespace": "fraud"}), ApiClient(Configuration(url)))
        with pytest.raises(Unavailable, match="etcd is away"):
            place.servers()


def test_up_to_the_floor_nothing_is_slow():
    assert judge(seen(slow_s=0.0001), seen(seed=2, slow_s=0.02), SETTINGS).word == "good"


def test_the_canary_of_a_serving_runtime_overrides_its_environment():
    predictor = {"minReplicas": 3, "model": {"modelFormat": {"name": "fraud"}, "runtime": "fraud"}}
    champion = {"metadata": {"name": "fraud"}, "spec": {"predictor": predictor}}
    found = derive(champion, "fraud-canary", "models:/fraud/7")["spec"]["predictor"]
    assert found["model"]["runtime"] == "fraud"
    assert {"name": "FRAUD_PREDICTOR_MODEL", "value": "models:/fraud/7"} in found["model"]["env"]
    assert "containers" not in found


def test_the_canary_is_the_champions_service_with_one_version_and_one_replica():
    champion = {
        "metadata": {
            "name": "fraud",
            "uid": "1",
            "labels": {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": "serving"},
            "annotations": {"meta.helm.sh/release-name": "serving", "kept": "yes"},
        },
        "spec": {
            "predictor": {
                "minReplicas": 3,
                "maxReplicas": 9,
                "containers": [
                    {"image": "predictor:1", "env": [{"name": "FRAUD_PREDICTOR_MODEL", "value": "champion"}]}
                ],
            },
            "transformer": {"containers": []},
        },
    }
    found = derive(champion, "fraud-canary", "models:/fraud/7")
    predictor = found["spec"]["predictor"]
    assert set(found["spec"]) == {"predictor"}
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (1, 1)
    environment = {one["name"]: one["value"] for one in predictor["containers"][0]["env"]}
    assert environment["FRAUD_PREDICTOR_MODEL"] == "models:/fraud/7"
    assert environment["FRAUD_PREDICTOR_CANARY_URL"] == ""
    assert found["metadata"] == {
        "name": "fraud-canary",
        "labels": {"app.kubernetes.io/name": "serving"},
        "annotations": {"kept": "yes"},
    }
