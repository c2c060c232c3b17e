"""Airflow DAG: a new champion from the newest matured labels, if the gate and the canary let it.

Every step is a pod of ``jobs/retrain`` over the run's data interval; what it leaves is in the interval's
folder on the shared volume, so a step that runs again does the same work, and the same interval and data
give one version. The last step, `rollout`, is ``jobs/rollout``, which speaks to Kubernetes; it
takes the version's number.
"""

from datetime import timedelta

from airflow.sdk import chain
from pods import XCOM_FILE, make_dag, run_job

INTERVAL = "{{ data_interval_start | ts }}/{{ data_interval_end | ts }}"
RETRAIN = ["python", "-m", "fraud", "retrain", "--interval", INTERVAL, "--step"]
VERSION = "{{ ti.xcom_pull(task_ids='register')['version'] }}"

with make_dag(
    "retrain_model",
    "Validate, train, gate and register a model of the interval, and roll it out",
    "0 3 * * 1",
    timeout=timedelta(hours=8),
):
    steps = [
        run_job(
            "retrain",
            step,
            [*RETRAIN, step],
            timeout=timedelta(hours=hours),
        )
        for step, hours in (("validate", 1), ("features", 2), ("train", 4), ("evaluate", 1), ("gate", 1))
    ]
    register = run_job(
        "retrain",
        "register",
        [*RETRAIN, "register"],
        timeout=timedelta(minutes=30),
        environment={"FRAUD_RETRAIN_RESULT": XCOM_FILE},
        leaves_record=True,
    )
    # Once: a version that was rolled back is not tried again before somebody has looked at it.
    rollout = run_job(
        "rollout",
        "rollout",
        ["python", "-m", "fraud", "rollout", VERSION],
        timeout=timedelta(hours=3),
        retries=0,
    )
    chain(*steps, register, rollout)
