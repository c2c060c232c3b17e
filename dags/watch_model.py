"""Airflow DAG: an account of the champion, daily, on matured labels, on what it is asked, on its features.

The three look at different things and do not wait for each other; one that fails says so by itself.
"""

from datetime import timedelta

from pods import make_dag, run_job

with make_dag(
    "watch_model",
    "Evaluate the champion on matured labels, look for drift, recompute what was served",
    "0 5 * * *",
    timeout=timedelta(hours=4),
):
    run_job(
        "evaluate",
        "evaluate",
        ["python", "-m", "jobs.evaluate.main"],
        timeout=timedelta(hours=2),
        environment={"FRAUD_EVALUATE_OUT": "/tmp/evaluation"},  # noqa: S108  (kept as the run's artifacts)
    )
    run_job("drift", "drift", ["python", "-m", "fraud", "drift"], timeout=timedelta(hours=1))
    run_job("parity", "parity", ["python", "-m", "fraud", "parity"], timeout=timedelta(hours=3))
