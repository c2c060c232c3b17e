"""Whose processor time the benchmark of the stream counts, and as whose."""

import subprocess
import sys
import time

from fraud.local.platform import PartStatus, State
from fraud.tools.bench.cost import Cost, Meter

BUSY = """import time
end = time.process_time() + 0.4
while time.process_time() < end: pass
input()"""
WORKER = BUSY + "  # as pyspark.daemon"
DRIVER = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {WORKER!r}])"


def test_time_is_counted_by_kind_of_process_and_for_a_million_decisions() -> None:
    stopped = PartStatus(name="console", state=State.STOPPED)
    with subprocess.Popen([sys.executable, "-c", DRIVER], stdin=subprocess.PIPE) as driver:
        meter = Meter(lambda: [stopped, PartStatus(name="stream", state=State.READY, pid=driver.pid)])
        give_up = time.monotonic() + 60.0
        while of_workers(meter.costs(1_000_000)) < 0.3:
            assert time.monotonic() < give_up
            time.sleep(0.02)
        assert 300.0 <= of_workers(meter.costs(1_000)) < 3_000.0
        driver.communicate(b"\n", timeout=60)


def of_workers(costs: list[Cost]) -> float:
    return sum(cost.cpu_s for cost in costs if cost.part == "stream: Python workers")
