"""Spark's own metrics, asked of a real session in a process of its own."""

import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.flow.conftest import platform_free_port, wait_until

ROOT = Path(__file__).parents[3]
JOB = textwrap.dedent("""
    import sys
    from fraud.spark.session import open_session

    spark = open_session("fraud-stream", "local[1]", 1, delta=False, spark_port=int(sys.argv[1]))
    rows = spark.readStream.format("rate").option("rowsPerSecond", 50).load()
    writer = rows.writeStream.queryName("fraud-stream").foreachBatch(lambda frame, _: frame.count())
    query = writer.option("checkpointLocation", sys.argv[2]).start()
    sys.stdin.read()
    query.stop()
    spark.stop()
""")


def names_of(text: str) -> set[str]:
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def test_spark_shows_its_own_metrics_where_it_is_asked_to(tmp_path: Path) -> None:
    port = platform_free_port()
    command = [sys.executable, "-c", JOB, str(port), str(tmp_path / "checkpoint")]
    log = tmp_path / "log"
    found: dict[str, str] = {}

    def is_shown() -> bool:
        for path in ("/metrics/prometheus/", "/metrics/executors/prometheus/"):
            try:
                found[path] = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=10.0).text
            except httpx.HTTPError:
                return False
        return "inputRate" in found["/metrics/prometheus/"]

    with log.open("w") as output:
        job = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=output, stderr=output)

    def check() -> None:
        assert job.poll() is None, log.read_text()

    try:
        wait_until(is_shown, check)
        job.communicate(timeout=120)
        assert job.returncode == 0, log.read_text()
    finally:
        if job.poll() is None:
            job.kill()
            job.wait()
    driver = names_of(found["/metrics/prometheus/"])
    assert all(name.startswith("metrics_fraud_stream_driver_") for name in driver), "stable over restarts"
    for part in ("BlockManager_memory_memUsed_MB", "streaming_fraud_stream_inputRate_total", "JVMHeapMemory"):
        assert any(part in name for name in driver), part
    assert "metrics_executor_completedTasks_total" in names_of(found["/metrics/executors/prometheus/"])
