"""The scripts of the store's chart, run as rendered: three servers with their Sentinels, on loopback."""

import os
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
import yaml

from fraud.store import open_store
from tests.charts.conftest import CHARTS, KUBERNETES, helm, objects, render
from tests.fraud.store.conftest import wait_until
from tests.fraud.store.sentinels import free_port

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
GROUP = ("replicas=3", "sentinel.enabled=true")
PASSWORD = uuid.uuid4().hex


class Node:
    """What one pod runs."""

    def __init__(self, host: str, folder: Path, ports: tuple[int, int]) -> None:
        self.host, self.folder, self.ports = host, folder, ports
        self.processes: list[subprocess.Popen[bytes]] = []

    def environment(self) -> dict[str, str]:
        own = {
            "ME": self.host,
            "BIND": self.host,
            "DATA": str(self.folder / "data"),
            "NODES": " ".join(HOSTS),
        }
        ports = {"PORT": str(self.ports[0]), "SENTINEL_PORT": str(self.ports[1])}
        words = {"NAME": "fraud", "QUORUM": "2", "PASSWORD": PASSWORD, "REDISCLI_AUTH": PASSWORD}
        times = {
            "DOWN_AFTER_MS": "1000",
            "FAILOVER_TIMEOUT_MS": "5000",
            "CONFIG": str(self.folder / "server.conf"),
        }
        return {**os.environ, **own, **ports, **words, **times}

    def start(self) -> None:
        for script in ("server.sh", "sentinel.sh"):
            with (self.folder / f"{script}.log").open("ab") as log:
                command = ["sh", str(self.folder / script)]
                self.processes.append(
                    subprocess.Popen(command, env=self.environment(), stdout=log, stderr=log)
                )

    def end(self, how: int = signal.SIGKILL) -> None:
        for process in self.processes:
            process.send_signal(how)
            process.wait(30)
        self.processes = []

    def leave(self) -> None:
        subprocess.run(["sh", str(self.folder / "leave.sh")], env=self.environment(), check=True, timeout=60)

    def client(self, port: int) -> redis.Redis:
        return redis.Redis(self.host, port, password=PASSWORD, socket_timeout=2.0)

    def role(self) -> str:
        with suppress(redis.RedisError), self.client(self.ports[0]) as client:
            found = client.info("replication")
            return "primary" if found["role"] == "master" else f"replica {found['master_link_status']}"
        return "away"

    def takes_writes(self) -> bool:
        """Whether enough replicas follow for the server to take writes."""
        with suppress(redis.RedisError), self.client(self.ports[0]) as client:
            return int(client.info("replication").get("min_slaves_good_slaves", 0)) >= 1
        return False

    def names(self) -> str:
        with suppress(redis.RedisError), self.client(self.ports[1]) as client:
            state = client.sentinel_master("fraud")
            return str(state["ip"]) if (state["num-slaves"], state["num-other-sentinels"]) == (2, 2) else ""
        return ""


@pytest.fixture
def nodes() -> Iterator[list[Node]]:
    (scripts,) = (
        one["data"]
        for one in yaml.safe_load_all(render("feature-store", "values", *GROUP))
        if one["kind"] == "ConfigMap"
    )
    ports = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="nodes-") as folder:
        found = [Node(host, Path(folder) / host, ports) for host in HOSTS]
        for node in found:
            (node.folder / "data").mkdir(parents=True)
            for name, text in scripts.items():
                (node.folder / name).write_text(text)
            conf = scripts["server.conf"].replace("dir /data", f"dir {node.folder}/data\nbind {node.host}")
            (node.folder / "server.conf").write_text(conf)
            node.start()
        try:
            yield found
        finally:
            for node in found:
                node.end()


def wait_for(nodes: list[Node], primary: Node) -> None:
    def is_so() -> bool:
        roles = ["primary" if node is primary else "replica up" for node in nodes]
        is_known = [node.role() for node in nodes] == roles and {node.names() for node in nodes} == {
            primary.host
        }
        return is_known and primary.takes_writes()

    wait_until(is_so, f"{primary.host} is the primary: {[(node.role(), node.names()) for node in nodes]}")


def test_nodes_start_fail_over_come_back_and_hand_over(nodes: list[Node]) -> None:
    wait_for(nodes, nodes[0])
    hosts = ",".join(f"{host}:{nodes[0].ports[1]}" for host in HOSTS)
    url = f"redis+sentinel://:{PASSWORD}@{hosts}/fraud/0?replicas=1&sentinel_password={PASSWORD}"
    with open_store(url) as store:
        token = store.acquire("before")
        nodes[0].end()
        wait_until(
            lambda: nodes[1].role() == "primary" or nodes[2].role() == "primary", "a replica takes over"
        )
        nodes[0].start()
        second = next(node for node in nodes[1:] if node.role() == "primary")
        wait_for(nodes, second)  # the first node comes back as a replica, though it is the first
        assert store.acquire("after") == token + 1
        for node in nodes:
            node.end()
        for node in nodes:
            node.start()
        wait_for(nodes, second)  # a restart of all keeps the newest
        assert store.acquire("again") == token + 2
        second.leave()
        assert second.role() != "primary"
        store.hold(token + 2)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["replicas=3"], "need sentinel.enabled"),
        (["sentinel.enabled=true"], "needs replicas 3 or more"),
        ([*GROUP, "sentinel.minReplicasToWrite=2"], "the loss of one replica stops all writes"),
        ([*GROUP, "appendFsync=everysec"], "needs appendFsync always"),
        (["maxMemory=300mb"], "more than 45 % of resources.limits.memory"),
    ],
)
def test_values_that_would_lose_states_or_stand_still_are_refused(given: list[str], told: str) -> None:
    command = [
        helm(),
        "template",
        "feature-store",
        str(CHARTS / "feature-store"),
        f"--kube-version={KUBERNETES}",
    ]
    done = subprocess.run(
        [*command, *(f"--set={one}" for one in given)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert told in done.stderr


def test_a_release_for_each_shard_stands_beside_the_others() -> None:
    """Each has its own servers behind its own names; the clients' policies let them reach all."""
    found = []
    for release in ("feature-store-a", "feature-store-b"):
        command = [helm(), "template", release, str(CHARTS / "feature-store"), f"--kube-version={KUBERNETES}"]
        values = str(CHARTS / "feature-store" / "values-production.yaml")
        done = subprocess.run([*command, "--values", values], capture_output=True, text=True, check=True)
        rendered = [one for one in yaml.safe_load_all(done.stdout) if one]
        (servers,) = (one for one in rendered if one["kind"] == "StatefulSet")
        found.append((servers, {(one["kind"], one["metadata"]["name"]) for one in rendered}))
    (first, names), (second, others) = found
    assert not names & others
    selectors = [one["spec"]["selector"]["matchLabels"] for one in (first, second)]
    assert selectors[0] != selectors[1]
    assert {one["app.kubernetes.io/name"] for one in selectors} == {"feature-store"}
    assert "feature-store-a-0.feature-store-a-nodes" in str(first)


@pytest.mark.parametrize("chart", ["serving", "streaming"])
def test_the_clients_may_reach_the_servers_and_their_sentinels(chart: str) -> None:
    offered = {
        int(port["port"])
        for one in yaml.safe_load_all(render("feature-store", "values", *GROUP))
        if one["kind"] == "Service"
        for port in one["spec"]["ports"]
    }
    (policy,) = (one for one in objects(chart, "values-production") if one["kind"] == "NetworkPolicy")
    selector = {"matchLabels": {"app.kubernetes.io/name": "feature-store"}}
    (rule,) = (one for one in policy["spec"]["egress"] if one.get("to") == [{"podSelector": selector}])
    assert {port["port"] for port in rule["ports"]} == offered
