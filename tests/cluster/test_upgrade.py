"""From the charts and images of an earlier revision to these: nothing is lost, nothing counts twice.

``FRAUD_CLUSTER_FROM`` names the revision; its images are on the cluster as ``NAME:REVISION``. The platform on
the cluster is removed first, with all its volumes.
"""

import json
import os
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.cluster.conftest import (
    ROOT,
    image,
    in_pod,
    kubectl,
    proxied,
    smoke,
    uninstall,
    upgrade,
    wait_for,
    wait_until_served,
)
from tests.cluster.test_platform import DRIVER

FROM = os.environ.get("FRAUD_CLUSTER_FROM", "")
OURS = ("mlflow", "simulator", "serving", "streaming", "console")
ORDER = ("kafka", "feature-store", *OURS)
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not FROM, reason="FRAUD_CLUSTER_FROM names no earlier revision"),
    pytest.mark.timeout(5400),
]
_COUNT = (
    "import json; from deltalake import DeltaTable; import pyarrow.compute as pc;"
    "log = DeltaTable('/var/lib/fraud/delta/decisions').to_pyarrow_table(columns=['transaction_id']);"
    "print(json.dumps([log.num_rows, pc.count_distinct(log['transaction_id']).as_py()]))"
)


@pytest.mark.usefixtures("platform")
def test_an_upgrade_under_traffic_loses_and_doubles_nothing(tmp_path: Path) -> None:
    now = {release: image(release) for release in OURS}
    uninstall(*reversed(ORDER), "airflow")
    kubectl("delete", "pvc", "--all", "--wait")
    for release in ORDER:
        given = [f"--set=image.tag={FROM}"] if release in OURS else []
        upgrade(release, *given, charts=_charts_of(FROM, tmp_path))
    _is_ready()
    assert smoke("smoke-before", TRANSACTIONS="300", WAIT_S="600").end()["decided"] == 300
    before = in_pod_counts()
    traffic = smoke("smoke-upgrade", TRANSACTIONS="2400", RATE_PER_S="8", NEEDS_MODEL="false", WAIT_S="900")
    for release in ORDER:
        upgrade(release, *now.get(release, []))
    account = traffic.end()
    assert account["sent"] == account["decided"] == 2400
    _is_ready()
    served = json.loads(proxied("services/http:fraud-predictor:80", "/v2/models/fraud"))["versions"]
    assert served == ["1"], "the registry's model is served on"
    after = smoke("smoke-after", TRANSACTIONS="300").end()
    assert (after["decided"], after["fallbacks"]) == (300, 0)
    rows, distinct = in_pod_counts()
    assert rows == distinct >= before[0] + 2700


def in_pod_counts() -> tuple[int, int]:
    """Rows and transactions of the archive of decisions."""
    rows, distinct = json.loads(in_pod(f"pod/{DRIVER}", _COUNT).splitlines()[-1])
    return rows, distinct


def _is_ready() -> None:
    wait_for("condition=Ready", "kafka/fraud")
    wait_until_served()
    wait_for("condition=Ready", f"pod/{DRIVER}")
    wait_for("condition=Available", "deployment/console")


def _charts_of(revision: str, folder: Path) -> Path:
    if not (folder / "charts").exists():
        packed = subprocess.run(
            ["git", "archive", revision, "charts"], cwd=ROOT, capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=BytesIO(packed)) as charts:
            charts.extractall(folder, filter="data")
    return folder / "charts"
