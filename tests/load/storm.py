"""Kills and pauses of parts under load: ``uv run python -m tests.load.storm --minutes 10 --seed 1``.

Starts the embedded platform in a home of its own, and sends transactions of the same cardholders through
Kafka and through the scoring service at once. Meanwhile two or three parts at a time are killed (SIGKILL) or
paused (SIGSTOP, some seconds later SIGCONT), by the seed; what was killed is started again as ``fraud up``
does. At the end everything is drained and stopped, and one table says what was lost, doubled, or differs
(see ``tests.load.ledger``). Exits with 1 where anything was.
"""

import argparse
import random
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from fraud.contracts import DECISIONS, TRANSACTIONS
from fraud.errors import FraudError
from fraud.local import platform
from fraud.local.platform import State
from fraud.local.settings import LocalSettings
from jobs.stream.settings import StreamSettings
from tests.load.clients import ApiClients, KafkaClient, Load
from tests.load.ledger import Ledger, Sent, decided_in, records_in, settle
from tests.services.predictor.conftest import Registry, make_model

TARGETS: Final = ("broker", "stream", "scoring", "predictor", "mlflow", "console")
PORTS: Final = ("kafka", "kafka_controller", "mlflow", "predictor", "scoring", "console", "stream_metrics")
PAUSE_S: Final = (1.0, 8.0)
CALM_S: Final = (3.0, 12.0)
"""Between two strikes, once all parts are ready again."""
RECOVERY_S: Final = 300.0
"""How long the platform may take until all parts are ready again."""
DRAIN_S: Final = 240.0


@dataclass
class Storm:
    """Kills and pauses parts.

    Parameters
    ----------
    settings
        Of the platform.
    chance
        Chooses.
    """

    settings: LocalSettings
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    """Kills and pauses, by what and which part."""
    ended: list[str] = field(default_factory=list)
    """Parts that have ended although nobody killed them, with the end of their logs."""
    away: list[tuple[float, float]] = field(default_factory=list)
    """From each strike until all parts were ready again, by the monotonic clock."""

    def strike(self) -> None:
        """Kill or pause two or three parts at once, and see that all come back."""
        started, timers = time.monotonic(), []
        running = self._running()
        for name in self.chance.sample(TARGETS, self.chance.choice((2, 3))):
            if name not in running:
                continue
            family = _family(running[name])
            kind = self.chance.choice(("kill", "kill alone", "pause"))
            self.done[f"{kind} {name}"] += 1
            print(f"{kind} {name}", flush=True)  # noqa: T201
            if kind == "pause":
                _send(family, signal.SIGSTOP)
                timers.append(threading.Timer(self.chance.uniform(*PAUSE_S), _send, (family, signal.SIGCONT)))
                timers[-1].start()
            else:
                _send(family if kind == "kill" else family[:1], signal.SIGKILL)
        recover(self.settings)
        for timer in timers:
            timer.join()
        self.away.append((started, time.monotonic()))

    def _running(self) -> dict[str, int]:
        """Find the parts' processes; one that nobody has killed and that is gone is noted."""
        found = {}
        for part in platform.status(self.settings):
            if part.state is State.CRASHED:
                self.ended.append(f"{part.name} {part.detail}")
            elif part.pid is not None:
                found[part.name] = part.pid
        return found


def recover(settings: LocalSettings) -> None:
    """Start what is gone until all parts are ready."""
    give_up = time.monotonic() + RECOVERY_S
    while True:
        try:
            platform.up(settings)
        except FraudError as error:
            print(f"  not yet: {str(error).splitlines()[0]}", flush=True)  # noqa: T201
            if time.monotonic() > give_up:
                raise
            time.sleep(1.0)
        else:
            return


def _family(pid: int) -> list[psutil.Process]:
    """Find a part's process and those that it has started."""
    try:
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:  # it ends by itself at this moment
        return []


def _send(family: Sequence[psutil.Process], number: signal.Signals) -> None:
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.send_signal(number)


def settings_in(home: Path) -> LocalSettings:
    """Make settings of a new home; a new kernel may have to be compiled at the start."""
    shutil.rmtree(home, ignore_errors=True)
    ports: dict[str, Any] = {f"{name}_port": 0 for name in PORTS}
    return LocalSettings(home=home, canary_port=0, kafka_heap_mb=384, ready_timeout_s=RECOVERY_S, **ports)


def begin(settings: LocalSettings) -> dict[str, str]:
    """Start the platform with a model; returns the parts' addresses."""
    platform.up(settings, ["broker", "mlflow"])
    Registry(_urls(settings)["mlflow"]).register(make_model(3))
    platform.up(settings)
    return _urls(settings)


def _urls(settings: LocalSettings) -> dict[str, str]:
    return {part.name: part.url or "" for part in platform.status(settings)}


def run(given: argparse.Namespace, home: Path) -> Ledger:
    """Run the storm, drain, stop the platform, and settle."""
    settings = settings_in(home)
    try:
        urls = begin(settings)
        chance = random.Random(given.seed)
        load = Load(given.seed, given.rate, given.users, given.merchants, given.burst)
        api, kafka = ApiClients(urls["scoring"], load), KafkaClient(urls["broker"], load)
        storm = Storm(settings, chance)
        until = time.monotonic() + 60.0 * given.minutes
        with kafka, api:
            while time.monotonic() < until:
                time.sleep(chance.uniform(*CALM_S))
                if not given.calm:
                    storm.strike()
            api.stop_sending()
            kafka.stop_sending()
            recover(settings)
        sent = Sent(kafka.delivered, kafka.failed, api.answered, api.refused, api.unanswered, api.names)
        stream = StreamSettings(home=home / "stream")
        drain(stream, sent)
        topic, published = (records_in(urls["broker"], name) for name in (TRANSACTIONS, DECISIONS))
    finally:
        platform.down(settings)
    account = settle(stream, sent, len(topic), published, home / "rebuilt")
    account.wrong["ended by themselves, parts"] = len(storm.ended)
    account.examples["ended"] = storm.ended
    account.latencies, account.done, account.away = api.latencies, storm.done, storm.away
    return account


def drain(stream: StreamSettings, sent: Sent) -> None:
    """Wait until the log has what was sent, or a time has passed: the account then says what is missing."""
    wanted, give_up = {*sent.delivered, *sent.answered}, time.monotonic() + DRAIN_S
    while time.monotonic() < give_up and wanted - decided_in(stream.delta_path).keys():
        time.sleep(2.0)


def main() -> None:
    """Read the arguments, run, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=40.0, help="transactions a second, half on each path")
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--merchants", type=int, default=15)
    parser.add_argument(
        "--burst", type=int, default=0, help="transactions that are sent to Kafka at once, at the start"
    )
    parser.add_argument("--calm", action="store_true", help="load alone, without kills and pauses")
    parser.add_argument("--home", type=Path, default=Path(".fraud-storm"), help="given up at the next run")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that the platform is stopped
    account = run(given, given.home.absolute())
    print(account.table())  # noqa: T201
    sys.exit(int(bool(account.errors())))


if __name__ == "__main__":
    main()
