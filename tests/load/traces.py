"""What traces cost a request of the scoring service: ``uv run python -m tests.load.traces``.

Calls the application in this process, without a network, in blocks that alternate between the modes, and
prints the processor time of a request by mode and how much more than `off` it is, block by block (median,
and the middle half). Spans go to a receiver in a process of its own; making and sending them counts.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import numpy as np

from fraud.runtime.traces import Traces
from fraud.settings.traces import TraceSettings
from tests.otlp import receiver
from tests.services.scoring import samples
from tests.services.scoring.api.test_api import Api, Taking

SAMPLED: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED: Final = f"{SAMPLED[:-1]}0"
MODES: Final = {
    "off": ("off", SAMPLED),
    "headers": ("headers", SAMPLED),
    "otlp, not sampled": ("otlp", UNSAMPLED),
    "otlp, sampled": ("otlp", SAMPLED),
}


def _serve(told: Connection) -> None:
    with receiver() as found:
        told.send(found.url)
        told.recv()


@contextmanager
def other_process() -> Iterator[str]:
    """Run a receiver in another process; gives its address."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send("end")
        process.join(10.0)


def block(api: Api, header: str, requests: int) -> float:
    """Send requests one after the other; returns the processor time of one, microseconds."""
    began = time.process_time()
    for _ in range(requests):
        record = {**samples.TRANSACTION, "transaction_id": uuid.uuid4().hex, "user_id": uuid.uuid4().hex}
        answer = api.call("POST", "/v1/score", json=record, headers={"traceparent": header})
        assert answer.status_code == 200
    return (time.process_time() - began) / requests * 1e6


def main() -> None:
    """Read the arguments, measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=30)
    parser.add_argument("--requests", type=int, default=200, help="of a block")
    given = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in MODES}
    with other_process() as url, tempfile.TemporaryDirectory() as folder:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
        apis = {
            name: Api(Path(folder) / name, Taking([]), traces=Traces(TraceSettings(mode=mode), "load"))
            for name, (mode, _) in MODES.items()
        }
        for at in range(given.blocks + 1):
            for name, (_, header) in MODES.items():
                took = block(apis[name], header, given.requests)
                if at:  # the first ones warm up
                    found[name].append(took)
                apis[name].service.outbox.drain()
        for api in apis.values():
            api.service.traces.close()
    for name, all_took in found.items():
        more = np.percentile(np.subtract(all_took, found["off"]), [50, 25, 75])
        words = "" if name == "off" else f", {more[0]:+.0f} us than off ({more[1]:+.0f} to {more[2]:+.0f})"
        print(f"{name:<18} {np.median(all_took):>6.0f} us{words}")  # noqa: T201


if __name__ == "__main__":
    main()
