"""``fraud whatif``: stops, money and load against hand counts; what a model may have learnt is left out."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner

from fraud.cli import app
from fraud.errors import BadInput
from fraud.learn.examples import to_micros
from fraud.schema.arrow import TIME
from jobs.whatif.read import History, judge, read_history
from jobs.whatif.run import make
from jobs.whatif.settings import WhatIfSettings

START = datetime(2025, 1, 6, tzinfo=UTC)
TRAINED = {"1": to_micros(START)}
Row = tuple[str, str, float, float, str, float | None, str | None, bool | None, str | None]
"""id, card, day, amount, outcome, score, version, label, type of fraud."""
HAND: list[Row] = [
    ("a", "u1", 0.00, 10.0, "approve", 0.10, "1", True, "takeover"),
    ("b", "u1", 0.25, 20.0, "review", 0.60, "1", True, "takeover"),
    ("c", "u1", 1.00, 30.0, "approve", 0.20, "1", True, "takeover"),
    ("d", "u1", 20.0, 40.0, "decline", 0.95, "1", True, "testing"),
    ("e", "u2", 2.00, 50.0, "approve", 0.05, "1", True, "<testing>"),
    ("f", "u2", 3.00, 60.0, "decline", 0.90, "1", False, None),
    ("g", "u3", 4.00, 70.0, "challenge", 0.70, "1", False, None),
    ("h", "u3", 5.00, 80.0, "approve", 0.01, "1", None, None),
    ("i", "u3", 25.0, 90.0, "approve", None, None, False, None),
]


def moments(days: list[float]) -> pa.Array:
    return pa.array([START + timedelta(days=day) for day in days], TIME)


def write(folder: Path, rows: list[Row]) -> str:
    ids, cards, days, amounts, outcomes, scores, versions, frauds, types = map(list, zip(*rows, strict=True))
    keys = {"transaction_id": ids, "user_id": cards}
    moment = {"event_time": moments(days), "amount": amounts}
    scored = {"score": pa.array(scores, pa.float64()), "model_version": pa.array(versions, pa.string())}
    known = pa.array([fraud is not None for fraud in frauds])
    labels = pa.table(
        {
            **keys,
            "label_time": moments([day + 2 for day in days]),
            "is_fraud": pa.array(frauds, pa.bool_()),
            "fraud_type": pa.array(types, pa.string()),
        }
    )
    write_deltalake(folder / "transactions", pa.table({**keys, **moment, "category": outcomes}))
    write_deltalake(folder / "decisions", pa.table({**keys, **moment, "outcome": outcomes, **scored}))
    write_deltalake(folder / "labels", labels.filter(known))
    return str(folder)


def history_of(folder: Path, rows: list[Row]) -> History:
    return read_history(write(folder, rows), {})


def drawn(seed: int, cards: int = 40, rows: int = 600) -> list[Row]:
    rng = np.random.default_rng(seed)
    score = np.round(rng.beta(0.3, 2.0, rows), 2)  # many are equal
    fraud = rng.random(rows) < score
    return [
        (
            f"t{k}",
            f"u{rng.integers(cards)}",
            float(day),
            float(rng.integers(1, 100)),
            "review" if score[k] >= 0.5 else "approve",
            float(score[k]),
            "1",
            bool(fraud[k]),
            "takeover" if fraud[k] else None,
        )
        for k, day in enumerate(np.sort(rng.uniform(0.0, 60.0, rows)))
    ]


@pytest.fixture
def settings() -> WhatIfSettings:
    return WhatIfSettings(bootstrap=50, label_gap_days=2)


def test_what_was_decided_is_counted_by_hand(tmp_path: Path, settings: WhatIfSettings) -> None:
    found = make(history_of(tmp_path, HAND), settings, TRAINED)
    chosen = found.chosen
    assert (chosen.recall.value, chosen.precision.value) == (2 / 5, 2 / 4)
    assert (chosen.cases.value, chosen.first.value) == (2 / 3, 1 / 3)
    assert chosen.saved.value == 20.0 + 40.0
    assert chosen.saved_if_blocked.value == 20.0 + 30.0 + 40.0
    assert (chosen.honest_stopped, chosen.honest_amount) == (2.0, 130.0)
    assert chosen.net.value == 60.0 - 2 * 5.0 - 20.0  # two reviewed, one honest declined
    assert chosen.stopped_a_day == 4 / 25
    assert len(found.history) == len(HAND)


def test_a_case_is_told_with_its_first_stop(tmp_path: Path, settings: WhatIfSettings) -> None:
    cases = make(history_of(tmp_path, HAND), settings, TRAINED).cases
    assert [(case.card, case.frauds, case.amount) for case in cases] == [
        ("u1", 3, 60.0),
        ("u2", 1, 50.0),
        ("u1", 1, 40.0),
    ]
    assert [case.minutes_to_stop for case in cases] == [6 * 60.0, None, 0.0]
    assert [case.stopped_transaction for case in cases] == ["b", "", "d"]
    assert [(case.frauds_before, case.amount_before) for case in cases] == [(1, 10.0), (1, 50.0), (0, 0.0)]
    assert [case.highest_score for case in cases] == [0.6, 0.05, 0.95]
    assert cases[0].first_fraud == START


@pytest.mark.parametrize("seed", range(4))
def test_every_point_of_the_curve_is_what_counting_gives(
    tmp_path: Path, settings: WhatIfSettings, seed: int
) -> None:
    history = history_of(tmp_path, drawn(seed))
    found = make(history, settings, TRAINED)
    assert len(found.curve) > 10
    for point in found.curve:
        stopped = history.score >= point.threshold
        assert point.stopped_a_day == pytest.approx(stopped.sum() / history.days)
        assert point.recall.value == pytest.approx(
            (stopped & history.is_fraud).sum() / history.is_fraud.sum()
        )
        saved, blocked, hits, firsts, cases = count_by_hand(history, stopped)
        assert point.saved.value == saved
        assert point.saved_if_blocked.value == blocked
        assert point.cases.value == pytest.approx(hits / cases)
        assert point.first.value == pytest.approx(firsts / cases)
        assert point.net.value == pytest.approx(saved - 5.0 * stopped.sum())
        assert point.recall.low <= point.recall.value <= point.recall.high


def count_by_hand(history: History, stopped: np.ndarray) -> tuple[float, float, int, int, int]:
    saved = blocked = 0.0
    hits = firsts = cases = 0
    for card in set(history.card):
        last, is_blocked = -np.inf, False
        for row in np.flatnonzero((history.card == card) & history.is_fraud):
            if history.event_us[row] - last > 7 * 86_400e6:
                cases, is_blocked = cases + 1, False
                firsts += bool(stopped[row])
            hits += bool(stopped[row]) and not is_blocked
            is_blocked |= bool(stopped[row])
            saved += history.amount[row] * stopped[row]
            blocked += history.amount[row] * is_blocked
            last = history.event_us[row]
    return saved, blocked, hits, firsts, cases


def test_a_number_of_reviews_is_kept_and_used(tmp_path: Path) -> None:
    history = history_of(tmp_path, drawn(1))
    for load in (0.2, 1.0, 3.0, 1000.0):
        settings = WhatIfSettings(bootstrap=20, reviews_per_day=load)
        chosen = make(history, settings, TRAINED).chosen
        lower = history.score[history.score < chosen.threshold]
        room = int(load * history.days)
        assert chosen.stopped_a_day * history.days <= room or load == 1000.0
        if len(lower):
            assert (history.score >= lower.max()).sum() > room, "the next lower score would be too many"


def test_cards_are_drawn_not_transactions(tmp_path: Path, settings: WhatIfSettings) -> None:
    spree: list[Row] = [(f"s{k}", "u1", k / 100, 1.0, "review", 0.9, "1", True, None) for k in range(100)]
    missed: list[Row] = [(f"m{k}", f"v{k}", 1.0, 1.0, "approve", 0.1, "1", True, None) for k in range(3)]
    honest: list[Row] = [(f"h{k}", f"w{k}", 2.0, 1.0, "approve", 0.1, "1", False, None) for k in range(20)]
    chosen = make(history_of(tmp_path, [*spree, *missed, *honest]), settings, TRAINED).chosen
    assert chosen.recall.value == pytest.approx(100 / 103)
    assert chosen.recall.low == 0.0, "without the one card nothing is stopped"


def test_types_and_segments_are_measured_apart(tmp_path: Path, settings: WhatIfSettings) -> None:
    found = make(history_of(tmp_path, HAND), settings, TRAINED)
    assert {part.name: (part.frauds, part.point.recall.value) for part in found.types} == {
        "takeover": (3, 1 / 3),
        "testing": (1, 1.0),
        "<testing>": (1, 0.0),
    }
    by_segment = {part.name: part for part in found.segments}
    assert by_segment["decline"].point.precision.value == 0.5
    assert sum(part.amount for part in found.segments) == 150.0


def test_what_lies_before_the_training_is_left_out_and_told(tmp_path: Path, settings: WhatIfSettings) -> None:
    history = history_of(tmp_path, HAND)
    trained = {"1": to_micros(START + timedelta(days=1.5))}
    judged = judge(history, settings, trained)
    assert set(judged.history.transaction) == set("defghi")
    assert judged.left_out[0].startswith(
        "3 decisions by version 1 are left out: they lie before 2025-01-07T12"
    )
    with pytest.raises(BadInput, match=r"fraud train --as-of TIME"):
        judge(history, settings, {"1": to_micros(START + timedelta(days=100))})


def test_a_version_of_unknown_training_is_refused(tmp_path: Path, settings: WhatIfSettings) -> None:
    with pytest.raises(BadInput, match=r"8 decisions by version 1 .* --trained-until TIME"):
        judge(history_of(tmp_path, HAND), settings, {"1": None})


def test_young_transactions_wait_for_their_labels(tmp_path: Path) -> None:
    settings = WhatIfSettings(bootstrap=50, label_gap_days=3)
    young: list[Row] = [
        ("y", "u9", 59.0, 10.0, "decline", 0.9, "1", True, None),
        ("z", "u9", 60.0, 10.0, "approve", 0.1, "1", None, None),
    ]
    judged = judge(history_of(tmp_path, [*HAND, *young]), settings, TRAINED)
    assert set(judged.history.transaction) == {row[0] for row in HAND}
    assert "2 decisions after" in judged.left_out[-1]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(*row[:7], False, None) for row in HAND], "has a label that says fraud"),
        ([("a", "u", 0.0, 1.0, "approve", 0.1, "1", True, None)], ""),
    ],
    ids=["no fraud", "frauds alone"],
)
def test_a_period_without_fraud_is_refused(
    tmp_path: Path, settings: WhatIfSettings, rows: list[Row], words: str
) -> None:
    history = history_of(tmp_path, rows)
    if words:
        with pytest.raises(BadInput, match=words):
            make(history, settings, TRAINED)
    else:
        assert np.isnan(make(history, settings, TRAINED).chosen.precision.value), "nothing is stopped"


def test_only_the_decisions_from_a_moment_on_are_read(tmp_path: Path) -> None:
    delta = write(tmp_path, HAND)
    assert list(read_history(delta, {}, START + timedelta(days=4)).transaction) == list("ghdi")
    with pytest.raises(BadInput, match=r"no decision from 2025-07-.* on: send transactions"):
        read_history(delta, {}, START + timedelta(days=190))


def test_tables_that_are_not_there_are_named(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "decisions", pa.table({"transaction_id": ["a"], "user_id": ["u"]}))
    with pytest.raises(BadInput, match="lacks the table labels, transactions"):
        read_history(str(tmp_path), {})


def test_the_command_asks_the_registry_and_writes_a_report(tmp_path: Path) -> None:
    registry = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = mlflow.MlflowClient(registry, registry)
    client.create_registered_model("fraud")
    client.create_model_version("fraud", str(tmp_path), tags={"as_of": START.isoformat()})
    delta = write(tmp_path / "delta", HAND)
    common = ["whatif", "--delta", delta, "--mlflow-uri", registry, "--out", str(tmp_path / "out")]
    common += ["--label-gap-days", "2"]
    done = CliRunner().invoke(app, common)
    assert done.exit_code == 0, done.output
    assert "2 of 3 cases are stopped, 1 of them at their first fraud, half within 6.0 h of it" in done.output
    page = (tmp_path / "out" / "whatif.html").read_text()
    assert "&lt;testing&gt;" in page
    assert "<testing>" not in page
    assert page.count("data:image/png") == 4
    data = json.loads((tmp_path / "out" / "whatif.json").read_text())
    assert data["chosen"]["saved"]["value"] == 60.0
    assert pa_csv.read_csv(tmp_path / "out" / "cases.csv")["frauds"].to_pylist() == [3, 1, 1]
    client.set_model_version_tag("fraud", "1", "as_of", "2026-01-01T00:00:00+00:00")
    refused = CliRunner().invoke(app, common)
    assert refused.exit_code == 1
    assert "the moment of its training" in refused.output
    stated = CliRunner().invoke(app, [*common, "--trained-until", "2025-01-01", "--reviews-per-day", "0.1"])
    assert stated.exit_code == 0, stated.output
    assert "With 0.1 reviews a day" in stated.output
