"""A second installation over kept volumes meets a new Kafka: it says so, and one command starts again."""

import pytest

from tests.charts.conftest import anew
from tests.cluster.conftest import PATIENCE_S, image, kubectl, smoke, uninstall, until, upgrade, wait_for
from tests.cluster.test_platform import DRIVER

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("platform"), pytest.mark.timeout(3600)]

KEPT = ("streaming", "feature-store")


def test_kept_volumes_beside_a_new_kafka_stop_the_stream_until_it_begins_anew() -> None:
    images = {"streaming": image("streaming"), "feature-store": [], "kafka": [], "console": image("console")}
    for release in KEPT:
        upgrade(release, *images[release], "--set=persistence.keep=true")
    uninstall(*KEPT, "kafka")
    until(lambda: _claims() == {"pvc/streaming", "pvc/data-feature-store-0"}, "volumes were not kept")
    for release in ("kafka", *KEPT):
        upgrade(release, *images[release])
    until(lambda: "belongs to Kafka cluster" in _log(), "the stream does not say what is wrong")
    kubectl("delete", *anew(), "--wait", f"--timeout={PATIENCE_S:.0f}s")
    for release in (*KEPT, "console"):
        upgrade(release, *images[release])
    wait_for("condition=Ready", "kafka/fraud")
    wait_for("condition=Ready", f"pod/{DRIVER}")
    wait_for("condition=Available", "deployment/console")
    assert smoke("smoke-again", TRANSACTIONS="300", WAIT_S="600").end()["decided"] == 300


def _claims() -> set[str]:
    names = kubectl("get", "pvc", "-o", "name").split()
    found = {name.replace("persistentvolumeclaim/", "pvc/") for name in names}
    return {name for name in found if "streaming" in name or "feature-store" in name or "kafka" in name}


def _log() -> str:
    try:
        return kubectl("logs", DRIVER, "--all-containers", "--tail=200")
    except AssertionError:  # no pod yet
        return ""
