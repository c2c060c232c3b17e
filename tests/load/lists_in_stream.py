"""An entry of a list takes effect in the stream under load: ``uv run python -m tests.load.lists_in_stream``.

Starts the embedded platform, whose rules decline the device that a live list holds, and sends transactions
through Kafka and through the scoring service. The device is put on the list by ``POST /v1/lists``, and off it
again, while one transaction of it is sent to Kafka every 0.1 s. A change was seen when the last transaction
that was decided without it was sent; the decision itself comes later, as every decision of the stream does.
Exits with 1 where a change was seen after more than 2 s, or where one was forgotten again.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from confluent_kafka import Producer

from fraud.contracts import DECISIONS, TRANSACTIONS
from fraud.kafka.reader import Reader
from fraud.local import platform
from tests.load.clients import ApiClients, KafkaClient, Load, make_transaction
from tests.load.lists import SEEN_S, write_rules
from tests.load.storm import begin, settings_in

EVERY_S: Final = 0.1
PATIENCE_S: Final = 120.0
DEVICE: Final = "d-listed"


@dataclass(frozen=True, slots=True)
class Change:
    """How one change of the list came to be seen, seconds from the answer to the request."""

    seen_s: float
    """Until the last transaction was sent that was decided without the change; 0: none was."""
    decided_s: float
    """Until the first decision with the change was in Kafka."""
    is_kept: bool
    """Whether every transaction after that one was decided with the change, too."""


class Device:
    """Sends transactions of one device, and reads what is decided of them."""

    def __init__(self, bootstrap: str, reader: Reader, load: Load) -> None:
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0}
        )
        self._reader, self._load = reader, load
        self._chance, self._sent = random.Random(f"listed {load.seed}"), 0

    def watch(self, name: str, *, is_listed: bool) -> Change:
        """Send until a decision has the change, and wait for the decisions of all that were sent."""
        began, sent, found = time.monotonic(), dict[str, float](), dict[str, bool]()
        decided_s = 0.0
        while not decided_s or found.keys() < sent.keys():
            if time.monotonic() - began > PATIENCE_S:
                sys.exit(f"{name}: not seen within {PATIENCE_S:.0f} s")
            if not decided_s:
                sent[self._send()] = time.monotonic() - began
            for decision in self._decided(sent):
                found[decision["transaction_id"]] = "listed" in decision["rules"]
            if not decided_s and is_listed in found.values():
                decided_s = time.monotonic() - began
        without = [at for one, at in sent.items() if found[one] is not is_listed]
        first = next(at for one, at in sent.items() if found[one] is is_listed)
        return Change(max(without, default=0.0), decided_s, all(at < first for at in without))

    def _send(self) -> str:
        self._sent += 1
        name = f"listed-{self._sent}"
        record = {**make_transaction(name, self._load, self._chance), "device_id": DEVICE}
        self._producer.produce(TRANSACTIONS, json.dumps(record).encode(), record["user_id"])
        self._producer.poll(0)
        return name

    def _decided(self, sent: dict[str, float]) -> list[dict[str, Any]]:
        decisions = [json.loads(one.value() or b"{}") for one in self._reader.take(EVERY_S)]
        return [one for one in decisions if one["transaction_id"] in sent]


def run(given: argparse.Namespace, home: Path) -> list[Change]:
    """Change the list under load; returns what came of each change."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    settings, rules = settings_in(home / "platform"), home / "rules.json"
    write_rules(rules, "device_id")
    os.environ |= {"FRAUD_STREAM_RULES_FILE": str(rules), "FRAUD_SCORING_RULES_FILE": str(rules)}
    try:
        urls = begin(settings)
        load = Load(given.seed, given.rate, given.users, given.users // 4, 0)
        api, kafka = ApiClients(urls["scoring"], load), KafkaClient(urls["broker"], load)
        with kafka, api, Reader(urls["broker"]) as reader:
            reader.begin_at_end(DECISIONS)
            device = Device(urls["broker"], reader, load)
            device.watch("the first decision", is_listed=False)
            _change(urls["scoring"], action="create", kind="text")
            changes = []
            for at in range(given.changes):
                action = ("add", "remove")[at % 2]
                _change(urls["scoring"], action=action, value=DEVICE, why="a test")
                changes.append(device.watch(f"change {at + 1}, {action}", is_listed=action == "add"))
                print(f"{action}: {said(changes[-1])}", flush=True)  # noqa: T201
            api.stop_sending()
            kafka.stop_sending()
    finally:
        platform.down(settings)
    return changes


def _change(scoring: str, **change: str) -> None:
    body = {"list": "stolen", **change}
    httpx.post(f"{scoring}/v1/lists", json=body, timeout=30.0, trust_env=False).raise_for_status()


def said(change: Change) -> str:
    """Write one line."""
    again = "" if change.is_kept else "; LATER ONES WERE DECIDED WITHOUT IT"
    return f"seen after {change.seen_s:.2f} s, its first decision after {change.decided_s:.2f} s{again}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, run, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--changes", type=int, default=6, help="of the list")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=200.0, help="transactions a second, half on each path")
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--home", type=Path, default=Path(".fraud-lists"), help="removed at the next run")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that the platform is stopped
    changes = run(given, given.home.absolute())
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    latest = max(change.seen_s for change in changes)
    print(f"{len(changes)} changes were seen after at most {latest:.2f} s; load of the machine {load}")  # noqa: T201
    sys.exit(int(latest > SEEN_S or not all(change.is_kept for change in changes)))


if __name__ == "__main__":
    main()
