"""The measurement of a model compares all ways on the same rows, and its report is whole."""

import json
from pathlib import Path

import pytest

from fraud.tools.bench.model import BATCHES, BOOSTER, EVALUATOR, EXPLAINED, PAIR, SINGLE, Sizes, measure_model
from fraud.tools.bench.model_report import table_of, write_report


def test_every_way_is_timed_for_every_number_of_rows(tmp_path: Path) -> None:
    figures = measure_model(Sizes(transactions=2_000, trees=5, leaves=7, repeats=1), lambda _: None)
    timed = {(one.work, one.way, one.rows) for one in figures.timings}
    assert timed == {
        *(("score", way, rows) for way in (EVALUATOR, BOOSTER, PAIR) for rows in BATCHES),
        *(("score", SINGLE, rows) for rows in BATCHES if rows <= 1_000),
        *(("contributions", way, rows) for way in (EVALUATOR, BOOSTER) for rows in EXPLAINED),
    }
    assert figures.apart == pytest.approx(0.0, abs=1e-9)
    written = json.loads(write_report(figures, tmp_path).read_text())
    assert len(written["timings"]) == len(figures.timings)
    assert table_of(figures).row_count == len(BATCHES) + len(EXPLAINED)
