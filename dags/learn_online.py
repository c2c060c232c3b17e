"""Airflow DAG: train a challenger daily from new labels. Its tags have the decision of the gate.

It becomes champion by `fraud rollout`, by hand, or an experiment tries it first.
"""

from datetime import timedelta

from pods import make_dag, run_job

with make_dag(
    "learn_online",
    "Train from new labels, starting from the champion; gate the result, and register it as the challenger",
    "0 1 * * *",
    timeout=timedelta(hours=3),
):
    run_job("online", "learn", ["python", "-m", "fraud", "online"], timeout=timedelta(hours=2))
