"""The analysis, from Delta tables to the stop record; its numbers against plain formulas."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from fraud.decide.experiment import ExperimentFile, Metric
from fraud.errors import BadInput
from jobs.experiment import simulate
from jobs.experiment.analysis import state_of
from jobs.experiment.outcomes import parts_of
from jobs.experiment.report import write_html
from jobs.experiment.run import look_once, run
from jobs.experiment.sequential import RATIO_ALPHA, Totals, look, ratio_p_value
from jobs.experiment.settings import ExperimentSettings
from services.console import views
from tests.fraud.decide.test_experiment import TEXT, write

DAY = datetime(2026, 3, 1, tzinfo=UTC)
HEAVY = TEXT.replace("weight: 0.7", "weight: 0.5").replace("weight: 0.3", "weight: 0.5")


class World:
    """An experiment's tables in a folder."""

    def __init__(self, folder: Path, text: str = HEAVY) -> None:
        self.file = ExperimentFile(write(folder, text))
        self.settings = ExperimentSettings(
            file=folder / "experiment.yaml", delta=str(folder / "delta"), out=folder / "out", publishes=False
        )

    def decide(self, declines: dict[str, float], *, days: int = 30, shift: bool = False) -> None:
        """Write decisions: honest ones, declined with their arm's chance, and 2 % fraud, reviewed."""
        rng = np.random.default_rng(4)
        rows: list[dict[str, Any]] = []
        labels: list[dict[str, Any]] = []
        for day in range(days):
            for i in range(600):
                user = f"u{i}"
                arm = self.file.experiment.arm_of(user).name
                is_fraud, id_ = bool(rng.random() < 0.02), f"t{day}-{i}"
                is_declined = not is_fraud and rng.random() < declines[arm]
                when = DAY + timedelta(days=day, seconds=i)
                rows.append(
                    {
                        "transaction_id": id_,
                        "user_id": user,
                        "event_time": when,
                        "amount": 100.0,
                        "outcome": "review" if is_fraud else "decline" if is_declined else "approve",
                        "experiment": self.file.experiment.id,
                        "arm": "treatment" if shift else arm,
                        "score": 0.1,
                        "shadow_score": 0.2 if arm == "control" else None,
                    }
                )
                if is_fraud:
                    labels.append(
                        {"transaction_id": id_, "is_fraud": True, "label_time": when + timedelta(days=3)}
                    )
        write_deltalake(f"{self.settings.delta}/decisions", pa.Table.from_pylist(rows))
        write_deltalake(f"{self.settings.delta}/labels", pa.Table.from_pylist(labels))


def test_a_violated_guardrail_stops_the_experiment_and_programs_follow(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.decide({"control": 0.01, "treatment": 0.05})
    assert world.file.running() is not None
    _, stop = run(world.settings)
    assert stop is not None
    assert stop.by == "guardrail"
    world.file.look()
    assert world.file.running() is None
    state = json.loads((tmp_path / "out" / "state.json").read_text())
    assert state["stopped"] == stop.reason
    assert "false_declines" in (tmp_path / "out" / "report.html").read_text()


def test_a_guardrail_sees_what_the_control_never_does(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.decide({"control": 0.0, "treatment": 0.05})
    _, stop = run(world.settings)
    assert stop is not None
    assert stop.by == "guardrail"


def test_a_label_dated_into_the_future_makes_nothing_mature(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.decide({"control": 0.01, "treatment": 0.01})
    before, _ = look_once(world.settings)
    late = {"transaction_id": "t0-0", "is_fraud": True, "label_time": datetime(2099, 1, 1, tzinfo=UTC)}
    write_deltalake(f"{world.settings.delta}/labels", pa.Table.from_pylist([late]), mode="append")
    after, _ = look_once(world.settings)
    assert after.outcomes.immature == before.outcomes.immature > 0


def test_equal_arms_go_on_and_nothing_is_written_by_a_look(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.decide({"control": 0.01, "treatment": 0.01})
    analysis, stop = look_once(world.settings)
    assert (analysis.must_stop(), stop) == (None, None)
    assert not (tmp_path / "out").exists()
    assert analysis.outcomes.immature > 0
    assert analysis.outcomes.immature + len(analysis.outcomes.user) == 600 * 30
    assert len(analysis.days) == 29 + 3 + 1 - 14  # the last label comes three days after the last decision
    money, _ = parts_of(analysis.outcomes, Metric.MONEY_SAVED)
    assert money.sum() == 100.0 * analysis.outcomes.is_fraud.sum()


def test_money_is_told_with_its_currency_on_the_terminal_in_the_report_and_for_the_console(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.decide({"control": 0.01, "treatment": 0.01})
    found, _ = look_once(world.settings)
    assert found.name_of(Metric.MONEY_SAVED) == "money_saved", "the packaged schema has no currencies"
    analysis = replace(found, outcomes=replace(found.outcomes, currency="EUR"))
    assert state_of(analysis, None)["metrics"][0]["metric"] == "money_saved in EUR"
    assert "<h2>money_saved in EUR</h2>" in write_html(analysis, None)
    assert analysis.name_of(Metric.FALSE_DECLINES) == "false_declines"


def test_before_the_first_labels_are_due_it_waits(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.decide({"control": 0.01, "treatment": 0.01}, days=5)
    analysis, stop = run(world.settings)
    assert stop is None
    assert sum(analysis.users[-1]) == 600
    state = json.loads((tmp_path / "out" / "state.json").read_text())
    assert "wait for labels" in state["verdict"]
    assert (state["transactions"], state["immature"]) == (0, 5 * 600)
    assert {one["control"] for one in state["metrics"]} == {None}
    assert views.experiment(world.settings.file, tmp_path / "out" / "state.json")["state"]


@pytest.mark.parametrize("days", [20, 2])
def test_decisions_in_another_arm_than_the_user_s_stop_it(tmp_path: Path, days: int) -> None:
    world = World(tmp_path)
    world.decide({"control": 0.01, "treatment": 0.01}, days=days, shift=True)
    analysis, stop = run(world.settings)
    assert stop is not None
    assert stop.by == "sample_ratio"
    assert analysis.outcomes.strays > 0


def test_without_decisions_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no decision"):
        run(World(tmp_path).settings)


def test_the_ratio_s_variance_is_that_of_clusters() -> None:
    """Against resampling of users: a user's transactions are not independent."""
    rng = np.random.default_rng(1)
    n = rng.poisson(rng.gamma(1.0, 5.0, 3_000)).astype(float)
    y = n * rng.gamma(0.5, 2.0, 3_000)
    totals = Totals(3_000)
    totals.add(np.arange(3_000), y, n)
    draws = rng.integers(0, 3_000, (1_000, 3_000))
    resampled = (y[draws].sum(1) / n[draws].sum(1)).std()
    assert totals.ratio()[1] ** 0.5 == pytest.approx(resampled, rel=0.1)


def test_the_bounds_and_the_p_value_say_the_same() -> None:
    rng = np.random.default_rng(2)
    for shift in (0.0, 0.05, 0.1, 0.2, 0.4):
        arms = Totals(400), Totals(400)
        for totals, mean in zip(arms, (1.0, 1.0 + shift), strict=True):
            totals.add(np.arange(400), rng.normal(mean, 1.0, 400), np.ones(400))
        for alpha in (0.2, 0.05, 0.001):
            one = look(*arms, alpha, 0.2)
            assert (one.lower > 0.0 or one.upper < 0.0) == (one.p_value < alpha)


def test_peeking_raises_no_more_false_alarms_than_stated_and_a_difference_is_found() -> None:
    none = simulate.simulate(100, simulate.RECALL, 5, users=1_000)
    assert none.decided <= simulate.ALPHA
    assert none.by_peeking > none.decided
    assert simulate.simulate(10, 0.95, 6, control=0.25, users=4_000).decided == 1.0


def test_the_sample_ratio_test_bears_peeking_and_finds_a_skew() -> None:
    assert simulate.simulate_ratio(300, 0.5, 7)[0] <= 0.01
    assert simulate.simulate_ratio(50, 0.55, 8)[0] == 1.0
    assert ratio_p_value([100, 300], [0.25, 0.75]) == 1.0
    assert ratio_p_value([300, 100], [0.25, 0.75]) < RATIO_ALPHA
