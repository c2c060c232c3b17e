"""Runs in Airflow's environment: loads the DAGs, renders every task's pod, prints both as a line of JSON."""

import json
import logging
import sys
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from kubernetes.client import ApiClient

START = datetime.fromisoformat("2026-03-19T00:00:00+00:00")
END = datetime.fromisoformat("2026-03-26T00:00:00+00:00")
CONTEXT = {
    "data_interval_start": START,
    "data_interval_end": END,
    "ti": SimpleNamespace(xcom_pull=lambda task_ids: {"register": {"version": "7"}}[task_ids]),
}


def structure(dag: Any) -> dict[str, Any]:
    """Describe what a reviewer should see changing."""
    return {
        "timetable": type(dag.timetable).__name__,
        "cron": getattr(dag.timetable, "expression", None) or getattr(dag.timetable, "_expression", None),
        "max_active_runs": dag.max_active_runs,
        "catchup": dag.catchup,
        "timeout_s": dag.dagrun_timeout.total_seconds(),
        "tasks": {
            task.task_id: {
                "after": sorted(task.upstream_task_ids),
                "retries": task.retries,
                "timeout_s": task.execution_timeout.total_seconds(),
                "deferrable": task.deferrable,
            }
            for task in dag.tasks
        },
    }


def render(task: Any) -> dict[str, Any]:
    """Fill in the templates and build the pod, as a run would."""
    task.render_template_fields(CONTEXT)
    return ApiClient().sanitize_for_serialization(task.build_pod_request_obj(dry_run=True))


def main(folder: str) -> None:
    """Print it."""
    logging.disable()
    sys.path.insert(0, folder)
    bag = DagBag(folder)
    tasks = {f"{name}.{task.task_id}": task for name, dag in bag.dags.items() for task in dag.tasks}
    found = {
        "errors": bag.import_errors,
        "dags": {name: structure(dag) for name, dag in bag.dags.items()},
        "pods": {name: render(task) for name, task in tasks.items()},
    }
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
