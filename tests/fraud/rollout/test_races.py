"""What others do while a version is tried or watched: an operator promotes, a scrape fails."""

import json
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler

import mlflow
import pytest

from fraud.model.aliases import CANARY, CHAMPION, GATE
from fraud.model.canary import PERCENT
from fraud.model.registry import ModelVersions, open_registry
from fraud.rollout.pipeline import roll_out
from fraud.rollout.settings import RolloutSettings
from tests.fraud.rollout.serving import serving

ROWS = 1_000
"""Scored between two scrapes."""


class Server:
    """A model server that follows the registry; whatever it is asked for, every version does well."""

    def __init__(self, versions):
        self.versions = versions
        self.scrapes = 0
        self.watched = 0
        self.on_canary = self.on_question = lambda: None
        self.fails_at = set()
        """Scrapes that fail, counted from the promotion on."""

    def metrics(self):
        canary = self.versions.at(CANARY)
        percent = self.versions.tags(canary)[PERCENT] if canary else "0"
        if percent != "0":
            self.on_canary()
        self.scrapes += 1
        self.watched += self.versions.at(CHAMPION) == "2"
        if self.watched in self.fails_at:
            return None
        rows = ROWS * self.scrapes
        lines = [f"fraud_predictor_canary_percent {percent}"]
        for version in "123":
            lines += [
                f'fraud_predictor_scored_rows_total{{version="{version}"}} {rows}',
                f'fraud_predictor_scores_total{{version="{version}",bin="0"}} {rows}',
                f'fraud_predictor_answer_seconds_bucket{{version="{version}",le="0.01"}} {rows}',
                f'fraud_predictor_answer_seconds_bucket{{version="{version}",le="+Inf"}} {rows}',
            ]
        return "\n".join(lines) + "\n"

    def model(self):
        self.on_question()
        return json.dumps({"versions": [self.versions.at(CHAMPION)]})

    def handler(self):
        answers = {"/metrics": self.metrics, "/v2/models/fraud": self.model}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                text = answers[self.path]()
                self.send_response(500 if text is None else 200)
                self.end_headers()
                self.wfile.write((text or "").encode())

            def log_message(self, *_):
                pass

        return Handler


class Pods:
    def __init__(self, url):
        self.url = url

    def servers(self):
        return [self.url]

    def canary(self, version):  # noqa: ARG002  (the protocol's)
        return nullcontext()


@pytest.fixture
def versions(tmp_path):
    """Version 1 is the champion, 2 and 3 are accepted."""
    with open_registry(f"sqlite:///{tmp_path / 'mlflow.db'}"):
        client = mlflow.MlflowClient()
        client.create_registered_model("fraud")
        for _ in range(3):
            client.create_model_version("fraud", "file:///nowhere")
        found = ModelVersions("fraud")
        client.set_registered_model_alias("fraud", CHAMPION, "1")
        for version in "23":
            found.tag(version, {GATE: "accepted"})
        yield found


@pytest.fixture
def server(versions):
    return Server(versions)


def roll_out_2(server, tmp_path, **settings):
    given = {
        "mlflow_uri": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "percents": (50.0,),
        "stage_s": 0.0,
        "after_s": 0.0,
        "poll_s": 0.05,
    }
    with serving(server.handler()) as url:
        return roll_out("2", RolloutSettings(**given | settings), Pods(url))


def test_a_version_that_somebody_promotes_during_the_canary_stays(server, versions, tmp_path):
    server.on_canary = lambda: versions.promote("3", "operator")
    outcome = roll_out_2(server, tmp_path)
    assert (outcome.word, outcome.champion) == ("refused", "3")
    assert "rolled_back_at" not in versions.tags("2")


def test_a_version_that_somebody_promotes_during_the_watch_stays(server, versions, tmp_path):
    server.on_question = lambda: versions.promote("3", "operator")
    outcome = roll_out_2(server, tmp_path, ready_s=0.5)
    assert (outcome.word, outcome.champion) == ("rolled back", "3")
    assert "rolled_back_at" in versions.tags("2")
    assert "rolled_back_at" not in versions.tags("3")


@pytest.mark.parametrize(("failing", "word"), [({2}, "promoted"), (set(range(2, 10_000)), "rolled back")])
def test_one_scrape_that_fails_is_none(server, versions, tmp_path, failing, word):
    server.fails_at = failing
    assert roll_out_2(server, tmp_path, after_s=0.5).word == word
    assert versions.at(CHAMPION) == ("2" if word == "promoted" else "1")
