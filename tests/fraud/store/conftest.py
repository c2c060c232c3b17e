"""A real Redis server of the tests' own, and one empty store in each backend."""

import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from fraud.store import FeatureStore, open_store
from tests.deployed import ENTITIES as DEFAULT_ENTITIES


@dataclass
class RedisServer:
    """One process; it listens on a socket in a folder of its own, so that no port can be taken."""

    folder: Path
    options: tuple[str, ...]
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def socket(self) -> Path:
        return self.folder / "redis.sock"

    def url(self, **query: object) -> str:
        text = "&".join(f"{name}={value}" for name, value in query.items())
        return f"unix://{self.socket}?{text}"

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket))

    def start(self) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            pytest.fail("redis-server is missing; these tests need a real one: apt-get install redis-server")
        command = [program, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)]
        log = ["--logfile", str(self.folder / "redis.log")]
        self.process = subprocess.Popen([*command, *log, "--save", "", *self.options])
        wait_until(self._answers, f"{program} answers, see {self.folder}/redis.log")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "redis.log").read_text()
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    stop_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < stop_at, f"never came true: {what}"
        time.sleep(0.01)


@contextmanager
def run_redis(*options: str) -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:  # a socket's path must be short
        server = RedisServer(Path(folder), options)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with run_redis("--appendonly", "no") as server:
        yield server


@pytest.fixture(scope="session")
def start_redis() -> Callable[..., object]:
    """Start a server of a test's own, with options."""
    return run_redis


@pytest.fixture(scope="session")
def wait() -> Callable[..., None]:
    """Wait for a condition."""
    return wait_until


@pytest.fixture(scope="session")
def shard_servers(redis_server: RedisServer) -> Iterator[list[RedisServer]]:
    """Three servers that share the states of a store."""
    with run_redis("--appendonly", "no") as second, run_redis("--appendonly", "no") as third:
        yield [redis_server, second, third]


def shards_url(servers: list[RedisServer], **query: object) -> str:
    return " ".join(server.url(**query) for server in servers)


def make_urls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Make URLs of new stores in the backend that the fixture's parameter names."""
    if request.param == "lmdb":
        return lambda: f"lmdb://{tmp_path_factory.mktemp('a store') / 'new'}"
    if request.param != "redis":
        servers = request.getfixturevalue("shard_servers")[: int(request.param[0])]
        return lambda: shards_url(servers, prefix=uuid.uuid4().hex)
    server: RedisServer = request.getfixturevalue("redis_server")
    return lambda: server.url(prefix=uuid.uuid4().hex)


@pytest.fixture(params=["lmdb", "redis", "2 shards", "3 shards"])
def new_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Make the URL of a store that nobody has used, in each backend."""
    return make_urls(request, tmp_path_factory)


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    return new_url()


EIGHT = ("card", "merchant", "device", "ip", "email", "account", "terminal", "user")
ENTITIES = {1: EIGHT[:1], 2: DEFAULT_ENTITIES, 3: EIGHT[:3], 8: EIGHT}


@pytest.fixture(params=ENTITIES, ids=[f"{n} entities" for n in ENTITIES])
def store(url: str, request: pytest.FixtureRequest) -> Iterator[FeatureStore]:
    """An empty store of 1, 2, 3 and 8 entities."""
    with open_store(url, ENTITIES[request.param]) as opened:
        yield opened
