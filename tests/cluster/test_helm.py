"""`helm test` of every chart that has servers: they answer where callers look for them."""

import pytest

from tests.cluster.conftest import NAMESPACE, helm, install, run, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("platform"), pytest.mark.timeout(1800)]


@pytest.mark.parametrize("release", ["airflow", "console", "feature-store", "mlflow", "serving", "simulator"])
def test_an_installed_chart_answers(release: str) -> None:
    install(release)
    if release == "airflow":
        wait_for("condition=Available", "deployment/airflow-api-server")
    said = run(helm(), "test", release, "--namespace", NAMESPACE, "--logs", "--timeout", "15m")
    assert "Phase:          Succeeded" in said
