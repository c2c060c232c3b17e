"""Jobs that run while the stream is suspended, and backups by the clock: what they run, by what rights."""

from typing import Any

import kubernetes_validate
import pytest
import yaml

from fraud.cli import COMMANDS
from tests.charts.conftest import KUBERNETES, pod_specs, render

JOB = ("recovery.command={replay,rebuild-store,--replace}",)
CLOCK = ("backup.schedule=17 2 * * *", "backup.claim=backups", "backup.mlflow.claim=mlflow")


def found(*given: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(render("streaming", "values", *given)) if one]


def of_kind(kind: str, *given: str) -> dict[str, Any]:
    (one,) = [one for one in found(*given) if one["kind"] == kind]
    return one


def test_without_a_command_or_a_schedule_there_is_nothing() -> None:
    kinds = {one["kind"] for one in found()}
    assert not kinds & {"Job", "CronJob"}
    assert not [one for one in found() if "recovery" in one["metadata"]["name"]]


@pytest.mark.parametrize("given", [JOB, CLOCK, (*JOB, *CLOCK, "kafka.tls.enabled=true")])
def test_the_api_server_would_take_them_and_they_keep_the_restricted_standard(given: tuple[str, ...]) -> None:
    for one in found(*given):
        if one["apiVersion"].startswith("sparkoperator"):
            continue
        kubernetes_validate.validate(one, KUBERNETES.rsplit(".", 1)[0], strict=True)
        for _, spec in pod_specs(one):
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
            assert {"cpu", "memory"} <= set(spec["containers"][0]["resources"]["requests"])


def test_a_job_runs_a_command_that_there_is_while_this_stream_alone_is_suspended() -> None:
    job, application = of_kind("Job", *JOB), of_kind("SparkApplication", *JOB)
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    name = application["metadata"]["name"]
    assert arguments[:6] == ["python", "-m", "fraud", "suspended", name, "--"]
    assert {"suspended", arguments[6], "backup"} <= set(COMMANDS)
    rules = next(
        one["rules"]
        for one in found(*JOB)
        if one["metadata"]["name"] == f"{name}-recovery" and "rules" in one
    )
    assert rules[0] == {
        "apiGroups": ["sparkoperator.k8s.io"],
        "resources": ["sparkapplications"],
        "resourceNames": [name],
        "verbs": ["get", "patch"],
    }
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == f"{name}-recovery"


def test_another_command_or_run_is_another_job() -> None:
    names = [
        of_kind("Job", *given)["metadata"]["name"]
        for given in (JOB, ("recovery.command={backup,restore}",), (*JOB, "recovery.run=again"))
    ]
    assert len(set(names)) == 3


def test_backups_by_the_clock_see_the_stream_s_volume_and_the_registry_s() -> None:
    spec = of_kind("CronJob", *CLOCK)["spec"]
    (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert (mounts["home"], mounts["backups"], mounts["mlflow"]) == ("/var/lib/fraud", "/backups", "/mlflow")
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert environment["FRAUD_BACKUP_PLACE"] == mounts["backups"]
    assert environment["FRAUD_BACKUP_MLFLOW_DATABASE"] == "/mlflow/mlflow.db"
    assert spec["concurrencyPolicy"] == "Forbid"
