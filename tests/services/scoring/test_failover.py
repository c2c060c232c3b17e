"""The primary of the store is killed under clients of two services and the stream: parity is 0."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from jobs.parity.compare import compare
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks.context import store_of
from tests.deployed import ENTITIES
from tests.fraud.store.conftest import run_redis, shards_url
from tests.fraud.store.sentinels import run_group
from tests.services.scoring.test_exactness import (
    CLIENTS,
    EACH,
    Client,
    Stream,
    check_counts,
    replicas,
)

LONGEST_PAUSE_S = 10.0


class Progress:
    """The longest time in which a number did not grow."""

    def __init__(self) -> None:
        self.longest_s, self._seen, self._since = 0.0, 0, time.monotonic()

    def see(self, number: int) -> None:
        now = time.monotonic()
        self.longest_s = max(self.longest_s, now - self._since)
        if number > self._seen:
            self._seen, self._since = number, now


def test_a_primary_killed_under_both_paths_is_seen_by_no_state_and_no_answer(tmp_path: Path) -> None:
    with run_group() as group:
        old = group.primary()
        settings = StreamSettings(home=tmp_path / "stream", store_url=group.url(replicas=1))
        run_and_kill(settings, tmp_path, old.kill)
        assert group.primary() is not old


def test_a_shard_killed_under_both_paths_and_started_again_is_seen_by_no_state_and_no_answer(
    tmp_path: Path,
) -> None:
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with run_redis(*options) as first, run_redis(*options) as second:
        settings = StreamSettings(home=tmp_path / "stream", store_url=shards_url([first, second]))

        def kill_and_start() -> None:
            second.kill()
            second.start()

        run_and_kill(settings, tmp_path, kill_and_start)


def run_and_kill(settings: StreamSettings, folder: Path, kill: Callable[[], None]) -> None:
    """Run four clients of two services and the stream, kill in the middle, and compare all with the log."""
    store = store_of(settings.store, ENTITIES)
    with replicas(settings.store, folder) as found:
        stream = Stream(settings, store)
        stream.patience_s = 60.0
        clients = [Client(number, [one.url for one in found]) for number in range(CLIENTS)]
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        is_killed = False
        served, streamed = Progress(), Progress()
        while any(thread.is_alive() for thread in threads):
            stream.step(own=int(stream.dice.integers(1, 8)))
            answered = sum(len(client.answers) for client in clients)
            served.see(answered)
            streamed.see(stream.batches)
            if not is_killed and answered > CLIENTS * EACH // 3:
                kill()
                is_killed = True
        while stream.step(own=3):
            pass
        stream.archive.run(stream.context.epoch.generation)
        assert is_killed
        assert [error for client in clients for error in client.errors] == []
        assert sum(len(client.answers) for client in clients) == CLIENTS * EACH
        assert max(served.longest_s, streamed.longest_s) < LONGEST_PAUSE_S
        parity = compare(settings.delta_path)
        assert parity.errors() == []
        assert (parity.greatest, parity.waiting, parity.repeated_ids) == (0.0, 0, 0)
        assert parity.transactions == CLIENTS * EACH + stream.own
        assert (stream.letters, set(stream.reasons)) == (stream.repeated, {"duplicate"})
        check_counts(store, parity.transactions)
