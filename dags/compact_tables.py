"""Airflow DAG: merge small files of the Delta tables, and remove replaced ones."""

from datetime import timedelta

from pods import make_dag, run_job

with make_dag(
    "compact_tables",
    "Compact the Delta tables and remove old files",
    "30 2 * * *",
    timeout=timedelta(hours=3),
):
    run_job("compact", "compact", ["compact"], timeout=timedelta(hours=2))
