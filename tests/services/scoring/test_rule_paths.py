"""The matrix: every construct of the rules over every path that decides, with the same answers.

Real are the endpoints, the stores, the stream's passes, the archive and its Delta tables.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY

from fraud.decide.rules import RulesAt, read_rules
from fraud.log import rows
from fraud.log.archive import Archive
from fraud.model.client import Scores
from fraud.rules.backtest import held_in, judged
from fraud.rules.effects import OUTCOMES
from fraud.rules.history import open_history
from fraud.store import Epoch, open_store
from jobs.stream import metrics as stream_metrics
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks import decide_pass, entity_pass, validate_pass
from jobs.stream.tasks.context import TaskContext
from jobs.stream.tasks.publish import decisions
from jobs.stream.tasks.rules import apply_rules
from jobs.stream.tasks.score import Decisions, FeatureWords, score
from jobs.stream.tasks.scored import Decided
from jobs.stream.tasks.stopwatch import Stopwatch
from services.scoring.metrics import RULE_ERRORS
from tests.deployed import FEATURE_NAMES, SCHEMA
from tests.fraud.decide.test_vectorise import CLAUSES
from tests.jobs.stream.tasks.test_passes import kafka, values
from tests.load.parity import spool
from tests.services.scoring.api.test_api import SCORING, Api
from tests.services.scoring.samples import TRANSACTION

EFFECTS: list[dict[str, Any]] = [
    {"name": "declines", "when": "amount > 900.0", "then": "decline"},
    {"name": "approves", "when": "user_id == 'u3'", "then": "approve"},
    {"name": "challenges", "when": "amount > 300.0", "then": "challenge", "tags": ["large", "step"]},
    {"name": "reviews", "when": "in_list(device_id, 'few')", "then": "review", "queue": "devices"},
    {"name": "marks", "when": "amount > 50.0", "tags": ["large", "marked"], "queue": "second"},
    {"name": "raises", "when": "user_id.endsWith('5')", "score_floor": 1.0},
    {"name": "in_part", "when": "amount > 0.0", "tags": ["part"], "share": "40 %"},
    {"name": "beside", "when": "amount > 0.0", "then": "decline", "tags": ["ghost"], "state": "shadow"},
    {"name": "planned", "when": "amount > 0.0", "then": "decline", "state": "draft"},
    {"name": "gone", "when": "no_such_feature > 0.0", "then": "decline", "state": "retired"},
    {"name": "over", "when": "amount > 0.0", "then": "decline", "expires": "2020-01-01T00:00:00Z"},
    {"name": "not_yet", "when": "amount > 0.0", "then": "decline", "starts": "2099-01-01T00:00:00Z"},
    {"name": "fails", "when": "10 / int(amount) > 3", "then": "decline"},
    {"name": "always", "when": "true", "tags": ["all"]},
    {"name": "by_tag", "when": "has_tag('marked') && amount < 300.0", "tags": ["read"]},
    {"name": "by_tag_and_row", "when": "has_tag('read') && user_id.matches('^u')", "queue": "third"},
    {"name": "by_part", "when": "has_tag('part')", "tags": ["of_part"]},
    {"name": "by_ghost", "when": "has_tag('ghost')", "then": "decline"},
]
SEGMENTS: list[dict[str, Any]] = [
    {"name": "to_come", "when": "true", "review": 0.0, "decline": 0.0, "starts": "2099-01-01T00:00:00Z"},
    {"name": "breaks", "when": "10 / int(amount) > 3", "review": 0.0, "decline": 0.0},
    {"name": "asked", "when": "amount == 60.0", "review": 0.0, "challenge": 0.0, "decline": 1.0},
    {"name": "strict", "when": "amount in [12.0, 60.0, 150.0]", "review": 0.0, "decline": 0.0},
    {"name": "seen", "when": "in_list(device_id, 'few') && amount == 400.0", "review": 0.0, "decline": 1.0},
    {"name": "row_by_row", "when": "user_id.matches('^u10')", "review": 1.0, "decline": 1.0},
    {"name": "tagged", "when": "has_tag('step') && amount == 950.0", "review": 0.0, "decline": 0.0},
]
CONSTRUCTS = [{"name": f"c{at}", "when": when, "tags": [f"c{at}"]} for at, when in enumerate(CLAUSES)]
AMOUNTS = (0.5, 1.0, 5.0, 12.0, 60.0, 250.0, 400.0, 950.0, 1200.0, 2.0, 50.0, 150.0)
USERS = [*(f"u{at}" for at in range(9)), "aXb", "u10", "u10"]
COMPARED = (
    *("outcome", "outcome_without_rules", "rules", "shadow_rules", "tags", "queue", "segment"),
    "policy_version",
)


def transactions() -> list[dict[str, Any]]:
    made = []
    for at, amount in enumerate(AMOUNTS):
        one = {**TRANSACTION, "transaction_id": f"t{at}", "user_id": USERS[at], "merchant_id": f"m{at % 2}"}
        one |= {
            "amount": amount,
            "category": ("a", "b", "ab")[at % 3],
            "device_id": ("a", "ab", "dé")[at % 3],
        }
        if at % 4 == 3:
            del one["device_id"]
        made.append(one)
    return made


@dataclass
class Server:
    """A model server, in this process."""

    def score(self, vectors: np.ndarray[Any, Any], reasons_from: float | None = None) -> Scores:  # noqa: ARG002
        n = len(vectors)
        return Scores(
            SCORING.predict(vectors),
            np.full((n, 3), -1, np.int32),
            np.zeros((n, 3)),
            "7",
            "f",
            SCORING.card.thresholds,
        )


def by_score(folder: Path, rules: Path) -> list[dict[str, Any]]:
    api = Api(folder, rules_file=rules)
    return [api.call("POST", "/v1/score", json=one).json() for one in transactions()]


def by_batch(folder: Path, rules: Path) -> list[dict[str, Any]]:
    found = Api(folder, rules_file=rules).call(
        "POST", "/v1/score/batch", json={"transactions": transactions()}
    )
    answers: list[dict[str, Any]] = found.json()["answers"]
    return answers


def by_kserve_v1(folder: Path, rules: Path) -> list[dict[str, Any]]:
    found = Api(folder, rules_file=rules).call(
        "POST", "/v1/models/fraud:predict", json={"instances": transactions()}
    )
    answers: list[dict[str, Any]] = found.json()["predictions"]
    return answers


def by_kserve_v2(folder: Path, rules: Path) -> list[dict[str, Any]]:
    texts = [json.dumps(one) for one in transactions()]
    tensor = {"name": "transactions", "datatype": "BYTES", "shape": [len(texts)], "data": texts}
    found = Api(folder, rules_file=rules).call("POST", "/v2/models/fraud/infer", json={"inputs": [tensor]})
    outputs = {one["name"]: one["data"] for one in found.json()["outputs"]}
    return [json.loads(text) for text in outputs["decision"]]


def play(folder: Path, rules: Path) -> tuple[Any, Decisions, TaskContext]:
    """Run the stream's passes; gives what they spool, and what was decided."""
    url = f"lmdb://{folder / 'store'}"
    with open_store(url) as store:
        token, generation = store.acquire("test"), store.generation_of("test")
    context = TaskContext(
        Epoch(generation, 0), token, url, folder / "spool", (), "", 0.1, rules=RulesAt(rules)
    )
    watch = Stopwatch()
    passed = entity_pass.pass_primary(context, validate_pass.validate(kafka(values(transactions()))), watch)
    passed = entity_pass.pass_further(context, 1, passed, watch)
    vectors = rows.matrix_of(passed.column("vector"))
    server: Any = Server()
    of = FeatureWords(SCHEMA, FEATURE_NAMES)
    scored = score(server, vectors, of)
    scored = apply_rules(scored, RulesAt(rules), passed, vectors, of)
    decided = Decided(passed, context.passes, context.contracts)
    spooled = decide_pass.spool_table(context, passed, vectors=vectors, decisions=scored, decided=decided)
    return spooled, scored, context


def by_stream(folder: Path, rules: Path) -> list[dict[str, Any]]:
    spooled, *_ = play(folder, rules)
    return [json.loads(raw) for raw in decisions(spooled, SCHEMA)]


def archived(folder: Path, rules: Path) -> StreamSettings:
    """Run the stream's passes, and archive what they leave."""
    spooled, _, context = play(folder, rules)
    settings = StreamSettings(home=folder / "home")
    spool(context, spooled)
    commits = settings.checkpoint_path / "commits"
    commits.mkdir(parents=True)
    (commits / "0").touch()
    Archive(context.spool, settings.checkpoint_path, settings.delta_path, {}).run(context.epoch.generation)
    return settings


def by_backtest(folder: Path, rules: Path) -> list[dict[str, Any]]:
    """Tell what holds, by the log alone; what it does there is in the log."""
    known = read_rules(rules)
    (log,) = open_history(archived(folder, rules).delta_path, known.reads).parts()
    held = held_in(known, log)
    became = judged(log, held, {}).became
    by_id = {
        name: {
            "rules": [rule.name for rule, holds in zip(held.rules, held.live[:, row], strict=True) if holds],
            "shadow_rules": [
                rule.name for rule, holds in zip(held.rules, held.shadow[:, row], strict=True) if holds
            ],
            "segment": known.segments[held.segment[row]].rule.name if held.segment[row] >= 0 else None,
            # The log has no thresholds of the model, so that a floor counts in segments alone.
            **({} if held.segment[row] < 0 else {"outcome": str(OUTCOMES[became[row]])}),
        }
        for row, name in enumerate(log["transaction_id"].to_pylist())
    }
    return [by_id[one["transaction_id"]] for one in transactions()]


PATHS = [by_score, by_batch, by_kserve_v1, by_kserve_v2, by_stream, by_backtest]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rules = [{**rule, "reason": "r"} for rule in [*EFFECTS, *CONSTRUCTS]]
    made = tmp_path / "rules.yaml"
    lists = {"few": ["a", "ab", "é"], "none": []}
    made.write_text(json.dumps({"version": "1", "lists": lists, "rules": rules, "segments": SEGMENTS}))
    return made


@pytest.fixture
def expected(file: Path, tmp_path: Path) -> list[dict[str, Any]]:
    return by_score(tmp_path / "expected", file)


@pytest.mark.parametrize("path", PATHS[1:], ids=lambda path: path.__name__)
def test_every_path_gives_the_answers_of_the_single_score(
    path: Callable[[Path, Path], list[dict[str, Any]]],
    file: Path,
    expected: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    for found, wanted in zip(path(tmp_path / "own", file), expected, strict=True):
        assert {name: found[name] for name in COMPARED if name in found} == {
            name: wanted[name] for name in COMPARED if name in found
        }, wanted["transaction_id"]
        if "reasons" in found:
            assert _of_file(found) == _of_file(wanted)


def test_every_construct_and_every_effect_shows_in_these_answers(expected: list[dict[str, Any]]) -> None:
    held = {name for one in expected for name in one["rules"]}
    assert held >= {rule["name"] for rule in EFFECTS[:7]}
    assert {f"c{at}" for at in range(len(CLAUSES))} <= held
    beside = {name for one in expected for name in one["shadow_rules"]}
    assert beside == {"beside", "in_part"}, "a draft, a retired, an expired rule, one to come: nowhere"
    assert {one["outcome"] for one in expected} == {"approve", "review", "challenge", "decline"}
    part = ["in_part" in one["rules"] for one in expected]
    assert part == ["in_part" not in one["shadow_rules"] for one in expected]
    assert part == ["by_part" in one["rules"] for one in expected], "a tag goes as far as its rule's share"
    assert held >= {"by_tag", "by_tag_and_row"}
    assert "by_ghost" not in held, "a rule in shadow gives no tag"


def test_a_rule_that_fails_is_counted_by_its_name_and_stops_no_decision(file: Path, tmp_path: Path) -> None:
    def counted() -> list[float]:
        return [RULE_ERRORS.labels(name)._value.get() for name in ("fails", "breaks", "declines")]

    before = counted()
    answers = by_score(tmp_path / "own", file)
    assert [one["transaction_id"] for one in answers] == [one["transaction_id"] for one in transactions()]
    grown = [now - then for now, then in zip(counted(), before, strict=True)]
    assert grown == [1.0, 1.0, 0.0], "one amount is below 1, where rule and segment divide by zero"


def test_the_stream_counts_hits_and_failures_of_each_rule(
    file: Path, expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    counters = {"live": "hits", "shadow": "shadow_hits", "failed": "errors"}

    def counted() -> dict[str, Counter[str]]:
        metrics = [metric for metric in REGISTRY.collect() if metric.name.startswith("fraud_stream_rule_")]
        samples = [sample for metric in metrics for sample in metric.samples]
        return {
            kind: Counter(
                {
                    sample.labels["rule"]: int(sample.value)
                    for sample in samples
                    if sample.name == f"fraud_stream_rule_{name}_total"
                }
            )
            for kind, name in counters.items()
        }

    spooled, decided, context = play(tmp_path / "own", file)
    summary = json.loads(json.dumps(decide_pass._summary(spooled, decided, [], context.passes)))
    before = counted()
    stream_metrics.record([summary], 0, 0.1)
    grown = {kind: found - before[kind] for kind, found in counted().items()}
    assert grown["live"] == Counter(name for one in expected for name in one["rules"])
    assert grown["shadow"] == Counter(name for one in expected for name in one["shadow_rules"])
    assert grown["failed"] == {"fails": 1, "breaks": 1}, "one amount is below 1"


def test_errors_of_rules_and_segments_are_counted_from_zero_so_that_an_alert_sees_the_first(
    file: Path, tmp_path: Path
) -> None:
    names = ("rule_of_this_test", "segment_of_this_test")
    errors = [("fraud_scoring_rule_errors_total", {"rule": name}) for name in names]
    assert [REGISTRY.get_sample_value(*one) for one in errors] == [None, None]
    rules = json.loads(file.read_text())
    rules["rules"][0]["name"], rules["segments"][0]["name"] = names
    own = tmp_path / "own.yaml"
    own.write_text(json.dumps(rules))
    Api(tmp_path / "own", rules_file=own)
    assert [REGISTRY.get_sample_value(*one) for one in errors] == [0.0, 0.0]


def test_every_kind_of_segment_shows_in_these_answers(expected: list[dict[str, Any]]) -> None:
    by_amount = {one["amount"]: answer for one, answer in zip(transactions(), expected, strict=True)}
    assert by_amount[60.0]["segment"] == "asked", "the first one that holds"
    assert by_amount[60.0]["outcome"] == "challenge"
    assert by_amount[12.0]["segment"] == "strict"
    names = {one["name"] for one in SEGMENTS[1:]}
    assert {one["segment"] for one in expected} == {None, *names}, "one that has not begun: nowhere"
    assert by_amount[0.5]["segment"] is None, "there it fails"
    assert "segment_strict" in _of_file(by_amount[150.0])
    assert (by_amount[12.0]["outcome"], _of_file(by_amount[12.0])) == ("approve", ["rule_approves"])


def _of_file(answer: dict[str, Any]) -> list[str]:
    return [
        reason["code"] for reason in answer["reasons"] if reason["code"].startswith(("rule_", "segment_"))
    ]
