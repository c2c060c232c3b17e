"""The primary of the store is killed under clients of two services and the stream: parity is 0."""

import threading
import time
from pathlib import Path

from jobs.parity.compare import compare
from jobs.stream.context import store_of
from jobs.stream.settings import StreamSettings
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
        settings = StreamSettings(home=tmp_path / "stream", store_url=group.url(replicas=1))
        store = store_of(settings.store)
        with replicas(settings.store, tmp_path) as found:
            stream = Stream(settings, store)
            stream.patience_s = 30.0
            clients = [Client(number, [one.url for one in found]) for number in range(CLIENTS)]
            threads = [threading.Thread(target=client.run) for client in clients]
            for thread in threads:
                thread.start()
            old, is_killed = group.primary(), False
            served, streamed = Progress(), Progress()
            while any(thread.is_alive() for thread in threads):
                stream.step(own=int(stream.dice.integers(1, 8)))
                answered = sum(len(client.answers) for client in clients)
                served.see(answered)
                streamed.see(stream.batches)
                if not is_killed and answered > CLIENTS * EACH // 3:
                    old.kill()
                    is_killed = True
            while stream.step(own=3):
                pass
            stream.archive.run(stream.context.epoch.generation)
            assert is_killed
            assert group.primary() is not old
            assert [error for client in clients for error in client.errors] == []
            assert sum(len(client.answers) for client in clients) == CLIENTS * EACH
            assert max(served.longest_s, streamed.longest_s) < LONGEST_PAUSE_S
            parity = compare(settings.delta_path)
            assert parity.errors() == []
            assert (parity.greatest, parity.waiting, parity.repeated_ids) == (0.0, 0, 0)
            assert parity.transactions == CLIENTS * EACH + stream.own
            assert (stream.letters, set(stream.reasons)) == (stream.repeated, {"duplicate"})
            check_counts(store, parity.transactions)
