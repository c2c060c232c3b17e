"""Airflow DAG: new labels into a challenger upon the champion, daily; the gate's word on it is in its tags.

It becomes champion by `fraud rollout`, by hand, or an experiment tries it first.
"""

from datetime import timedelta

from pods import make_dag, run_job

with make_dag(
    "learn_online",
    "Learn from new labels upon the champion, judge the outcome, and register it as the challenger",
    "0 1 * * *",
    timeout=timedelta(hours=3),
):
    run_job("online", "learn", ["python", "-m", "fraud", "online"], timeout=timedelta(hours=2))
