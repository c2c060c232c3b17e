"""A full disk under the whole platform: ``uv run python -m tests.load.full_disk``.

Starts the embedded platform in a home on a small file system of its own (a loop device, else a tmpfs; both
need root), and sends transactions through Kafka and through the scoring service. A file then takes all the
room for a while, and is deleted. What has not come back by itself is started by one ``fraud up``. At the end
everything is drained and stopped, and one table says what was lost, doubled, or differs
(``tests.load.ledger``). Exits with 1 where anything was, or where readiness did not report the full disk.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fraud.contracts import DECISIONS, TRANSACTIONS
from fraud.errors import FraudError
from fraud.kafka.reader import Reader
from fraud.local import platform
from fraud.local.platform import State
from fraud.local.settings import LocalSettings
from fraud.runtime.waiting import wait_until
from jobs.stream.settings import StreamSettings
from tests.load.clients import ApiClients, KafkaClient, Load
from tests.load.ledger import Ledger, Sent, records_in, settle
from tests.load.storm import begin, drain, settings_in

BLOCK: Final = bytes(1 << 20)
LOOK_S: Final = 1.0
STANDS_S: Final = 15.0
"""Without a decision for so long, a part must not say that it is ready."""
TIMEOUT_S: Final = 300.0


@contextmanager
def small_disk(at: Path, size_mb: int) -> Iterator[str]:
    """Mount a file system of that size; gives its kind, and "" where none can be mounted here."""
    at.mkdir(parents=True, exist_ok=True)
    image = at.with_name(f"{at.name}.ext4")
    with image.open("wb") as file:
        file.truncate(size_mb << 20)
    kind = ""
    is_made = _does("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    if is_made and _does("mount", "-o", "loop", str(image), str(at)):
        kind = "ext4 on a loop device"
    elif _does("mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "none", str(at)):
        kind = "tmpfs"
    try:
        yield kind
    finally:
        if kind and not wait_until(lambda: _does("umount", str(at)), 30.0, 1.0):
            print(f"{at} is still mounted: a process uses it")  # noqa: T201
        image.unlink(missing_ok=True)


def _does(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Filler:
    """Takes all the room of a disk, also what others give back meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "filler"

    def fill(self) -> None:
        """Take what is free: most of it at once, the rest by writing."""
        with suppress(OSError), self._file.open("ab") as file:
            free = os.statvfs(self._file).f_bavail * os.statvfs(self._file).f_frsize
            if free > len(BLOCK):
                os.posix_fallocate(file.fileno(), self._file.stat().st_size, free - len(BLOCK))
        for block in (BLOCK[:65_536], BLOCK[:4_096], BLOCK[:1]):
            with suppress(OSError), self._file.open("ab", buffering=0) as file:
                while file.write(block) == len(block):
                    pass
                os.fsync(file.fileno())

    def free(self) -> None:
        """Give it back."""
        self._file.unlink()


@dataclass
class Watching:
    """What parts say, and what they do, while the disk is full."""

    settings: LocalSettings
    api: ApiClients
    broker: str
    answered: tuple[int, float] = (0, 0.0)
    """Answers of the scoring service, and when the last one came."""
    published: tuple[int, float] = (0, 0.0)
    """Records of the topic decisions, and when the last one came."""
    seen: dict[str, list[str]] = field(default_factory=dict)
    """States of each part, one after the other."""
    lies: list[str] = field(default_factory=list)
    """Parts that said that they were ready, and did nothing."""

    def look(self) -> None:
        """Look once."""
        self.answered = _later(self.answered, len(self.api.answered))
        self.published = _later(self.published, _count(self.broker))
        now = time.monotonic()
        stands = {
            "scoring": now - self.answered[1] > STANDS_S,
            "stream": now - self.published[1] > STANDS_S,
        }
        for part in platform.status(self.settings):
            states = self.seen.setdefault(part.name, [])
            if not states or states[-1] != part.state:
                states.append(part.state)
                print(f"  {part.name} is {part.state}", flush=True)  # noqa: T201
            if part.state is State.READY and stands.get(part.name) and part.name not in self.lies:
                self.lies.append(part.name)


def _later(known: tuple[int, float], count: int) -> tuple[int, float]:
    return (count, time.monotonic()) if count > known[0] or not known[1] else known


def _count(bootstrap: str) -> int:
    """Count the published decisions; 0 while the broker does not answer."""
    try:
        with Reader(bootstrap, patience_s=2.0) as reader:
            return sum(found.end for found in reader.bounds(DECISIONS).values())
    except FraudError:
        return 0


def _all_ready(settings: LocalSettings) -> bool:
    return all(part.state is State.READY for part in platform.status(settings))


def come_back(settings: LocalSettings, alone_s: float) -> tuple[str, int]:
    """Wait until all parts are ready; returns how they came back, and how many of `fraud up` failed."""
    began = time.monotonic()
    if wait_until(lambda: _all_ready(settings), alone_s, LOOK_S):
        return f"by itself after {time.monotonic() - began:.0f} s", 0
    crashed = [part.name for part in platform.status(settings) if part.state is State.CRASHED]
    for failed in range(3):
        try:
            platform.up(settings, tell=lambda text: print(f"  {text}", flush=True))  # noqa: T201
        except FraudError as error:
            print(f"  `fraud up` failed: {error}", flush=True)  # noqa: T201
        else:
            took_s = time.monotonic() - began
            return f"by `fraud up` after {took_s:.0f} s; ended: {', '.join(crashed) or 'none'}", failed
    raise SystemExit("the platform did not come back by three `fraud up`")


def run(given: argparse.Namespace, home: Path) -> Ledger:
    """Fill the disk under load, free it, drain, stop the platform, and settle."""
    settings = settings_in(home)
    filler = Filler(home.parent)
    try:
        urls = begin(settings)
        load = Load(given.seed, given.rate, given.users, given.merchants, 0)
        api, kafka = ApiClients(urls["scoring"], load), KafkaClient(urls["broker"], load)
        watching = Watching(settings, api, urls["broker"])
        with kafka, api:
            time.sleep(given.before_s)
            for round_ in range(given.rounds):
                print(f"full, {round_ + 1} of {given.rounds}", flush=True)  # noqa: T201
                filler.fill()
                until = time.monotonic() + given.full_s
                watching.answered = watching.published = (0, 0.0)
                while time.monotonic() < until:
                    filler.fill()
                    watching.look()
                    time.sleep(LOOK_S)
                filler.free()
                print("room again", flush=True)  # noqa: T201
                back, failed = come_back(settings, given.alone_s)
                print(f"back {back}", flush=True)  # noqa: T201
                time.sleep(given.before_s)
            api.stop_sending()
            kafka.stop_sending()
        sent = Sent(kafka.delivered, kafka.failed, api.answered, api.refused, api.unanswered, api.names)
        stream = StreamSettings(home=home / "stream")
        drain(stream, sent)
        topic, published = (records_in(urls["broker"], name) for name in (TRANSACTIONS, DECISIONS))
    finally:
        platform.down(settings)
    account = settle(stream, sent, len(topic), published, home / "rebuilt")
    account.latencies = api.latencies
    account.wrong["ready and idle while the disk was full, parts"] = len(watching.lies)
    account.wrong["`fraud up` that failed after room was given back"] = failed
    account.examples["ready and idle"] = watching.lies
    account.examples["came back"] = [back]
    return account


def main() -> None:
    """Read the arguments, run, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size-mb", type=int, default=2_000, help="of the disk")
    parser.add_argument("--rounds", type=int, default=1, help="how often the disk is filled")
    parser.add_argument("--before-s", type=float, default=20.0, help="load before and after")
    parser.add_argument("--full-s", type=float, default=60.0, help="how long the disk is full")
    parser.add_argument("--alone-s", type=float, default=60.0, help="how long parts may take without help")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=40.0, help="transactions a second, half on each path")
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--merchants", type=int, default=15)
    parser.add_argument("--disk", type=Path, default=Path(".fraud-disk"), help="where the disk is mounted")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that the platform is stopped
    disk = given.disk.absolute()
    with small_disk(disk, given.size_mb) as kind:
        if not kind:
            print("skipped: no file system can be mounted here; run it as root")  # noqa: T201
            return
        print(f"a disk of {given.size_mb:,} MB, {kind}", flush=True)  # noqa: T201
        account = run(given, disk / "home")
    print(account.table())  # noqa: T201
    sys.exit(int(bool(account.errors())))


if __name__ == "__main__":
    main()
