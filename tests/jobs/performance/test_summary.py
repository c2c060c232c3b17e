"""The account by hand, what it shows to Prometheus, and whether a fall is seen, and only then."""

import json

import pyarrow as pa
import pytest
from prometheus_client import generate_latest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.watch.figures import Figures
from jobs.performance.figures import as_gauges
from jobs.performance.read import join
from jobs.performance.settings import PerformanceSettings
from jobs.performance.summary import MOST_VERSIONS, find_drops, summarise
from tests.deployed import SCHEMA
from tests.jobs.performance.worlds import at, decisions, draw, labels, write

US = 1_000_000
QUICK = PerformanceSettings(draws=50)


def account_of(decided, told, days: float, settings: PerformanceSettings = QUICK):
    return summarise(join(decided, told, SCHEMA, as_of_us=int(at(days).timestamp() * US)), settings)


def test_a_period_by_hand() -> None:
    rows = [
        ("caught", "u", 1.0, 100.0, "decline", 0.9, "1"),
        ("false", "v", 2.0, 50.0, "review", 0.8, "1"),
        ("missed", "w", 3.0, 300.0, "approve", 0.2, "1"),
        ("honest", "w", 4.0, 20.0, "approve", 0.1, "1"),
        ("blind", "x", 5.0, 40.0, "approve", None, None),
        ("young", "x", 15.0, 7.0, "decline", 0.9, "2"),
    ]
    told = [
        ("caught", 1.0, 2.0, True),
        ("missed", 3.0, 9.0, True),
        ("blind", 5.0, 6.0, True),
        ("young", 15.0, 16.0, True),
    ]
    account = account_of(decisions(rows), labels(told), 16.0)
    lines = {(line.window_days, line.version): line for line in account.lines}
    assert set(lines) == {
        *((7, version) for version in ("all", "1", "none")),
        *((14, version) for version in ("all", "1")),  # only the first two are so old
        *((None, version) for version in ("all", "1", "2", "none")),
    }
    week = lines[7, "all"].truth
    assert week.rows == 5, "the young one waits"
    assert (week.precision, week.frauds, week.flagged) == (0.5, 3.0, 2.0)
    assert week.recall == pytest.approx(1 / 3)
    assert (week.caught, week.lost) == (100.0, 340.0)
    assert week.pr_auc == pytest.approx((1 + 2 / 3) / 2), "0.9 is fraud, 0.8 not, 0.2 fraud"
    assert lines[7, "none"].truth.recall == 0.0
    assert lines[7, "none"].expected is None
    assert lines[14, "all"].truth.rows == 2
    assert lines[None, "all"].truth is None
    assert lines[None, "2"].expected.mean.frauds == pytest.approx(0.9, abs=0.1)
    assert [note for note in account.notes if "30 days old" in note]
    assert len([note for note in account.notes if "not judged" in note]) == 2


def test_frauds_are_told_of_by_type() -> None:
    rows = [
        ("a", "u", 1.0, 100.0, "decline", 0.9, "1"),
        ("b", "v", 2.0, 50.0, "review", 0.8, "1"),
        ("c", "w", 3.0, 300.0, "approve", 0.2, "1"),
        ("d", "w", 4.0, 20.0, "approve", 0.1, "1"),
        ("late", "x", 5.0, 40.0, "approve", 0.1, "1"),
        ("newest", "x", 13.0, 7.0, "approve", 0.1, "1"),
    ]
    told = labels([(name, day, day + 1.0, True) for name, day in (("a", 1), ("b", 2), ("c", 3), ("d", 4))])
    told = pa.concat_tables([told, labels([("late", 5.0, 12.9, True), ("c", 3.0, 5.0, True)])])
    kinds = ["takeover", "card_testing", "takeover", None, "takeover", "card_testing"]
    told = told.append_column("fraud_type", pa.array(kinds))
    account = account_of(decisions(rows), told, 13.0)
    found = {one.fraud_type: one for one in account.types}
    assert list(found) == ["card_testing", "takeover", "unknown"], "the last label of c counts"
    assert [one.frauds for one in found.values()] == [2, 1, 1], "the label of the last came too late"
    assert (found["card_testing"].recall, found["card_testing"].lost) == (0.5, 300.0)
    assert found["card_testing"].amount_caught == pytest.approx(50 / 350)
    assert (found["takeover"].recall, found["unknown"].recall) == (1.0, 0.0)
    assert [sum(week.frauds.values()) for week in account.weeks] == []
    shown = generate_latest(as_gauges(account)).decode()
    assert 'fraud_performance_type_recall_ratio{type="card_testing"} 0.5' in shown


def test_weeks_hold_every_known_fraud_of_theirs() -> None:
    decided, told = draw(4, 60)
    kinds = ["takeover" if i % 3 else "card_testing" for i in range(told.num_rows)]
    account = account_of(decided, told.append_column("fraud_type", pa.array(kinds)), 61.0)
    assert len(account.weeks) == 7
    counted = {name: sum(week.frauds[name] for week in account.weeks) for name in set(kinds)}
    assert counted["takeover"] / counted["card_testing"] == pytest.approx(2.0, rel=0.1)


def test_without_a_change_nothing_falls() -> None:
    for seed in range(10):
        decided = join(*draw(seed, 100), SCHEMA, as_of_us=int(at(101.0).timestamp() * US))
        falls, notes = find_drops(decided, 7, QUICK)
        assert (len(falls), notes) == (8, [])
        assert [one for one in falls if one.has_fallen] == []


def test_fraud_that_the_model_does_not_know_falls_in_truth_and_not_in_the_estimate() -> None:
    account = account_of(*draw(1, 100, blind_from=66.0), 101.0)
    fallen = {(one.metric, one.basis) for one in account.fallen}
    assert {("recall", "matured"), ("pr_auc", "matured"), ("amount_caught", "matured")} <= fallen
    assert not [basis for _, basis in fallen if basis == "estimated"]


def test_the_estimate_lies_beside_the_truth_over_the_days() -> None:
    account = account_of(*draw(2, 60), 61.0)
    both = [point for point in account.points if 7 in point.truths]
    assert len(both) > 40
    assert all(30 not in point.truths for point in account.points[-20:]), "too young for that window"
    near = [
        point.expected.low.recall <= point.truths[7].recall <= point.expected.high.recall for point in both
    ]
    assert sum(near) > 0.85 * len(near)


def test_labels_of_the_figures_have_few_values() -> None:
    rows = [(f"t{k}", "u", k * 0.1, 1.0, "review", 0.5, str(k)) for k in range(50)]
    account = account_of(decisions(rows), labels([("t0", 0.0, 1.0, True)]), 25.0)
    versions = {line.version for line in account.lines}
    assert versions == {"all", *(str(k) for k in range(50 - MOST_VERSIONS, 50))}, "the newest"
    text = generate_latest(as_gauges(account)).decode()
    assert 'fraud_performance_ratio{metric="precision",version="all",window="7d"} 0.02' in text
    assert len(text.splitlines()) < 250


def test_the_command_reports_and_publishes(tmp_path) -> None:
    delta, out = write(tmp_path / "delta", *draw(1, 100, blind_from=66.0)), tmp_path / "out"
    arguments = ["performance", "--delta", delta, "--windows", "7,14", "--out", str(out), "--strict"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 3, done.output
    assert "recall has fallen" in done.output
    found = json.loads((out / "performance.json").read_text())
    assert {line["window_days"] for line in found["lines"]} == {7, 14, None}
    page = (out / "report.html").read_text()
    assert "data:image/png" in page
    assert "has fallen" in page
    shown = Figures(delta, {})
    shown.refresh()
    figures = {
        (sample.name, sample.labels.get("metric"), sample.labels.get("window", sample.labels.get("basis"))): (
            sample.value
        )
        for family in shown.collect()
        for sample in family.samples
        if sample.labels.get("version", "all") == "all"
    }
    assert figures["fraud_performance_fall", "recall", "matured"] == 1.0
    assert 0.0 < figures["fraud_performance_ratio", "recall", "7d"] < 1.0
    assert figures["fraud_performance_lost_amount", None, "14d"] > 0.0
    assert ("fraud_performance_last_run_timestamp_seconds", None, None) in figures


def test_a_wrong_setting_is_named(tmp_path) -> None:
    done = CliRunner().invoke(app, ["performance", "--delta", str(tmp_path), "--windows", "0"])
    assert done.exit_code == 1
    assert "windows_days" in str(done.output)
