"""A plan follows from the figures and the day: what it says can be checked by hand."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.errors import BadInput
from fraud.tools.plan.day import DAYS, RATES, EntityDay, simulate_day, sizes_by_rate
from fraud.tools.plan.figures import read_figures
from fraud.tools.plan.sizing import Load, make_plan
from tests.deployed import PASSES

FIGURES = read_figures()


@pytest.fixture(scope="module")
def days() -> list[EntityDay]:
    return simulate_day(PASSES, (100_000, 2_000), 200_000.0)


def needs(load: Load, days: Sequence[EntityDay]) -> dict[str, str]:
    return {line.part: line.need for line in make_plan(load, days, FIGURES).lines}


def test_the_simulated_day_has_the_events_that_were_asked_for(days: list[EntityDay]) -> None:
    for day in days:
        assert day.events == pytest.approx(200_000, rel=0.02)
        assert 0 < day.active <= day.entities
        assert day.median <= day.p999 <= day.hottest
        assert day.distinct(1.0) == pytest.approx(1.0, rel=0.05)
        assert day.distinct(1e12) == pytest.approx(day.entities, rel=0.01)
    assert days[1].hottest > 20 * days[1].events / days[1].entities  # a hot merchant


def test_states_grow_with_the_rate_and_stay_within_the_plans_bound() -> None:
    for one in PASSES:
        sizes = sizes_by_rate(one.plan)
        assert np.all(np.diff(sizes) > 0)
        assert sizes[-1] <= one.plan.state_floats * 8
        kept = one.plan.kept_columns * 8 * min(RATES[4] * DAYS, one.entity.events)
        assert sizes[4] >= 0.8 * kept  # one event a day: all of a month are kept whole


def test_a_sample_stands_for_all(days: list[EntityDay]) -> None:
    large = simulate_day(PASSES, (5_000_000, 2_000), 10_000_000.0)[0]
    assert large.weight == 5.0
    assert large.events == pytest.approx(10_000_000, rel=0.02)
    assert large.state_bytes == pytest.approx(days[0].state_bytes, rel=0.05)


def test_the_stream_decides_where_it_is_quick_enough_and_cores_follow_the_rate(days: list[EntityDay]) -> None:
    stream = FIGURES.stream
    for per_s in (1_000.0, 10_000.0):
        found = needs(Load(100_000, per_s, 1_100.0), days)
        exact = per_s / (stream.decided_per_s * 0.5) * stream.cores
        assert exact <= int(found["stream: cores"].replace(",", "")) < exact + 1.0
    assert "scoring service: replicas" not in found
    quick = needs(Load(100_000, 10_000.0, 11.0), days)
    assert quick["scoring service: replicas"] == "10"
    assert quick["scoring service: cores"] == "20"
    assert make_plan(Load(100_000, 10_000.0, 11.0), days, FIGURES).path == "scoring service"


def test_the_first_ceiling_is_the_one_that_is_used_most(days: list[EntityDay]) -> None:
    small, large = (make_plan(Load(100_000, per_s, 1_100.0), days, FIGURES) for per_s in (100.0, 100_000.0))
    for made in (small, large):
        shares = [one.share for one in made.ceilings]
        assert shares == sorted(shares, reverse=True)
    assert small.ceilings[0].share < 1.0 < large.ceilings[0].share
    assert {line.part: line.need for line in small.lines}["store: shards"] == "1"
    assert int({line.part: line.need for line in large.lines}["store: shards"]) > 1
    tiny = make_plan(Load(100_000, 100.0, 1_100.0, machine_gib=1.0), days, FIGURES)
    memory = {one.name: one for one in tiny.ceilings}
    roomy = {one.name: one for one in small.ceilings}
    name = "store: memory of one machine"
    assert memory[name].share == pytest.approx(512.0 * roomy[name].share)


def test_what_nobody_measured_is_refused_in_words(days: list[EntityDay]) -> None:
    with pytest.raises(BadInput, match=r"--users is 100,000,001"):
        Load(100_000_001, 1.0, 1_000.0)
    with pytest.raises(BadInput, match=r"--transactions-per-second is 100,001"):
        Load(1, 100_001.0, 1_000.0)
    with pytest.raises(BadInput, match=r"--latency is 1 ms; the quickest that was measured is 3.4 ms"):
        make_plan(Load(1_000, 1.0, 1.0), days, FIGURES)


def test_the_command_prints_the_plan_and_its_sources() -> None:
    given = ["plan", "--users", "100000", "--transactions-per-second", "500"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    for word in ("simulated", "store: servers", "First ceiling", "Measured on 2 cores"):
        assert word in done.output
    found = json.loads(CliRunner().invoke(app, [*given, "--events-per-user", "4", "--json"]).stdout)
    assert found["load"]["peak"] == pytest.approx(500 * 86_400 / 400_000)
    assert found["measured_on"] == FIGURES.machine
