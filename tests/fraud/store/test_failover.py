"""The primary is killed, paused, or replaced by a copy that lags, under the stream and the scoring service.

The oracle: every transaction that was ever sent is in the states of its entities exactly once, whoever
counted it, and has one answer. A state here is the list of the transactions that it has counted.
"""

import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import pytest

from fraud.errors import BadConfig, BadState, Unavailable
from fraud.runtime.waiting import wait_until
from fraud.store import Answer, Change, Epoch, FeatureStore, Watermark, open_store
from fraud.store.ring import place_of_key
from fraud.store.value import epoch_of, newest_state, state_before, version_of
from tests.fraud.store.conftest import shards_url
from tests.fraud.store.sentinels import Group, Node, run_group

ENTITIES = ("user", "merchant")
KEYS = {"user": 5, "merchant": 3}
T = TypeVar("T")
SCORERS, EACH_BATCH = 3, 20
LONGEST_PAUSE_S = 10.0
HURRIED = {"replicas": 1, "socket_timeout": 0.5, "retries": 1}


@pytest.fixture
def group() -> Iterator[Group]:
    with run_group() as found:
        yield found


def ids_in(stored: bytes | None) -> list[int]:
    """Transactions that a state has counted."""
    state = newest_state(stored) if stored else b""
    return [int(value) for value in struct.unpack(f"<{len(state) // 8}d", state)[3:]]


def state_of(ids: Sequence[int]) -> bytes:
    return struct.pack(f"<{3 + len(ids)}d", 0.0, 5.0, float(len(ids)), *map(float, ids))


def key_of(entity: str, number: int) -> float:
    return float(number % KEYS[entity])


def patiently(call: Callable[[], T]) -> T:
    """Call again while the store is unavailable, which a busy machine makes it for a moment."""
    stop_at = time.monotonic() + 30.0
    while True:
        try:
            return call()
        except Unavailable:
            assert time.monotonic() < stop_at, "the store stays away"
            time.sleep(0.05)


class Writer(threading.Thread):
    """Sends until it is told to stop; what is refused or unanswered is sent again."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.store = patiently(lambda: open_store(url, ENTITIES))
        self.over = threading.Event()
        self.confirmed: list[int] = []
        self.refused = 0
        self.longest_s = 0.0
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            while not self.over.is_set():
                started = time.monotonic()
                self.confirmed += self.until_confirmed()
                self.longest_s = max(self.longest_s, time.monotonic() - started)
        except Exception as error:  # noqa: BLE001  the test raises it
            self.failure = error

    def until_confirmed(self) -> list[int]:
        numbers = self.next_numbers()
        while True:
            try:
                if self.attempt(numbers):
                    return numbers
            except Unavailable:
                self.refused += 1
                time.sleep(0.02)

    def next_numbers(self) -> list[int]:
        raise NotImplementedError

    def attempt(self, numbers: list[int]) -> bool:
        raise NotImplementedError


class Scorer(Writer):
    """Counts one transaction a commit, as the scoring service does."""

    def __init__(self, url: str, at: int) -> None:
        super().__init__(url)
        self.next = at * 1_000_000

    def next_numbers(self) -> list[int]:
        self.next += 1
        return [self.next]

    def attempt(self, numbers: list[int]) -> bool:
        return commit(self.store, numbers[0])


def commit(store: FeatureStore, number: int) -> bool:
    answers = store.answers()
    found = answers.look(f"t{number}", [(entity, key_of(entity, number)) for entity in ENTITIES])
    if found.answer is not None:
        return True
    changes = [
        Change(*key, state_of([*ids_in(stored), number]), version_of(stored))
        for key, stored in found.stored.items()
    ]
    answer = Answer(b"f" * 16, f"answer {number}".encode(), b"record")
    return answers.commit(f"t{number}", answer, changes, store.identity())


def told(store: FeatureStore, number: int) -> bool:
    """Commit again until enough replicas follow for an answer, as a client does that is told to retry."""
    answers: list[bool] = []

    def is_told() -> bool:
        with suppress(Unavailable):
            answers.append(commit(store, number))
        return bool(answers)

    assert wait_until(is_told, 30.0)
    return answers[0]


class Stream(Writer):
    """Counts a micro-batch at a time, as the streaming job does: it runs again whole until it is whole."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.generation = patiently(lambda: self.store.generation_of("query"))
        self.token = patiently(lambda: self.store.acquire("test"))
        self.mark: Watermark | None = None
        self.batch = -1

    def next_numbers(self) -> list[int]:
        self.batch += 1
        first = 900_000_000 + self.batch * EACH_BATCH
        return list(range(first, first + EACH_BATCH))

    def attempt(self, numbers: list[int]) -> bool:
        epoch = Epoch(self.generation, self.batch)
        mark = Watermark("query", epoch)
        self.store.hold(self.token)
        instance = self.store.instance()
        for entity in ENTITIES:
            self._fold(entity, numbers, epoch)
        self.store.advance(mark, self.mark, self.token)
        self.store.flush()
        if self.store.instance() != instance:
            return False
        self.mark = mark
        return True

    def _fold(self, entity: str, numbers: list[int], epoch: Epoch) -> None:
        keys = sorted({key_of(entity, number) for number in numbers})
        while keys:
            stored = dict(zip(keys, self.store.stored(entity, keys), strict=True))
            open_ = [key for key, value in stored.items() if value is None or epoch_of(value) != epoch]
            states = {}
            for key in open_:
                before = state_before(stored[key], epoch)
                own = [number for number in numbers if key_of(entity, number) == key]
                old = (
                    [int(one) for one in struct.unpack(f"<{len(before) // 8}d", before)[3:]] if before else []
                )
                states[key] = state_of([*old, *own])
            versions = {key: version_of(stored[key]) for key in open_}
            keys = self.store.replace(entity, states, versions, epoch, self.token)


def run_under_load(group: Group, fault: Callable[[Node], None]) -> list[Writer]:
    """Let all write, have the fault, and let them write on over the new primary."""

    def fail_over() -> None:
        old = group.primary()
        fault(old)
        group.wait_for_another(old)

    return run_writers((group.url(**HURRIED), group.url(replicas=1, socket_timeout=2)), fail_over)


def run_writers(urls: tuple[str, str], happen: Callable[[], None]) -> list[Writer]:
    """Let scorers and a stream write over their URLs, before and after something has happened."""
    scorers = [Scorer(urls[0], at) for at in range(SCORERS)]
    writers: list[Writer] = [*scorers, Stream(urls[1])]
    for writer in writers:
        writer.start()

    def wait_for_more() -> None:
        before = [len(writer.confirmed) for writer in writers]
        stop_at = time.monotonic() + 60.0
        while not all(len(one.confirmed) > n for one, n in zip(writers, before, strict=True)):
            assert [one.failure for one in writers if one.failure] == []
            assert time.monotonic() < stop_at, [one.refused for one in writers]
            time.sleep(0.01)

    wait_for_more()
    happen()
    wait_for_more()
    for writer in writers:
        writer.over.set()
    for writer in writers:
        writer.join(60.0)
        assert not writer.is_alive()
        assert writer.failure is None
    return writers


def check_against_the_oracle(url: str, writers: list[Writer]) -> None:
    sent = Counter(number for writer in writers for number in writer.confirmed)
    assert set(sent.values()) == {1}
    with patiently(lambda: open_store(url, ENTITIES)) as store:
        for entity, count in KEYS.items():
            states = patiently(partial(store.stored, entity, [float(key) for key in range(count)]))
            counted = Counter(number for stored in states for number in ids_in(stored))
            assert (sorted(sent - counted), sorted(counted - sent)) == ([], []), "lost, doubled"
        scored = [number for writer in writers[:SCORERS] for number in writer.confirmed]
        assert patiently(store.answers().backlog) == len(scored)
        for number in scored:
            found = patiently(partial(store.answers().find, f"t{number}"))
            assert found is not None
            assert found.body == f"answer {number}".encode()


def test_after_a_failover_a_micro_batch_without_keys_goes_on(start_redis: Callable[..., Any]) -> None:
    with (
        start_redis("--appendonly", "yes", "--appendfsync", "always") as server,
        open_store(server.url(), ENTITIES) as store,
    ):
        token = store.acquire("stream")
        store.stored("user", [1.0])
        server.kill()
        server.start()
        assert store.stored("user", []) == []
        assert store.replace("user", {}, {}, Epoch(1, 0), token) == []


def test_a_micro_batch_answers_for_the_shards_that_it_has_read_alone(start_redis: Callable[..., Any]) -> None:
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with (
        start_redis(*options) as first,
        start_redis(*options) as second,
        open_store(shards_url([first, second]), ENTITIES) as store,
    ):
        token = store.acquire("stream")
        one_each = {place_of_key(key, 2): key for key in map(float, range(1, 100))}
        store.stored("user", [*one_each.values()])
        first.kill()
        first.start()
        store.stored("user", [one_each[1]])
        assert store.replace("user", {}, {}, Epoch(1, 0), token) == []
        second.kill()
        second.start()
        with pytest.raises(Unavailable, match="failed over between"):
            store.replace("user", {}, {}, Epoch(1, 0), token)


def test_a_primary_killed_under_load_loses_and_doubles_nothing(group: Group) -> None:
    writers = run_under_load(group, lambda old: old.kill())
    assert sum(writer.refused for writer in writers) > 0
    assert max(writer.longest_s for writer in writers) < LONGEST_PAUSE_S
    check_against_the_oracle(group.url(replicas=1), writers)


def test_what_an_old_primary_is_told_when_it_comes_back_does_not_count(group: Group) -> None:
    old = group.primary()
    alone = f"redis://127.0.0.1:{old.port}?replicas=1&socket_timeout=1&retries=0"
    with open_store(alone, ENTITIES) as stale:
        stale.answers().find("a connection that stays")
        writers = run_under_load(group, lambda node: node.pause())
        token = int(group.primary().client().hget("fraud:meta", "token") or 0)
        old.go_on()
        with pytest.raises(Unavailable):
            commit(stale, 777_777)
        with pytest.raises(Unavailable):
            stale.replace("user", {}, {}, Epoch(1, 10_000), token)
    wait = time.monotonic() + 60.0
    while old.role() != "slave":
        assert time.monotonic() < wait
        time.sleep(0.05)
    assert max(writer.longest_s for writer in writers) < LONGEST_PAUSE_S
    check_against_the_oracle(group.url(replicas=1), writers)


def test_a_commit_that_was_not_confirmed_is_recognised_when_it_is_sent_again(group: Group) -> None:
    with open_store(group.url(**HURRIED), ENTITIES) as store:
        found = store.answers().look("t7", [("user", 2.0)])
        change = Change("user", 2.0, state_of([7]), version_of(found.stored["user", 2.0]))
        replicas = [node for node in group.nodes if node is not group.primary()]
        answer = Answer(b"f" * 16, b"answer", b"record")
        for node in replicas:
            node.pause()
        with pytest.raises(Unavailable, match="is not confirmed"):
            store.answers().commit("t7", answer, [change], store.identity())
        with pytest.raises(Unavailable, match="is not confirmed"):
            store.answers().find("t7")  # nobody is told an answer that a failover may lose
        for node in replicas:
            node.go_on()
        group.wait_until_whole(2)
        assert not store.answers().commit("t7", answer, [change], store.identity())
        assert store.answers().find("t7") == answer
        assert ids_in(store.stored("user", [2.0])[0]) == [7]
        assert store.answers().backlog() == 1


def test_what_was_read_before_a_failover_is_not_written_after_it(
    start_redis: Callable[..., Any],
) -> None:
    with (
        start_redis("--appendonly", "yes", "--appendfsync", "always") as server,
        open_store(server.url(), ENTITIES) as store,
    ):
        token = store.acquire("test")
        found = store.answers().look("t1", [("user", 1.0)])
        server.kill()
        server.start()
        change = Change("user", 1.0, state_of([1]), version_of(found.stored["user", 1.0]))
        answer = Answer(b"f" * 16, b"answer", b"record")
        assert not store.answers().commit("t1", answer, [change], store.identity())
        for write in (
            lambda: store.replace("user", {1.0: state_of([1])}, {1.0: b""}, Epoch(1, 0), token),
            lambda: store.replace("user", {}, {}, Epoch(1, 0), token),
            lambda: store.write("user", {1.0: state_of([1])}, Epoch(1, 0), token),
        ):
            with pytest.raises(Unavailable, match="failed over between"):
                write()
        store.stored("user", [1.0])
        assert store.replace("user", {1.0: state_of([1])}, {1.0: b""}, Epoch(1, 0), token) == []


@pytest.mark.parametrize(
    "notice", [lambda store: commit(store, 3), lambda store: store.instance()], ids=["commit", "look"]
)
def test_a_failover_to_a_copy_that_lags_is_told_and_nothing_is_counted_in_it(
    group: Group, notice: Callable[[Any], object]
) -> None:
    primary = group.primary()
    kept, lagging = (node for node in group.nodes if node is not primary)
    with (
        open_store(group.url(**HURRIED), ENTITIES) as scoring,
        open_store(group.url(replicas=1, socket_timeout=2), ENTITIES) as stream,
    ):
        token, mark = stream.acquire("stream"), Watermark("query", Epoch(1, 0))
        assert told(scoring, 1)
        assert lagging.client().exists("fraud:answer:t1")
        lagging.pause()
        primary.client().client_kill_filter(_type="replica")  # nothing waits for it in a socket
        group.wait_until_whole(1)
        assert told(scoring, 2)
        stream.advance(mark, None, token)
        primary.kill()
        kept.kill()
        lagging.go_on()
        group.wait_for_another(primary)
        with pytest.raises(Unavailable, match="fewer replicas follow"):
            commit(scoring, 3)
        kept.start()
        group.wait_until_whole(1)
        with pytest.raises(BadState, match=r"older copy.*1 transactions.*2 were confirmed"):
            notice(scoring)
        assert not told(scoring, 3)
        assert stream.watermark() is None
        with pytest.raises(BadState, match="knows no micro-batch"):
            stream.advance(Watermark("query", Epoch(1, 1)), mark, token)
        assert stream.identity() == ""
        with open_store(group.url(**HURRIED), ENTITIES) as other:
            assert not told(other, 4)


@pytest.mark.parametrize(
    "bad", ["redis+sentinel://a,b", "redis+sentinel://a:x/fraud", "redis+sentinel://,/fraud"]
)
def test_a_wrong_url_of_sentinels_is_a_matter_of_configuration(bad: str) -> None:
    with pytest.raises(BadConfig, match="URL"):
        open_store(bad)


def test_sentinels_that_are_away_or_do_not_know_the_name_are_told(group: Group) -> None:
    with pytest.raises(Unavailable, match=r"No master found for 'other'"):
        open_store(group.url(retries=0).replace("/fraud?", "/other?"))
