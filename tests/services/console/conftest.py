"""A console with a small real archive, as a server of its own thread, and a headless browser."""

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
import uvicorn
from deltalake import write_deltalake
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from fraud.contracts import Outcome, Reason
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from services.console.app import Console
from services.console.live import now
from services.console.settings import ConsoleSettings
from tests.wire import Decision, Label

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--lang=en",
)


def decision_of(row: dict[str, Any], score: float) -> Decision:
    """Decide a transaction of the simulator."""
    outcome = Outcome.DECLINE if score > 0.8 else Outcome.REVIEW if score > 0.3 else Outcome.APPROVE
    at = now()
    reasons = [
        Reason(code="amount", text=f"amount against the user's mean of 30 days: {score * 9:.1f} times")
    ]
    return Decision(
        transaction_id=row["transaction_id"],
        user_id=row["user_id"],
        merchant_id=row["merchant_id"],
        event_time=row["event_time"],
        amount=row["amount"],
        outcome=outcome,
        score=score,
        reasons=reasons if outcome is not Outcome.APPROVE else [],
        model_version="3",
        features_version="f",
        received_at=at - timedelta(milliseconds=420),
        processed_at=at,
        epoch=1,
        source_partition=0,
        source_offset=0,
    )


@dataclass(frozen=True)
class World:
    """A data set, the last tenth of it decided, all of it in Delta tables."""

    folder: Path
    data: DataSet
    decisions: list[Decision]

    @property
    def alerts(self) -> list[Decision]:
        return [one for one in self.decisions if one.outcome is not Outcome.APPROVE]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    data = generate(GeneratorSettings(transactions=1_500, users=60, merchants=80, seed=3))
    frauds = set(data.patterns.column("transaction_id").to_pylist())
    rows = data.transactions.slice(1_350).to_pylist()
    rng = np.random.default_rng(1)
    decisions = [
        decision_of(row, float(rng.uniform(0.5, 1.0) if row["transaction_id"] in frauds else rng.beta(1, 9)))
        for row in rows
    ]
    write_deltalake(f"{folder}/delta/transactions", data.transactions)
    write_deltalake(f"{folder}/delta/labels", data.labels)
    plain = [
        {**one.model_dump(), "reasons": json.dumps([r.model_dump() for r in one.reasons])}
        for one in decisions
    ]
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("experiment", "arm", "shadow_version", "policy_version")),
            ("shadow_score", pa.float64()),
        ]
    )
    table = pa.Table.from_pylist(plain)
    for field in schema:
        table = table.set_column(
            table.column_names.index(field.name), field, pa.nulls(len(plain), field.type)
        )
    write_deltalake(f"{folder}/delta/decisions", table)
    return World(folder, data, decisions)


@contextmanager
def serve(console: Console) -> Iterator[str]:
    """Serve a console from a thread of this process; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(console.app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, transport=httpx.HTTPTransport(retries=50)) as http:
        while not server.started:
            assert thread.is_alive()
            threading.Event().wait(0.02)
        assert http.get("/health").status_code == 200
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join(10.0)


def settings_of(world: World, **given: Any) -> ConsoleSettings:
    return ConsoleSettings(
        **{
            "delta": str(world.folder / "delta"),
            "kafka_bootstrap": "127.0.0.1:9",
            "kafka_timeout_s": 0.2,
            "mlflow_uri": "http://127.0.0.1:9",
            **given,
        }
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    """A real Chromium; the Debian packages ``chromium`` and ``chromium-driver``."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert program, "the console's tests need the Debian package chromium"
    assert driver, "the console's tests need the Debian package chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, "--window-size=1440,900"):
        options.add_argument(flag)
    opened = webdriver.Chrome(options=options, service=Service(driver))
    opened.set_page_load_timeout(60)
    yield opened
    opened.quit()


def label_of(decision: Decision, *, is_fraud: bool) -> Label:
    return Label(
        transaction_id=decision.transaction_id,
        user_id=decision.user_id,
        merchant_id=decision.merchant_id,
        event_time=decision.event_time,
        label_time=now(),
        is_fraud=is_fraud,
    )
