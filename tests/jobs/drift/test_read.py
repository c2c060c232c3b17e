"""The Delta tables are counted by event time, and scores of the asked version alone."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from prometheus_client import generate_latest

from fraud.errors import BadInput
from fraud.watch.profile import DAY_US, Tally, number_column, text_column
from jobs.drift.judge import Judge
from jobs.drift.pictures import as_image, draw_columns, draw_scores
from jobs.drift.read import count_days, last_day
from jobs.drift.report import DriftReport, as_gauges, write_report
from jobs.drift.settings import Limits

START = datetime(2026, 3, 2, tzinfo=UTC)
FIRST = int(START.timestamp()) // 86_400
DAYS, A_DAY = 40, 144


@pytest.fixture(scope="module")
def delta(tmp_path_factory) -> str:
    folder = str(tmp_path_factory.mktemp("delta"))
    times = [START + timedelta(minutes=10 * at) for at in range(DAYS * A_DAY + 1)]
    count = len(times)
    event_time = pa.array(times, pa.timestamp("us", tz="UTC"))
    channel = pa.array(["chip", "online"] * count)[:count]
    amount = np.linspace(1.0, 100.0, A_DAY)[np.arange(count) % A_DAY]
    versions = np.where(np.arange(count) % 2 == 0, "7", "8")
    write_deltalake(f"{folder}/transactions", pa.table({"event_time": event_time, "channel": channel}))
    write_deltalake(f"{folder}/features", pa.table({"event_time": event_time, "transaction_amount": amount}))
    decisions = {"event_time": event_time, "score": amount / 100.0, "model_version": versions.tolist()}
    write_deltalake(f"{folder}/decisions", pa.table(decisions))
    return folder


def columns():
    return [
        number_column("transaction_amount", np.linspace(1.0, 100.0, A_DAY)),
        number_column("score", np.linspace(0.01, 1.0, A_DAY)),
        text_column("channel", pa.array(["chip", "online"])),
    ]


def test_the_last_whole_day_is_counted_and_reported(delta, tmp_path):
    last = last_day(delta, {})
    assert last == FIRST + DAYS - 1
    empty = Tally(columns(), range(FIRST - 14, FIRST)).profile()
    tally = count_days(delta, {}, empty, last=last, window=3, version="7")
    assert tally.hours[-1].tolist() == [6] * 24
    assert tally.counts["transaction_amount"][-1].sum() == A_DAY
    assert tally.counts["channel"][-1].tolist() == [72, 72, 0, 0, 0]
    assert tally.counts["score"][-1].sum() == A_DAY // 2
    trained = Tally(columns(), range(FIRST, FIRST + 28))
    event_us = np.arange(28 * A_DAY) * 600_000_000 + FIRST * DAY_US
    amount = np.tile(np.linspace(1.0, 100.0, A_DAY), 28)
    trained.add_times(event_us)
    trained.add(
        event_us, {"transaction_amount": amount, "channel": pa.array(["chip", "online"] * (14 * A_DAY))}
    )
    judge = Judge(trained.profile(), tally, Limits())
    days = [judge.day(day) for day in range(last - 2, last + 1)]
    account = DriftReport("fraud", "7", days, judge.alarms(days))
    assert account.alarms == {}
    assert any("too few rows to judge: score" in note for note in days[-1].notes)
    figures = [draw_columns(judge, days[-1]), draw_scores(judge)]
    titles = [axes.get_title() for axes in figures[0].axes]
    assert {title.split(",")[0] for title in titles} == {"transaction_amount", "channel", ""}
    assert len(figures[1].axes[0].lines[0].get_xdata()) == 38, "the judged days and the weeks before"
    data, page = write_report(account, tmp_path / "out", {"Columns": as_image(figures[0])})
    assert '"alarms": {}' in data.read_text()
    assert "No alarm" in page.read_text()
    assert "data:image/png" in page.read_text()
    text = generate_latest(as_gauges(account)).decode()
    assert 'fraud_drift_psi_ratio{feature="transaction_amount"}' in text
    assert "fraud_drift_day_transactions 144.0" in text


def test_a_platform_without_tables_is_told_so(tmp_path):
    with pytest.raises(BadInput, match="no Delta table transactions"):
        last_day(str(tmp_path), {})
