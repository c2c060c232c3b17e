"""Values that could not work are refused before anything is installed, with what to write instead."""

import subprocess

import pytest

from tests.charts.conftest import CHARTS, KUBERNETES, helm

DOOR_OF_SERVING = "serving: ingress and httpRoute lead to the scoring service; set transformer.enabled=true"
DOOR_OF_AIRFLOW = (
    "airflow: with enabled=false there is no API server here; give ingress to Apache's own chart"
)
PARTS = {
    "airflow": ["imagePullSecrets", "extraEnv", "extraVolumes", "extraVolumeMounts"],
    "console": ["imagePullSecrets", "extraEnv", "extraVolumes", "extraVolumeMounts", "httpRoute.parentRefs"],
    "feature-store": ["imagePullSecrets", "topologySpreadConstraints"],
    "mlflow": ["imagePullSecrets", "extraEnv", "networkPolicy.egress", "ingress.tls"],
    "serving": ["imagePullSecrets", "predictor.topologySpreadConstraints", "transformer.tolerations"],
    "simulator": ["imagePullSecrets", "topologySpreadConstraints", "networkPolicy.egress"],
    "streaming": ["imagePullSecrets", "extraEnv", "topologySpreadConstraints", "networkPolicy.egress"],
}
"""Chart: lists of objects, in whose place a list of names is easily written."""


def said(chart: str, *given: str) -> str:
    """What helm says against these values."""
    command = [helm(), "template", chart, str(CHARTS / chart), "--kube-version", KUBERNETES]
    done = subprocess.run(
        [*command, *(f"--set={one}" for one in given)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0, f"{chart} takes {given}"
    return done.stderr


@pytest.mark.parametrize(
    ("chart", "given", "words"),
    [
        ("serving", ("ingress.enabled=true", "ingress.hosts={a.example.org}"), DOOR_OF_SERVING),
        ("serving", ("httpRoute.enabled=true",), DOOR_OF_SERVING),
        ("airflow", ("enabled=false", "ingress.enabled=true"), DOOR_OF_AIRFLOW),
        (
            "serving",
            ("predictor.minReplicas=3",),
            "serving: predictor.minReplicas 3 is above predictor.maxReplicas 1; raise maxReplicas",
        ),
        (
            "serving",
            ("transformer.enabled=true", "transformer.minReplicas=3"),
            "serving: transformer.minReplicas 3 is above transformer.maxReplicas 1; raise maxReplicas",
        ),
        (
            "streaming",
            ("backup.schedule=17 2 * * *",),
            "streaming: backups at /backups need a volume; name its claim in backup.claim, or set",
        ),
        (
            "streaming",
            ("backfill.enabled=true",),
            "streaming: the history at /history needs a volume; name its claim in backfill.claim, or set",
        ),
    ],
)
def test_what_would_do_nothing_or_fail_later_is_refused_with_what_to_write(
    chart: str, given: tuple[str, ...], words: str
) -> None:
    assert words in said(chart, *given)


@pytest.mark.parametrize(
    ("chart", "value"), [(chart, value) for chart, values in PARTS.items() for value in values]
)
def test_names_in_the_place_of_objects_are_refused_where_they_stand(chart: str, value: str) -> None:
    """The API server would refuse them, after half of the chart was installed."""
    assert f"at '/{value.replace('.', '/')}/0': got string, want object" in said(chart, f"{value}={{one}}")
