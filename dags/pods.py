"""The one way in which a DAG runs a job: a pod of the image ``jobs``, started by the deployment's own plan.

Reads the plan, a YAML file that the chart writes (``FRAUD_DAGS_PLAN``): image, schedules, volumes,
resources. The DAGs name folders of ``jobs/`` and arguments, nothing else.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG, CronDataIntervalTimetable
from kubernetes.client import models as k8s

START: Final = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
"""Before the first interval; older ones run only where somebody asks for them."""
XCOM_FILE: Final = "/airflow/xcom/return.json"
"""Where a job leaves the small record that the next task reads (setting ``result`` of the job)."""
REFUSED: Final = 3
"""Exit code of a job that has rightly nothing to do: its task is skipped, not failed."""


class JobPod(KubernetesPodOperator):
    """A job's pod; the sidecar that fetches its record is pulled, or not, as the job's own image is."""

    def build_pod_request_obj(self, context: Any = None, *, dry_run: bool = False) -> k8s.V1Pod:
        """Build the pod."""
        pod = super().build_pod_request_obj(context, dry_run=dry_run)
        for container in pod.spec.containers:
            container.image_pull_policy = self.image_pull_policy
        return pod


def read_plan() -> dict[str, Any]:
    """Read the deployment's plan; without one the image is the one named `jobs`."""
    path = os.environ.get("FRAUD_DAGS_PLAN", "")
    return yaml.safe_load(Path(path).read_text(encoding="utf-8")) if path else {}


def make_dag(name: str, description: str, schedule: str, *, timeout: timedelta) -> DAG:
    """Make a DAG over data intervals, one run at a time.

    Parameters
    ----------
    name
        Its outcome; the plan's ``schedules`` may name another cron expression under it, or none.
    description
        One sentence.
    schedule
        Cron expression, UTC.
    timeout
        Of a whole run.
    """
    cron = read_plan().get("schedules", {}).get(name, schedule)
    return DAG(
        dag_id=name,
        description=description,
        schedule=CronDataIntervalTimetable(cron, timezone="UTC") if cron else None,
        start_date=START,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timeout,
        default_args={"retries": 2, "retry_delay": timedelta(minutes=1), "retry_exponential_backoff": True},
        render_template_as_native_obj=False,
        tags=["fraud"],
    )


def run_job(
    job: str,
    task: str,
    arguments: list[str],
    *,
    timeout: timedelta,
    environment: dict[str, str] | None = None,
    leaves_record: bool = False,
    retries: int | None = None,
) -> JobPod:
    """Make a task that runs a job in a pod of its own.

    Parameters
    ----------
    job
        Folder of ``jobs/``, by which the plan gives resources and rights.
    task
        Name of the task.
    arguments
        A program of ``fraud/programs.py``, or a whole command; templates are filled in.
    timeout
        After which the pod is ended.
    environment
        Settings of this task beside those of the deployment.
    leaves_record
        Whether the job writes a small record to ``XCOM_FILE``.
    retries
        Instead of the DAG's own.
    """
    plan = read_plan()
    resources, further, accounts = (plan.get(key, {}) for key in ("resources", "pod", "serviceAccounts"))
    own: dict[str, Any] = {} if retries is None else {"retries": retries}
    return JobPod(
        task_id=task,
        name=f"{job}-{task}".replace("_", "-"),
        namespace=plan.get("namespace", "fraud"),
        image=plan.get("image", "jobs"),
        image_pull_policy=plan.get("imagePullPolicy", "IfNotPresent"),
        image_pull_secrets=[k8s.V1LocalObjectReference(**one) for one in plan.get("pullSecrets", [])],
        arguments=arguments,
        env_vars=[k8s.V1EnvVar(name=name, value=value) for name, value in (environment or {}).items()],
        env_from=[
            *(k8s.V1EnvFromSource(config_map_ref={"name": name}) for name in plan.get("configMaps", [])),
            *(k8s.V1EnvFromSource(secret_ref={"name": name}) for name in plan.get("secrets", [])),
        ],
        volumes=[
            k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource()),
            *(_volume(one) for one in plan.get("volumes", [])),
        ],
        volume_mounts=[
            k8s.V1VolumeMount(name="tmp", mount_path="/tmp"),  # noqa: S108  (a volume of the pod's own)
            *(k8s.V1VolumeMount(name=one["name"], mount_path=one["path"]) for one in plan.get("volumes", [])),
        ],
        labels={
            **further.get("labels", {}),
            "app.kubernetes.io/name": job,
            "app.kubernetes.io/part-of": "fraud",
            "app.kubernetes.io/component": "job",
            "app.kubernetes.io/managed-by": "airflow",
        },
        container_resources=k8s.V1ResourceRequirements(**resources.get(job, resources.get("default", {}))),
        annotations=further.get("annotations", {}),
        priority_class_name=further.get("priorityClassName"),
        node_selector=further.get("nodeSelector", {}),
        tolerations=further.get("tolerations", []),
        affinity=further.get("affinity", {}),
        service_account_name=accounts.get(job, accounts.get("default", "default")),
        automount_service_account_token=job in accounts,
        security_context=k8s.V1PodSecurityContext(
            run_as_non_root=True,
            run_as_user=10001,
            run_as_group=10001,
            fs_group=10001,
            seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
        ),
        container_security_context=_locked(),
        xcom_sidecar_container_security_context=_locked(),
        do_xcom_push=leaves_record,
        skip_on_exit_code=REFUSED,
        deferrable=True,
        startup_timeout_seconds=plan.get("startupTimeoutSeconds", 300),
        active_deadline_seconds=int(timeout.total_seconds()),
        execution_timeout=timeout + timedelta(minutes=10),
        termination_grace_period=30,
        on_finish_action=plan.get("onFinish", "delete_pod"),
        log_events_on_failure=True,
        **own,
    )


def _volume(planned: dict[str, Any]) -> k8s.V1Volume:
    """Make a claim's volume, or a ConfigMap's, which may be missing unless the plan says `required`."""
    if "claim" in planned:
        return k8s.V1Volume(name=planned["name"], persistent_volume_claim={"claimName": planned["claim"]})
    return k8s.V1Volume(
        name=planned["name"],
        config_map=k8s.V1ConfigMapVolumeSource(
            name=planned["configMap"], optional=not planned.get("required")
        ),
    )


def _locked() -> k8s.V1SecurityContext:
    return k8s.V1SecurityContext(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=k8s.V1Capabilities(drop=["ALL"]),
    )
