"""A primary, two replicas and three Sentinels of a test's own: real processes, free ports, own folders."""

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.fraud.store.conftest import RedisServer, wait_until

NAME = "fraud"
DOWN_AFTER_MS = 1_000


@dataclass
class Node(RedisServer):
    """A server that also listens on a port."""

    port: int = 0

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=2.0)

    def role(self) -> str:
        with self.client() as client, suppress(redis.RedisError):
            return str(client.info("replication")["role"])
        return "away"

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


@dataclass
class Group:
    """All of them."""

    nodes: list[Node]
    sentinels: list[int] = field(default_factory=list)
    """Ports."""
    processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def url(self, **query: object) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://{hosts}/{NAME}?{'&'.join(f'{key}={value}' for key, value in query.items())}"

    def primary(self) -> Node:
        """The server that all Sentinels name, once they agree."""
        named: set[int] = set()

        def do_agree() -> bool:
            named.update(self._named())
            return bool(named)

        wait_until(do_agree, "the Sentinels name one primary")
        return next(node for node in self.nodes if node.port in named)

    def wait_for_another(self, than: Node) -> None:
        wait_until(lambda: self._named() not in ({than.port}, set()), "the Sentinels name another primary")
        wait_until(lambda: self.primary().role() == "master", "it is the primary")

    def wait_until_whole(self, replicas: int) -> None:
        def is_whole() -> bool:
            with self.primary().client() as client:
                found = client.info("replication")
            links = [found[f"slave{at}"]["state"] for at in range(found["connected_slaves"])]
            return links.count("online") == replicas

        wait_until(is_whole, f"{replicas} replicas follow")

    def _named(self) -> set[int]:
        found = set()
        for port in self.sentinels:
            with redis.Redis(port=port, socket_timeout=2.0) as client:
                found.add(int(client.sentinel_get_master_addr_by_name(NAME)[1]))
        return found if len(found) == 1 else set()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def run_group(*options: str) -> Iterator[Group]:
    """Start all, and wait until every Sentinel knows all others and both replicas follow."""
    with tempfile.TemporaryDirectory(prefix="sentinels-") as folder:
        group = Group([_node(Path(folder) / f"node-{at}", options) for at in range(3)])
        try:
            for node in group.nodes:
                if node is not group.nodes[0]:
                    node.options += ("--replicaof", "127.0.0.1", str(group.nodes[0].port))
                node.start()
            for at in range(3):
                _start_sentinel(group, Path(folder) / f"sentinel-{at}")
            wait_until(lambda: _know_all(group), "the Sentinels know each other and the replicas")
            group.wait_until_whole(2)
            yield group
        finally:
            for process in group.processes:
                process.kill()
                process.wait(30)
            for node in group.nodes:
                node.kill()


def _node(folder: Path, options: tuple[str, ...]) -> Node:
    folder.mkdir()
    port = free_port()
    own = ("--port", str(port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")
    kept = ("--appendonly", "yes", "--appendfsync", "always", "--min-replicas-to-write", "1")
    return Node(folder, (*own, *kept, *options), port=port)


def _start_sentinel(group: Group, folder: Path) -> None:
    folder.mkdir()
    port, primary = free_port(), group.nodes[0].port
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        f"dir {folder}",
        f"logfile {folder}/log",
        f"sentinel monitor {NAME} 127.0.0.1 {primary} 2",
        f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}",
        f"sentinel failover-timeout {NAME} 5000",
    ]
    (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
    program = shutil.which("redis-server") or "valkey-server"
    group.processes.append(subprocess.Popen([program, str(folder / "sentinel.conf"), "--sentinel"]))
    group.sentinels.append(port)


def _know_all(group: Group) -> bool:
    for port in group.sentinels:
        try:
            with redis.Redis(port=port, socket_timeout=2.0) as client:
                found = client.sentinel_master(NAME)
        except redis.ConnectionError:
            return False
        if (found["num-slaves"], found["num-other-sentinels"]) != (2, 2):
            return False
    return True
