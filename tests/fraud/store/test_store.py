"""The contract of every feature store, run against each backend."""

import multiprocessing
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraud.errors import BadConfig, Fenced
from fraud.store import Epoch, FeatureStore, Kind, open_store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"lmdb://{tmp_path / 'a store'}"


@pytest.fixture
def store(url: str) -> Iterator[FeatureStore]:
    with open_store(url) as opened:
        yield opened


def state(newest_us: float, *rest: float) -> bytes:
    return struct.pack(f"<{2 + len(rest)}d", 0.0, newest_us, *rest)


def test_an_epoch_that_runs_again_starts_from_the_state_before_it(store: FeatureStore) -> None:
    token = store.acquire("test")
    store.write(Kind.USER, {1.0: state(1)}, Epoch(1, 0), token)
    for attempt in (2, 3):
        assert store.read(Kind.USER, [1.0], Epoch(1, 1)) == [state(1)]
        store.write(Kind.USER, {1.0: state(attempt)}, Epoch(1, 1), token)
    assert store.read(Kind.USER, [1.0], Epoch(1, 2)) == [state(3)]


def test_an_entity_first_written_in_the_epoch_is_new_to_its_second_run(store: FeatureStore) -> None:
    token = store.acquire("test")
    store.write(Kind.MERCHANT, {1.0: state(1)}, Epoch(1, 5), token)
    assert store.read(Kind.MERCHANT, [1.0], Epoch(1, 5)) == [None]


def test_users_and_merchants_with_the_same_key_are_apart(store: FeatureStore) -> None:
    token = store.acquire("test")
    store.write(Kind.USER, {1.0: state(1)}, Epoch(1, 0), token)
    assert store.read(Kind.MERCHANT, [1.0], Epoch(1, 1)) == [None]


def test_the_older_of_two_writers_is_fenced_and_writes_nothing(store: FeatureStore) -> None:
    old, new = store.acquire("old"), store.acquire("new driver")
    with pytest.raises(Fenced, match="new driver"):
        store.write(Kind.USER, {1.0: state(1)}, Epoch(1, 0), old)
    assert store.read(Kind.USER, [1.0], Epoch(1, 1)) == [None]
    store.write(Kind.USER, {1.0: state(2)}, Epoch(1, 0), new)


def test_a_reader_whose_epoch_is_behind_the_state_is_fenced(store: FeatureStore) -> None:
    store.write(Kind.USER, {1.0: state(1)}, Epoch(1, 7), store.acquire("test"))
    with pytest.raises(Fenced, match="newer"):
        store.read(Kind.USER, [1.0], Epoch(1, 6))


def test_a_new_checkpoint_is_newer_than_every_batch_of_the_old_one(store: FeatureStore) -> None:
    first, second = store.generation_of("first"), store.generation_of("second")
    assert (store.generation_of("first"), store.generation_of("second")) == (first, second)
    store.write(Kind.USER, {1.0: state(1)}, Epoch(first, 1_000_000), store.acquire("test"))
    assert store.read(Kind.USER, [1.0], Epoch(second, 0)) == [state(1)]


def test_expire_deletes_exactly_the_entities_idle_since_before_the_time(store: FeatureStore) -> None:
    token = store.acquire("test")
    store.write(Kind.USER, {float(k): state(k) for k in range(10)}, Epoch(1, 0), token)
    assert store.expire(Kind.USER, 4.0, token) == 4
    assert sorted(key for key, _ in store.scan(Kind.USER)) == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]


def test_what_was_written_is_there_when_opened_again(url: str) -> None:
    with open_store(url) as store:
        store.write(Kind.USER, {0.5: state(1)}, Epoch(1, 0), store.acquire("test"))
        store.flush()
    with open_store(url) as store:
        assert list(store.scan(Kind.USER)) == [(0.5, state(1))]


def _write_in_process(url: str, key: float, token: int) -> None:
    with open_store(url) as store:
        for batch in range(20):
            before = store.read(Kind.USER, [key], Epoch(1, batch))[0]
            count = struct.unpack_from("<d", before, 16)[0] if before else 0.0
            store.write(Kind.USER, {key: state(1, count + 1)}, Epoch(1, batch), token)


def test_processes_write_different_entities_side_by_side(url: str) -> None:
    with open_store(url) as store:
        token = store.acquire("test")
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_write_in_process, args=(url, float(k), token)) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with open_store(url) as store:
        assert dict(store.scan(Kind.USER)) == {float(k): state(1, 20.0) for k in range(3)}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=20))
def test_crashes_between_runs_of_an_epoch_never_show(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool]]
) -> None:
    """A counter per entity, incremented once an epoch, counts epochs whatever was run twice."""
    with open_store(f"lmdb://{tmp_path_factory.mktemp('s')}") as store:
        token = store.acquire("test")
        expected = dict.fromkeys(range(5), 0)
        for batch, (key, is_run_twice) in enumerate(steps):
            expected[key] += 1
            for _ in range(1 + is_run_twice):
                before = store.read(Kind.USER, [float(key)], Epoch(1, batch))[0]
                count = struct.unpack_from("<d", before, 16)[0] if before else 0.0
                store.write(Kind.USER, {float(key): state(1, count + 1)}, Epoch(1, batch), token)
        counts = {int(key): struct.unpack_from("<d", found, 16)[0] for key, found in store.scan(Kind.USER)}
        assert counts == {key: n for key, n in expected.items() if n}


@pytest.mark.parametrize("bad", ["", "lmdb://", "file:///x", "store"])
def test_a_url_of_no_known_store_is_refused(bad: str) -> None:
    make: Callable[[str], FeatureStore] = open_store
    with pytest.raises(BadConfig, match="lmdb:///folder"):
        make(bad)
