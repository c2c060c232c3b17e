"""Two revisions are measured in turn, and a ratio above 1 is always an improvement."""

import subprocess
from pathlib import Path

import pytest

import fraud
from fraud.errors import BadInput
from fraud.tools.bench.against import Comparison, compare, figures_of, table_of, worktree, write_report

REPOSITORY = Path(fraud.__file__).parents[1]


def test_rounds_alternate_and_ratios_are_of_neighbours(tmp_path: Path) -> None:
    ran: list[tuple[str, bool]] = []

    def bench(name: str, tree: Path) -> dict[str, float] | None:
        is_ours = tree == REPOSITORY
        ran.append((name, is_ours))
        if name == "model" and not is_ours:
            return None
        slow = float(len(ran))  # the machine gets slower and slower
        return {"score, 1: least_us": slow * (1.0 if is_ours else 2.0), "events_per_s": 100.0 / slow}

    kept: list[Comparison] = []
    comparison = compare("HEAD", ["features", "model"], 3, bench, keep=kept.append)
    assert [len(one.figures) for one in kept] == [2, 2, 2]
    assert kept[0].figures[0].highest_ratio == 1.0, "of the first round alone"
    first, second = ("features", False), ("features", True)
    assert ran[:6] == [first, second, second, first, first, second]
    times = {one.name: (one.lowest_ratio, one.ratio, one.highest_ratio) for one in comparison.figures}
    assert times["features: score, 1: least_us"] == (1.0, 1.667, 2.667)
    assert times["features: events_per_s"] == (0.5, 0.833, 1.333)
    assert comparison.left_out == ["model"]
    assert table_of(comparison).row_count == 2
    assert "ratio" in write_report(comparison, tmp_path).read_text()


def test_a_figure_is_named_by_what_it_is_of() -> None:
    report = {
        "machine": {"cpu": "x", "load_ms": 1.0},
        "load_ms": 3.0,
        "points": [{"server": "scoring", "rate": 500.0, "loaded": {"p99_ms": 7.0, "sent": 9}}],
        "rates": [{"entity": "user", "work": "w", "events": 5, "events_per_s": 8}],
    }
    assert figures_of(report) == {
        "load_ms": 3.0,
        "scoring, 500.0: p99_ms": 7.0,
        "user, w: events_per_s": 8.0,
    }


def test_the_other_revision_is_laid_out_and_removed() -> None:
    with worktree(REPOSITORY, "HEAD") as tree:
        assert (tree / "fraud" / "cli.py").exists()
    assert not tree.exists()
    listed = subprocess.run(
        ["git", "-C", REPOSITORY, "worktree", "list"], capture_output=True, text=True, check=True
    )
    assert str(tree) not in listed.stdout


def test_a_revision_that_git_does_not_know_is_refused() -> None:
    with pytest.raises(BadInput, match="needs a git clone and a revision"):
        compare("no-such-revision", ["features"], 1)
