"""A new process takes a running stream's place under traffic: nothing is lost, the pause is short."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from deltalake import DeltaTable

from fraud.contracts import DECISIONS
from fraud.runtime.standby import ready_file
from tests.flow.conftest import Job, wait_until
from tests.fraud.kafka.broker import read_all
from tests.jobs.stream.test_live_input import decided, good, send

pytestmark = pytest.mark.flow
EVERY_S = 0.1


class Traffic:
    """Sends transactions until it is stopped."""

    def __init__(self, kafka: str) -> None:
        self.sent, self._kafka, self._stop = 0, kafka, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.sent += 1
            send(self._kafka, [good(self.sent)])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def longest_pause_s(kafka: str, since: float) -> float:
    """Between two decisions, by the broker's clock."""
    times = sorted(message.timestamp()[1] / 1e3 for message in read_all(kafka, DECISIONS))
    times = [since, *(at for at in times if at >= since)]
    return max(after - before for before, after in pairwise(times))


def test_a_successor_that_has_loaded_pauses_the_stream_for_less_than_a_start(
    kafka: str, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    old, turn = make_job(), tmp_path / "stream.turn"
    traffic = Traffic(kafka)
    old.start()
    wait_until(old.is_ready, old.check)
    traffic.start()
    try:
        wait_until(lambda: len(decided(old)) > 20, old.check)
        began = time.time()
        old.stop()
        old.start()
        wait_until(old.is_ready, old.check)
        goal = traffic.sent
        wait_until(lambda: len(decided(old)) > goal, old.check)
        plain_s = longest_pause_s(kafka, began)
        new = make_job(FRAUD_STREAM_START_AFTER=str(turn))
        new.start()
        wait_until(ready_file(turn).exists, new.check)
        goal = traffic.sent
        wait_until(lambda: len(decided(old)) > goal, old.check)
        began = time.time()
        old.stop()
        turn.touch()
        wait_until(new.is_ready, new.check)
        goal = traffic.sent
        wait_until(lambda: len(decided(new)) > goal, new.check)
        loaded_s = longest_pause_s(kafka, began)
    finally:
        traffic.stop()
    wait_until(lambda: len(decided(new)) == traffic.sent, new.check)
    new.stop()
    table = DeltaTable(f"{new.settings.delta_path}/decisions").to_pyarrow_table(columns=["transaction_id"])
    counts = Counter(table.column("transaction_id").to_pylist())
    assert len(counts) == traffic.sent, "none is lost"
    assert set(counts.values()) == {1}, "none is doubled"
    print(f"pause: start {plain_s:.1f} s, loaded successor {loaded_s:.1f} s")  # noqa: T201
    assert loaded_s < plain_s
