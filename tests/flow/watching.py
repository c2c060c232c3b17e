"""A real Prometheus over a running platform, and whether every panel of the dashboards shows something."""

import json
import math
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from fraud.tools.dashboards.boards import BOARDS
from tests.flow.conftest import PATIENCE_S, platform_free_port

SCRAPED = {"stream", "scoring", "predictor"}


class Prometheus:
    """A running server; ``url`` is its address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{platform_free_port()}"

    def follow(self, status: list[dict[str, Any]]) -> None:
        """Scrape the parts where they are now."""
        hosts = [
            part["url"].removeprefix("http://").split("/")[0] for part in status if part["name"] in SCRAPED
        ]
        targets = self.folder / "targets.json"
        targets.with_suffix(".new").write_text(json.dumps([{"targets": hosts}]))
        targets.with_suffix(".new").replace(targets)

    def query(self, expression: str) -> list[float]:
        """Values of an expression now; NaN is none."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=30.0)
        assert answer.status_code == 200, f"{expression}: {answer.text}"
        values = (float(one["value"][1]) for one in answer.json()["data"]["result"])
        return [value for value in values if not math.isnan(value)]


@contextmanager
def prometheus(folder: Path) -> Iterator[Prometheus]:
    """Start a server that scrapes what it is told to follow, every second."""
    folder.mkdir()
    server = Prometheus(folder)
    scrape = {"job_name": "fraud", "file_sd_configs": [{"files": ["targets.json"], "refresh_interval": "1s"}]}
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    server.follow([])
    command = [
        *("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"),
        f"--web.listen-address={server.url.removeprefix('http://')}",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield server
    finally:
        process.terminate()
        process.wait(timeout=30)


class Panels:
    """Which panels have shown a value; a rate is one only for some minutes after the traffic.

    Parameters
    ----------
    server
        Scrapes the platform.
    scoring
        URL of the scoring service, which gets a transaction at each look of :meth:`check`.
    """

    def __init__(self, server: Prometheus, scoring: str) -> None:
        self._server, self._scoring = server, scoring
        self._empty = {
            expression: f"{board.title}: {panel.title}: {expression}"
            for board in BOARDS
            for _, panels in board.rows
            for panel in panels
            for expression, _ in panel.queries
        }

    def look(self) -> bool:
        """Look at those that have shown none yet; returns whether all have shown one."""
        for expression in [one for one in self._empty if self._server.query(one)]:
            del self._empty[expression]
        return not self._empty

    def check(self) -> None:
        """Look until every panel has shown a value."""
        give_up = time.monotonic() + PATIENCE_S
        _score(self._scoring)
        while not self.look():
            _score(self._scoring)
            assert time.monotonic() < give_up, "\n".join(self._empty.values())
            time.sleep(0.5)


def _score(url: str) -> None:
    transaction = {
        "transaction_id": str(uuid.uuid4()),
        "event_time": datetime.now(UTC).isoformat(),
        "user_id": "u0",
        "merchant_id": "m0",
        "amount": 10.0,
    }
    assert httpx.post(f"{url}/v1/score", json=transaction, timeout=30.0).status_code == 200
