"""An entry of a list takes effect under load: ``uv run python -m tests.load.lists --rate 500``.

Starts a broker and the scoring service, whose rules decline whom a live list holds. Clients send transactions
of 500 cardholders at a set rate. In the middle one of them is put on the list by ``POST /v1/lists``, and a
watcher asks for its decisions until one is a decline. Prints after how long that was, and the latencies of
the load before and while the list changes. Exits with 1 where a request had no answer, or the entry took
longer than 2 s; a 429 is one, of a machine that is too small for the rate.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from fraud.local import platform
from fraud.tools.bench.load import Plan
from tests.load.hostile import free_port, honest, said, start, wait, write_bodies
from tests.load.storm import settings_in
from tests.services.scoring.samples import TRANSACTION

if TYPE_CHECKING:
    import subprocess

SEEN_S: Final = 2.0
LISTED: Final = "u-7"


def write_rules(file: Path, field: str) -> None:
    """Write a rule that declines what the live list ``stolen`` holds, by a field of the transaction."""
    rule = {"name": "listed", "when": f"in_list({field}, 'stolen')", "then": "decline", "reason": "listed"}
    file.write_text(json.dumps({"version": "1", "lists": {"stolen": "live"}, "rules": [rule]}))


async def watch(client: httpx.AsyncClient, changes: int) -> list[float]:
    """Put the cardholder on the list and off it again; returns how long each took to be seen, seconds."""
    found = []
    for at in range(changes):
        action, wanted = (("add", True), ("remove", False))[at % 2]
        change = {"list": "stolen", "action": action, "value": LISTED, "why": "a test"}
        (await client.post("/v1/lists", json=change)).raise_for_status()
        since = time.monotonic()
        while await is_declined(client, f"w-{at}-{time.monotonic_ns()}") is not wanted:
            if time.monotonic() - since > 30.0:
                sys.exit(f"the change {at + 1} of the list was not seen within 30 s")
            await asyncio.sleep(0.02)
        found.append(time.monotonic() - since)
        await asyncio.sleep(0.5)
    return found


async def is_declined(client: httpx.AsyncClient, transaction_id: str) -> bool | None:
    """Ask for one decision on the cardholder; None where too many requests wait."""
    one = {**TRANSACTION, "transaction_id": transaction_id, "user_id": LISTED}
    answer = await client.post("/v1/score", json=one)
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return None
    answer.raise_for_status()
    return "listed" in answer.json()["rules"]


async def run(given: argparse.Namespace, home: Path, port: int) -> int:
    """Run both parts and print; returns the exit status."""
    bodies, n = home / "transactions.jsonl", int(given.rate * given.seconds)
    write_bodies(bodies, 3 * n)
    plans = [
        Plan("127.0.0.1", port, "/v1/score", str(bodies), at * n, given.rate, given.seconds)
        for at in (0, 1, 2)
    ]
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30.0
    ) as client:
        made = {"list": "stolen", "action": "create", "kind": "text"}
        (await client.post("/v1/lists", json=made)).raise_for_status()
        await honest(plans[0])  # warms up
        before = await honest(plans[1])
        beside, seen = await asyncio.gather(honest(plans[2]), watch(client, given.changes))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    for name, one in (("before", before), ("while the list changes", beside)):
        print(f"{said(name, one)}; later than {plans[0].late_ms:.0f} ms: {one.late}")  # noqa: T201
    words = ", ".join(f"{one:.2f}" for one in seen)
    print(f"changes of the list were seen after {words} s; load of the machine {load}")  # noqa: T201
    unanswered = sum(count for status, count in beside.statuses.items() if status not in {"200", "429"})
    return int(unanswered > 0 or max(seen) > SEEN_S)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, start broker and service, and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each of the three parts")
    parser.add_argument("--changes", type=int, default=6, help="of the list, while the last part runs")
    parser.add_argument("--home", type=Path, default=Path(".fraud-lists"), help="given up at the next run")
    given = parser.parse_args(arguments)
    home = given.home.absolute()
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    rules = home / "rules.yaml"
    write_rules(rules, "user_id")
    settings, process = settings_in(home / "platform"), None
    try:
        platform.up(settings, ["broker"])
        kafka = next(str(part.url) for part in platform.status(settings) if part.name == "broker")
        port = free_port()
        process = start(home, kafka, port, FRAUD_SCORING_RULES_FILE=str(rules))
        wait(port, process, home)
        status = asyncio.run(run(given, home, port))
    finally:
        if process is not None:
            end(process)
        platform.down(settings)
    sys.exit(status)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End the service."""
    process.terminate()
    process.wait(30)


if __name__ == "__main__":
    main()
