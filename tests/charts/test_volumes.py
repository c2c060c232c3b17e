"""Who holds a volume: its claim stays for as long as a running pod mounts it, and a deletion waits for it."""

from collections.abc import Iterator

import pytest

from tests.charts.conftest import anew, cases, objects, pod_specs

RUNS_ON = {"Deployment", "StatefulSet", "DaemonSet", "SparkApplication"}


def holders(chart: str, values: str) -> Iterator[tuple[str, str]]:
    """What runs on and mounts a claim, both as kubectl names them."""
    for one in objects(chart, values):
        if one["kind"] not in RUNS_ON:
            continue
        name = one["metadata"]["name"]
        for _, spec in pod_specs(one):
            for volume in spec.get("volumes", []):
                if "persistentVolumeClaim" in volume:
                    yield (
                        f"{one['kind'].lower()}/{name}",
                        f"pvc/{volume['persistentVolumeClaim']['claimName']}",
                    )
        for claim in one["spec"].get("volumeClaimTemplates", []):
            yield f"{one['kind'].lower()}/{name}", f"pvc/{claim['metadata']['name']}-{name}-0"


@pytest.mark.parametrize(("chart", "values"), cases())
def test_starting_from_scratch_deletes_whoever_holds_a_volume_that_goes(chart: str, values: str) -> None:
    deleted = set(anew())
    left = {holder for holder, claim in holders(chart, values) if claim in deleted} - deleted
    assert not left, "their pods would keep the claim"


def test_the_volumes_that_go_are_those_of_the_stream_and_the_store() -> None:
    held = {
        claim for chart, values in cases() if values == "values-kind" for _, claim in holders(chart, values)
    }
    claims = {one for one in anew() if one.startswith("pvc/")}
    assert claims == {"pvc/streaming", "pvc/data-feature-store-0"}
    assert claims <= held
