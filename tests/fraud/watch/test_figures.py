"""What jobs leave for Prometheus is what a scrape shows: the newest of each, whole."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from fraud.errors import Unavailable
from fraud.watch.figures import Figures, publish_figures


def figures_of(**values: float) -> CollectorRegistry:
    registry = CollectorRegistry()
    for name, value in values.items():
        Gauge(name, "A figure.", ["feature"], registry=registry).labels('a "b"').set(value)
    return registry


def scrape(figures: Figures) -> dict[str, float]:
    figures.refresh()
    registry = CollectorRegistry()
    registry.register(figures)
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


def test_a_scrape_shows_the_newest_figures_of_every_job(tmp_path: Path) -> None:
    delta, shown = str(tmp_path / "a delta"), Figures(str(tmp_path / "a delta"), {})
    assert scrape(shown) == {}, "before any job has run"
    publish_figures(delta, {}, "drift", figures_of(fraud_drift_psi_ratio=0.5, fraud_drift_old_ratio=1.0))
    publish_figures(delta, {}, "parity", figures_of(fraud_parity_difference=float("inf")))
    assert scrape(shown)['fraud_drift_old_ratio{feature="a \\"b\\""}'] == 1.0
    publish_figures(delta, {}, "drift", figures_of(fraud_drift_psi_ratio=0.25))
    found = scrape(shown)
    times = {name for name in found if name.endswith("_last_run_timestamp_seconds")}
    assert times == {f"fraud_{job}_last_run_timestamp_seconds" for job in ("drift", "parity")}
    assert {name: value for name, value in found.items() if name not in times} == {
        'fraud_drift_psi_ratio{feature="a \\"b\\""}': 0.25,
        'fraud_parity_difference{feature="a \\"b\\""}': float("inf"),
    }


def test_jobs_that_end_together_lose_nothing(tmp_path: Path) -> None:
    jobs = ["parity", "drift", "evaluate", "experiment"]

    def run(job: str) -> None:
        publish_figures(str(tmp_path), {}, job, figures_of(**{f"fraud_{job}_value": 1.0}))

    run(jobs[0])
    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(run, jobs))
    assert len(scrape(Figures(str(tmp_path), {}))) == 2 * len(jobs)


def test_a_table_that_cannot_be_read_leaves_what_was_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish_figures(str(tmp_path), {}, "parity", figures_of(fraud_parity_difference=0.0))
    shown = Figures(str(tmp_path), {})
    before = scrape(shown)
    publish_figures(str(tmp_path), {}, "parity", figures_of(fraud_parity_difference=1.0))
    (tmp_path / "figures" / "_delta_log" / f"{1:020d}.json").write_text("not a log")
    assert scrape(shown) == before
    assert "cannot be read" in caplog.text


def test_figures_are_named_after_their_job(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    Counter("fraud_drift_runs", "Of another job.", registry=registry)
    with pytest.raises(ValueError, match="fraud_drift_runs"):
        publish_figures(str(tmp_path), {}, "parity", registry)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(Unavailable, match="parity"):
        publish_figures(str(tmp_path), {}, "parity", figures_of(fraud_parity_difference=0.0))
