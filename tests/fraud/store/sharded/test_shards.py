"""A store over several servers: places, micro-batches that reach some of them, commits that stop half way.

A client stops before its k-th call to a server, for every k: as a process that is killed there does. The
oracle is that of ``test_failover``: a state is the list of the transactions that it has counted.
"""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraud.errors import BadConfig, BadState, Fenced, Unavailable
from fraud.log.rebuild import is_empty
from fraud.store import Answer, Change, Epoch, FeatureStore, Watermark, open_store
from fraud.store.ring import place_of_id, place_of_key
from fraud.store.sharded.shard import Shard
from fraud.store.sharded.store import ShardedStore
from fraud.store.value import epoch_of, version_of
from tests.fraud.store.conftest import RedisServer, run_redis, shards_url, wait_until
from tests.fraud.store.test_failover import (
    ENTITIES,
    LONGEST_PAUSE_S,
    check_against_the_oracle,
    commit,
    ids_in,
    key_of,
    run_writers,
    state_of,
)

MOST_CALLS = 60


class Stopped(BaseException):
    """The client is gone."""


@dataclass
class Steps:
    """Stops a client before one of its calls, or lets it wait there."""

    stop_before: int = -1
    wait_before: int = -1
    calls: int = 0
    waits: threading.Event = field(default_factory=threading.Event)
    may_go: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, _shard: int) -> None:
        with self.lock:
            at, self.calls = self.calls, self.calls + 1
        if 0 <= self.stop_before <= at:
            raise Stopped
        if at == self.wait_before:
            self.waits.set()
            assert self.may_go.wait(30.0)


@pytest.fixture
def urls(shard_servers: list[RedisServer]) -> Callable[[int], str]:
    return lambda size: shards_url(shard_servers[:size], prefix=uuid.uuid4().hex)


@pytest.fixture(params=[2, 3], ids=["2 shards", "3 shards"])
def url(request: pytest.FixtureRequest, urls: Callable[[int], str]) -> str:
    return urls(request.param)


def opened(url: str, steps: Steps | None = None, grace_s: float = 0.0) -> ShardedStore:
    return ShardedStore(url, ENTITIES, grace_s=grace_s, before=steps or Steps())


def counts(store: FeatureStore) -> dict[str, Counter[int]]:
    found = {}
    for entity in ENTITIES:
        keys = [float(key) for key in range(10)]
        found[entity] = Counter(number for one in store.stored(entity, keys) for number in ids_in(one))
    return found


def each(numbers: list[int]) -> dict[str, Counter[int]]:
    return {entity: Counter(numbers) for entity in ENTITIES}


def spread(size: int) -> Iterator[int]:
    """Transactions whose answer and states lie on different shards in every way."""
    seen = set()
    for number in range(1, 1_000):
        places = (
            place_of_id(f"t{number}", size),
            *(place_of_key(key_of(entity, number), size) for entity in ENTITIES),
        )
        if places not in seen:
            seen.add(places)
            yield number


def test_keys_and_ids_are_spread_evenly() -> None:
    for size in (2, 3, 7):
        keys = Counter(place_of_key(float(7_919 * key), size) for key in range(7_000))
        ids = Counter(place_of_id(f"t-{number}", size) for number in range(7_000))
        for found in (keys, ids):
            assert len(found) == size
            assert max(found.values()) < 1.1 * 7_000 / size


def test_servers_are_refused_in_any_other_number_order_or_company(urls: Callable[[int], str]) -> None:
    url, other = urls(3), urls(3)
    for one in (url, other):
        open_store(one).close()
    first, second, third = url.split()
    single = other.split()[0].partition("?")[0] + f"?prefix={uuid.uuid4().hex}"
    open_store(single).close()
    for wrong, words in {
        f"{second} {first} {third}": "in another order",
        f"{first} {second}": r"shard 1 of 3.*names 2.*--follow-until",
        f"{url} {other.split()[0].partition('?')[0]}?prefix=new": r"shard 1 of 3.*names 4",
        first: r"shard 1 of 3 of a feature store; name all 3",
        f"{first} {second} {other.split()[2]}": "belong to two feature stores",
        f"{first} {first} {third}": "given twice",
        f"{single} {urls(1)}": "holds a feature store of its own and is no shard",
        "lmdb:///a lmdb:///b": "in Redis or Valkey",
    }.items():
        with pytest.raises(BadConfig, match=words):
            open_store(wrong)
    open_store(url).close()


def test_all_who_open_a_new_store_at_once_make_one_ring(urls: Callable[[int], str]) -> None:
    url, names = urls(3), []

    def look() -> None:
        with open_store(url) as store:
            names.append(store.identity())

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 6
    assert len(set(names)) == 1
    assert names[0]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_shard_that_was_emptied_makes_the_store_incomplete_until_it_is_rebuilt(
    shard_servers: list[RedisServer], lost: int
) -> None:
    prefix = uuid.uuid4().hex
    url = shards_url(shard_servers[:2], prefix=prefix)
    with opened(url) as store:
        generation, token = store.generation_of("query"), store.acquire("test")
        for number in range(1, 20):
            assert commit(store, number)
        store.advance(Watermark("query", Epoch(generation, 3)), None, token)
    with shard_servers[lost].client() as client:
        client.delete(*client.scan_iter(f"{prefix}:*"))
    with opened(url) as store:
        assert (store.identity(), store.watermark(), store.knows("query")) == ("", None, False)
        assert not is_empty(store)
        assert not commit(store, 99)
        newer = store.acquire("rebuild")
        assert newer > token
        assert store.generation_of("query") == generation
        store.renew(is_whole=False)
        for entity in ENTITIES:
            store.clear(entity, newer)
        assert is_empty(store)
        assert store.renew(is_whole=True) == store.identity()
        assert commit(store, 99)


def test_the_oldest_watermark_counts_and_an_advance_that_reached_some_shards_is_taken_up(url: str) -> None:
    first, second = Watermark("q", Epoch(1, 0)), Watermark("q", Epoch(1, 1))
    with opened(url) as store:
        token = store.acquire("test")
        store.advance(first, None, token)
        for stop in range(1, len(store.watermarks())):
            with opened(url, steps := Steps()) as other:
                steps.stop_before = steps.calls + stop
                with suppress(Stopped):
                    other.advance(second, first, token)
            assert store.watermark() in {first, second}
        store.advance(second, first, token)
        assert store.watermarks() == [second] * len(store.watermarks())
        with pytest.raises(BadState):
            store.advance(Watermark("q", Epoch(1, 2)), first, token)


def test_a_driver_that_was_taken_over_writes_on_no_shard(url: str) -> None:
    with opened(url) as old, opened(url) as new:
        tokens = old.acquire("old"), new.acquire("new driver")
        assert tokens[0] < tokens[1]
        for key in (float(number) for number in range(6)):
            with pytest.raises(Fenced, match="new driver"):
                old.replace("user", {key: state_of([1])}, {key: b""}, Epoch(1, 0), tokens[0])
        with pytest.raises(Fenced):
            old.hold(tokens[0])
        new.hold(tokens[1])
        assert counts(new)["user"] == Counter()


@pytest.mark.parametrize("is_delayed", [False, True])
def test_of_two_drivers_that_take_over_at_once_one_holds_every_shard(url: str, is_delayed: bool) -> None:
    with opened(url) as store:
        size = len(store.watermarks())
        store.acquire("before")
    with opened(url, steps := Steps(wait_before=size + is_delayed)) as slow, opened(url) as quick:
        outcome: list[object] = []

        def take() -> None:
            try:
                outcome.append(slow.acquire("slow"))
            except Fenced as error:
                outcome.append(error)

        thread = threading.Thread(target=take)
        thread.start()
        assert steps.waits.wait(30.0)
        token = quick.acquire("quick")
        steps.may_go.set()
        thread.join()
        if isinstance(outcome[0], Fenced):
            quick.hold(token)
        else:
            assert outcome[0] > token
            with pytest.raises(Fenced):
                quick.hold(token)


def batch(store: ShardedStore, numbers: list[int], epoch: Epoch, token: int) -> None:
    """Fold a micro-batch, as the stream does it."""
    for entity in ENTITIES:
        keys = sorted({key_of(entity, number) for number in numbers})
        stored = dict(zip(keys, store.stored(entity, keys), strict=True))
        open_ = [key for key, value in stored.items() if value is None or epoch_of(value) != epoch]
        states = {
            key: state_of([*ids_in(stored[key]), *(one for one in numbers if key_of(entity, one) == key)])
            for key in open_
        }
        versions = {key: version_of(stored[key]) for key in open_}
        assert store.replace(entity, states, versions, epoch, token) == []


def test_a_micro_batch_that_reached_some_shards_leaves_the_same_bytes_when_it_runs_again(
    urls: Callable[[int], str],
) -> None:
    def run(stop: int | None) -> tuple[int, dict[str, dict[float, bytes]]]:
        url = urls(3)
        with opened(url) as store:
            token = store.acquire("test")
            batch(store, list(range(1, 20)), Epoch(1, 0), token)
        with opened(url, steps := Steps()) as store:
            steps.stop_before = -1 if stop is None else steps.calls + stop
            with suppress(Stopped):
                batch(store, list(range(20, 40)), Epoch(1, 1), token)
            calls = steps.calls
        with opened(url) as store:
            batch(store, list(range(20, 40)), Epoch(1, 1), token)
            return calls, {entity: dict(store.values(entity)) for entity in ENTITIES}

    calls, whole = run(None)
    for stop in range(calls):
        assert run(stop)[1] == whole


def test_a_commit_that_stops_anywhere_is_whole_or_absent_and_counts_once_when_sent_again(url: str) -> None:
    size = len(url.split())
    for number in spread(size):
        sent: list[int] = []
        own = url.replace("prefix=", f"prefix={number}-")
        with opened(own) as store:
            for stop in count():
                base = 1_000_000 * (stop + 1)
                first, second = _alike(number, base, size)
                with opened(own, steps := Steps()) as stopping:
                    steps.stop_before = steps.calls + stop
                    try:
                        assert commit(stopping, first)
                        has_stopped = False
                    except Stopped:
                        has_stopped = True
                whole = counts(store)
                assert whole in (each(sent), each([*sent, first])), (number, stop)
                assert (store.answers().find(f"t{first}") is not None) == (first in whole["user"])
                assert _until_counted(store, second), "another writer of the same states goes on"
                assert _until_counted(store, first), "the same one, sent again"
                sent += [first, second]
                assert counts(store) == each(sent), (number, stop)
                assert store.answers().backlog() == len(sent)
                if not has_stopped:
                    break
                assert stop < MOST_CALLS
            assert not any(_locks(store))


def test_a_commit_that_sleeps_anywhere_while_others_undo_it_is_whole_or_absent(url: str) -> None:
    size = len(url.split())
    for number in spread(size):
        sent: list[int] = []
        own = url.replace("prefix=", f"prefix={number}-")
        with opened(own) as store:
            for stop in count():
                first, second = _alike(number, 1_000_000 * (stop + 1), size)
                steps = Steps()
                with opened(own, steps) as sleeping:
                    steps.wait_before = steps.calls + stop
                    done: list[bool] = []
                    thread = threading.Thread(target=_commit_into, args=(done, sleeping, first))
                    thread.start()
                    is_asleep = wait_for(steps.waits, thread)
                    assert _until_counted(store, second)
                    steps.may_go.set()
                    thread.join()
                sent += [second, *([first] if done[0] else [])]
                assert counts(store) == each(sent), (number, stop, done)
                if not done[0]:
                    assert _until_counted(store, first)
                    sent.append(first)
                if not is_asleep:
                    break
                assert stop < MOST_CALLS
            assert not any(_locks(store))


def test_a_locked_state_is_left_alone_by_the_stream_until_its_commit_is_settled(
    urls: Callable[[int], str],
) -> None:
    url = urls(2)
    number = next(one for one in spread(2) if _is_apart(one))
    with opened(url, grace_s=60.0) as patient, opened(url) as store:
        token = store.acquire("stream")
        with opened(url, steps := Steps()) as stopping:
            steps.stop_before = steps.calls + 5  # two looks, two names, one lock
            with pytest.raises(Stopped):
                commit(stopping, number)
        (name,) = [one for locks in _locks(store) for one in locks]
        entity, key = name.split(":")[1], float(name.split(":")[2])
        state, version = {key: state_of([7])}, {key: b""}
        assert patient.replace(entity, state, version, Epoch(1, 0), token) == [key]
        assert patient.stored(entity, [key]) == [None], "it is not decided, and not undone before its time"
        assert store.stored(entity, [key]) == [None]
        assert not any(_locks(store)), "whoever met it has undone it"
        assert store.replace(entity, state, version, Epoch(1, 0), token) == []


def test_a_decision_that_too_few_replicas_have_is_told_to_no_other_shard(urls: Callable[[int], str]) -> None:
    url = urls(2)
    number = next(one for one in spread(2) if _is_apart(one))
    with opened(url, steps := Steps()) as stopping:
        steps.stop_before = steps.calls + 6  # two looks, two names, one lock, the decision
        with pytest.raises(Stopped):
            commit(stopping, number)
    with opened(url, grace_s=60.0) as store, opened(f"{url}&replicas=1".replace(" ", "&replicas=1 ")) as wary:
        ((name,),) = (locks for locks in _locks(store) if locks)
        entity, key = name.split(":")[1], float(name.split(":")[2])
        with pytest.raises(Unavailable, match="0 of 1 replicas"):
            wary.stored(entity, [key])
        assert _locks(store) != [[], []]
        assert ids_in(store.stored(entity, [key])[0]) == [number], "who needs no replicas finishes it"
        assert _locks(store) == [[], []]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), size=st.sampled_from([2, 3]))
def test_writers_that_stop_again_and_again_over_the_same_states_count_once(
    urls: Callable[[int], str], seed: int, size: int
) -> None:
    url, each_writer = urls(size), 12

    def write(at: int) -> None:
        dice = random.Random(seed * 10 + at)
        for number in range(at * 1_000, at * 1_000 + each_writer):
            is_counted = False
            while not is_counted:
                steps = Steps()
                with opened(url, steps, grace_s=0.02) as store:
                    steps.stop_before = dice.choice([-1, steps.calls + dice.randint(0, 12)])
                    with suppress(Stopped):
                        is_counted = _until_counted(store, number)

    threads = [threading.Thread(target=write, args=(at,)) for at in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with opened(url) as store:
        store.answers().settle_all()
        sent = [number for at in (1, 2) for number in range(at * 1_000, at * 1_000 + each_writer)]
        assert counts(store) == each(sent)
        entries = [entry.decode() for entry, _ in store.answers().waiting(1_000)]
        assert sorted(entries) == sorted(f"t{number}" for number in sent)
        for entity in ENTITIES:  # the outbox merges in the order in which each state has counted
            for stored in store.stored(entity, [float(key) for key in range(10)]):
                order = [entries.index(f"t{number}") for number in ids_in(stored)]
                assert order == sorted(order)


def test_a_commit_over_a_changed_state_anywhere_leaves_all_and_no_lock(url: str) -> None:
    with opened(url, grace_s=60.0) as store:
        for number in spread(len(url.split())):
            keys = [(entity, key_of(entity, number)) for entity in ENTITIES]
            for entity in ENTITIES:
                found = store.answers().look(f"t{number}", keys)
                changes = [
                    Change(*key, state_of([*ids_in(one), number]), version_of(one))
                    for key, one in found.stored.items()
                ]
                old = [change for change in changes if change.entity == entity]
                answer = Answer(b"f" * 16, b"{}", b"r")
                identity = store.identity()
                assert store.answers().commit(f"first-{number}-{entity}", answer, old, identity)
                before = counts(store)
                assert not store.answers().commit(f"t{number}", answer, changes, identity)
                assert counts(store) == before
                assert not any(_locks(store))


def test_a_store_is_set_aside_on_every_server_that_answers() -> None:
    with run_redis() as first, run_redis() as second:
        url = shards_url([first, second], socket_timeout=0.5, retries=1)
        with opened(url) as store:
            assert store.renew(is_whole=True)
            first.kill()
            with pytest.raises(Unavailable):
                store.set_aside()
        with closing(Shard(second.url(), ENTITIES)) as shard:
            assert not shard.identity()


@pytest.mark.parametrize("killed", [0, 1])
def test_a_primary_killed_under_load_and_started_again_loses_and_doubles_nothing(killed: int) -> None:
    with ExitStack() as stack:
        options = ("--appendonly", "yes", "--appendfsync", "always")
        servers = [stack.enter_context(run_redis(*options)) for _ in range(2)]

        def kill() -> None:
            servers[killed].kill()
            time.sleep(0.3)  # requests meet a server that is unavailable
            servers[killed].start()

        urls = (shards_url(servers, socket_timeout=0.5, retries=1), shards_url(servers, socket_timeout=2))
        writers = run_writers(urls, kill)
        assert sum(writer.refused for writer in writers) > 0
        assert max(writer.longest_s for writer in writers) < LONGEST_PAUSE_S
        check_against_the_oracle(urls[1], writers)


def wait_for(event: threading.Event, thread: threading.Thread) -> bool:
    """Wait until a thread sleeps or has ended; returns whether it sleeps."""
    wait_until(lambda: event.is_set() or not thread.is_alive(), "it sleeps or ends")
    return event.is_set()


def _alike(number: int, base: int, size: int) -> tuple[int, int]:
    """Two transactions of the same keys, whose answers lie where that of ``number`` does."""
    home = place_of_id(f"t{number}", size)
    alike = (one for one in count(base + number % 15, 15) if place_of_id(f"t{one}", size) == home)
    return next(alike), next(alike)


def _is_apart(number: int) -> bool:
    home, user, merchant = (
        place_of_id(f"t{number}", 2),
        *(place_of_key(key_of(entity, number), 2) for entity in ENTITIES),
    )
    return home == user != merchant


def _commit_into(done: list[bool], store: ShardedStore, number: int) -> None:
    done.append(commit(store, number))


def _until_counted(store: ShardedStore, number: int) -> bool:
    stop_at = time.monotonic() + 30.0
    while not commit(store, number):
        assert time.monotonic() < stop_at
        time.sleep(0.001)
    return True


def _locks(store: ShardedStore) -> list[list[str]]:
    return store.answers().locked()
