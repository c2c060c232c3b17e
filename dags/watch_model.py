"""Airflow DAG: check the champion daily: decisions, drift, experiment, parity of the features.

It also checks the rules. An experiment is stopped if a guardrail is violated. The tasks do not wait for each
other, and each reports its own failure.
"""

from datetime import timedelta

from pods import make_dag, run_job

with make_dag(
    "watch_model",
    "Measure decisions on matured labels, evaluate the champion, look for drift, recompute what was served",
    "0 5 * * *",
    timeout=timedelta(hours=4),
):
    run_job(
        "evaluate",
        "evaluate",
        ["evaluate"],
        timeout=timedelta(hours=2),
        environment={"FRAUD_EVALUATE_OUT": "/tmp/evaluation"},  # noqa: S108  (kept as the run's artifacts)
    )
    run_job(
        "performance",
        "performance",
        ["python", "-m", "fraud", "performance"],
        timeout=timedelta(hours=1),
        environment={"FRAUD_PERFORMANCE_OUT": "/tmp/performance"},  # noqa: S108  (the only place to write)
    )
    run_job(
        "drift",
        "drift",
        ["python", "-m", "fraud", "drift"],
        timeout=timedelta(hours=1),
        environment={"FRAUD_DRIFT_OUT": "/tmp/drift"},  # noqa: S108
    )
    run_job(
        "experiment",
        "experiment",
        ["python", "-m", "fraud", "experiment", "report"],
        timeout=timedelta(hours=1),
    )
    run_job("rules", "rules", ["python", "-m", "fraud", "rules", "guard"], timeout=timedelta(hours=1))
    run_job("parity", "parity", ["python", "-m", "fraud", "parity"], timeout=timedelta(hours=3))
