"""A real S3 server of the tests' own: versitygw, which `.ci/tools` builds."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from fraud.local.cache import cache_folder

BUCKET = "fraud"


@dataclass
class ObjectStore:
    """One process over a folder; a bucket is a folder in it."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None
    environment: dict[str, str] = field(default_factory=dict)
    """What a client needs: address and login."""

    @property
    def uri(self) -> str:
        return f"s3://{BUCKET}"

    def start(self) -> None:
        program = shutil.which("versitygw") or str(cache_folder() / "bin" / "versitygw")
        if not Path(program).exists():
            pytest.fail("versitygw is missing; these tests need a real object store: run .ci/tools")
        for name in ("data", "about"):
            (self.folder / name).mkdir(exist_ok=True)
        (self.folder / "data" / BUCKET).mkdir(exist_ok=True)
        login = {
            "ROOT_ACCESS_KEY": self.environment["AWS_ACCESS_KEY_ID"],
            "ROOT_SECRET_KEY": self.environment["AWS_SECRET_ACCESS_KEY"],
        }
        command = [program, "--quiet", "--keep-alive", "--port", f"127.0.0.1:{self.port}", "posix"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--sidecar", str(self.folder / "about"), str(self.folder / "data")],
                env={**os.environ, **login},
                stdout=log,
                stderr=log,
            )
        give_up = time.monotonic() + 60.0
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < give_up, f"{program} does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/", timeout=5.0).status_code in {200, 403}
        except httpx.TransportError:
            return False


@contextmanager
def run_object_store() -> Iterator[ObjectStore]:
    """Start a server; the environment that its clients need is in ``environment`` alone."""
    with tempfile.TemporaryDirectory(prefix="objects-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        environment = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ALLOW_HTTP": "true",
        }
        server = ObjectStore(Path(folder), port, environment=environment)
        try:
            server.start()
            yield server
        finally:
            server.kill()
