"""The measurements measure the same work: plain Python and the fold agree, and the report is whole."""

import json

import numpy as np
import pytest

from fraud.errors import FraudError
from fraud.features import kernel
from fraud.features.engine import fold_events
from fraud.features.plan import EVENT_COLUMN
from fraud.schema.default import MERCHANT, USER
from fraud.tools.bench import features
from fraud.tools.bench.features import Sizes, measure_features
from fraud.tools.bench.fold_report import tables_of, write_report
from fraud.tools.bench.plain import PlainFold
from fraud.tools.bench.workloads import draw_bursts, draw_busy_merchant, draw_history, draw_traffic

TINY = Sizes(3_000, 100, 60, 1_000, (500,), 1, micro_batch=500)


@pytest.fixture(scope="module")
def traffic():
    return draw_traffic(6_000, 40, 40)


@pytest.mark.parametrize("entity", [USER, MERCHANT], ids=["user", "merchant"])
def test_plain_python_computes_the_same_features(entity, traffic):
    """150 transactions a user and a merchant: windows fill, empty, and values come again."""
    events = traffic.transactions
    plain = PlainFold(entity)
    vectors = np.array([plain.fold(tuple(row)) for row in events.tolist()])
    assert features._check(entity, events, vectors) > 0.5 * vectors.size


def test_a_difference_is_found(traffic):
    events = traffic.transactions[:100]
    vectors = fold_events(USER, events, {}).vectors.copy()
    vectors[50, 6] += 1e-6
    with pytest.raises(FraudError, match="disagree on count_1h_by_user: 1 values"):
        features._check(USER, events, vectors)


def test_plain_python_takes_a_duplicate_once_and_refuses_disorder(traffic):
    early, late = (tuple(row) for row in traffic.transactions[:2].tolist())
    plain = PlainFold(USER)
    assert plain.fold(late)
    assert plain.fold(late) == []
    with pytest.raises(ValueError, match="in the order of their times"):
        plain.fold((*early[:8], late[8], *early[9:]))


def test_bursts_and_busy_merchants_are_what_they_are_called(traffic):
    bursts = draw_bursts(traffic.transactions, 200)
    _, counts = np.unique(bursts[:, kernel.E_USER], return_counts=True)
    assert (counts % 200 == 0).all()
    assert (np.diff(bursts[:, kernel.E_TIME]) >= 0).all()
    busy = draw_busy_merchant(traffic.transactions)
    assert len(np.unique(busy[:, EVENT_COLUMN["merchant"]])) == 1
    assert np.ptp(busy[:, kernel.E_TIME]) <= 168 * 3.6e9


def test_every_user_has_a_history(traffic):
    parts = np.concatenate(list(draw_history(traffic, 5, 64)))
    _, counts = np.unique(parts[:, kernel.E_USER], return_counts=True)
    assert counts.tolist() == [5] * 40
    assert parts[-1, kernel.E_TIME] < traffic.transactions[0, kernel.E_TIME]
    assert len(np.unique(parts[:, kernel.E_ID])) == 200


def test_the_report_is_whole(tmp_path):
    report = measure_features(TINY, lambda _: None)
    data, plot = write_report(report, tmp_path / "out")
    found = json.loads(data.read_text())
    assert found["machine"]["cores"] >= 1
    assert len(found["rates"]) == 14
    assert all(rate["events_per_s"] > 0 for rate in [*found["rates"], *found["growth"]])
    assert found["growth"][0]["entities"] == 500
    assert plot.stat().st_size > 10_000
    assert [table.row_count for table in tables_of(report)] == [14, 1]
