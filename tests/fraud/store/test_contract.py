"""The contract of every feature store, run against each backend."""

import math
import multiprocessing
import os
import signal
import struct
from collections.abc import Callable
from multiprocessing.synchronize import Event

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraud.errors import BadConfig, BadState, Fenced
from fraud.store import LATEST, Entry, Epoch, FeatureStore, Watermark, open_store


def state(newest_us: float, *rest: float) -> bytes:
    return struct.pack(f"<{2 + len(rest)}d", 0.0, newest_us, *rest)


def test_an_epoch_that_runs_again_starts_from_the_state_before_it(store: FeatureStore) -> None:
    token = store.acquire("test")
    store.write(store.entities[0], {1.0: state(1)}, Epoch(1, 0), token)
    for attempt in (2, 3):
        assert store.read(store.entities[0], [1.0], Epoch(1, 1)) == [state(1)]
        store.write(store.entities[0], {1.0: state(attempt)}, Epoch(1, 1), token)
    assert store.read(store.entities[0], [1.0], Epoch(1, 2)) == [state(3)]


def test_an_entity_first_written_in_the_epoch_is_new_to_its_second_run(store: FeatureStore) -> None:
    token = store.acquire("test")
    store.write(store.entities[-1], {1.0: state(1)}, Epoch(1, 5), token)
    assert store.read(store.entities[-1], [1.0], Epoch(1, 5)) == [None]


def test_the_same_key_of_several_entities_is_apart(store: FeatureStore) -> None:
    token = store.acquire("test")
    for written, entity in enumerate(store.entities):
        assert store.read(entity, [1.0], Epoch(1, 1)) == [None]
        store.write(entity, {1.0: state(written)}, Epoch(1, 0), token)
    found = [list(store.scan(entity)) for entity in store.entities]
    assert found == [[(1.0, state(written))] for written in range(len(store.entities))]


def test_a_store_of_the_default_entities_is_read_beside_new_ones(new_url: Callable[[], str]) -> None:
    url = new_url()
    with open_store(url) as store:
        assert store.entities == ("user", "merchant")
        store.write("user", {1.0: state(1)}, Epoch(1, 0), store.acquire("test"))
    with open_store(url, ("user", "merchant", "device")) as store:
        assert store.read("user", [1.0], LATEST) == [state(1)]
        assert list(store.scan("device")) == []


@pytest.mark.parametrize(
    ("entities", "words"),
    [
        (("user", "outbox"), "taken by the feature store"),
        (("user", "user"), "given twice"),
        (("Card",), "lower-case letters"),
        (("card:x",), "lower-case letters"),
        ((), "0 entities"),
        (tuple(f"e{i}" for i in range(65)), "65 entities"),
    ],
)
def test_names_that_a_store_cannot_keep_apart_are_refused(
    url: str, entities: tuple[str, ...], words: str
) -> None:
    with pytest.raises(BadConfig, match=words):
        open_store(url, entities)


def test_the_older_of_two_writers_is_fenced_and_writes_nothing(store: FeatureStore) -> None:
    old, new = store.acquire("old"), store.acquire("new driver")
    with pytest.raises(Fenced, match="new driver"):
        store.write(store.entities[0], {1.0: state(1)}, Epoch(1, 0), old)
    assert store.read(store.entities[0], [1.0], Epoch(1, 1)) == [None]
    store.write(store.entities[0], {1.0: state(2)}, Epoch(1, 0), new)


def test_a_token_holds_until_the_next_is_given(store: FeatureStore) -> None:
    older = store.acquire("older")
    store.hold(older)
    newer = store.acquire("newer")
    store.hold(newer)
    with pytest.raises(Fenced, match="taken over by newer"):
        store.hold(older)


def test_a_reader_whose_epoch_is_behind_the_state_is_fenced(store: FeatureStore) -> None:
    store.write(store.entities[0], {1.0: state(1)}, Epoch(1, 7), store.acquire("test"))
    with pytest.raises(Fenced, match="newer"):
        store.read(store.entities[0], [1.0], Epoch(1, 6))


def test_a_new_checkpoint_is_newer_than_every_batch_of_the_old_one(store: FeatureStore) -> None:
    first, second = store.generation_of("first"), store.generation_of("second")
    assert (store.generation_of("first"), store.generation_of("second")) == (first, second)
    store.write(store.entities[0], {1.0: state(1)}, Epoch(first, 1_000_000), store.acquire("test"))
    assert store.read(store.entities[0], [1.0], Epoch(second, 0)) == [state(1)]


def test_epochs_beyond_what_a_float_holds_are_told_apart(store: FeatureStore) -> None:
    token = store.acquire("test")
    for batch in range(3):
        store.write(store.entities[0], {1.0: state(batch)}, Epoch(1_000_000, batch), token)
    assert store.read(store.entities[0], [1.0], Epoch(1_000_000, 2)) == [state(1)]
    with pytest.raises(Fenced, match=str(Epoch(1_000_000, 2).number)):
        store.write(store.entities[0], {1.0: state(9)}, Epoch(1_000_000, 1), token)


def test_expire_deletes_exactly_the_entities_idle_since_before_the_time(store: FeatureStore) -> None:
    token = store.acquire("test")
    store.write(store.entities[0], {float(k): state(k) for k in range(10)}, Epoch(1, 0), token)
    assert store.expire(store.entities[0], 4.0, token) == 4
    assert sorted(key for key, _ in store.scan(store.entities[0])) == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]


def test_an_entity_without_any_event_is_idle_since_ever(store: FeatureStore) -> None:
    token = store.acquire("test")
    store.write(store.entities[0], {1.0: state(-math.inf), 2.0: state(1)}, Epoch(1, 0), token)
    assert store.expire(store.entities[0], 1.0, token) == 1
    assert [key for key, _ in store.scan(store.entities[0])] == [2.0]


def test_the_newest_event_decides_even_when_an_older_one_was_written_last(store: FeatureStore) -> None:
    token = store.acquire("test")
    store.write(store.entities[0], {1.0: state(1)}, Epoch(1, 0), token)
    store.write(store.entities[0], {1.0: state(9)}, Epoch(1, 1), token)
    assert store.expire(store.entities[0], 5.0, token) == 0
    assert store.read(store.entities[0], [1.0], LATEST) == [state(9)]


def test_expiry_of_one_kind_leaves_the_other(store: FeatureStore) -> None:
    token = store.acquire("test")
    for entity in store.entities:
        store.write(entity, {1.0: state(1)}, Epoch(1, 0), token)
    store.expire(store.entities[0], 5.0, token)
    others = [list(store.scan(entity)) for entity in store.entities[1:]]
    assert (list(store.scan(store.entities[0])), others) == ([], [[(1.0, state(1))]] * len(others))


def test_an_expired_entity_starts_anew(store: FeatureStore) -> None:
    token = store.acquire("test")
    store.write(store.entities[0], {1.0: state(1)}, Epoch(1, 0), token)
    store.expire(store.entities[0], 5.0, token)
    assert store.read(store.entities[0], [1.0], Epoch(1, 1)) == [None]
    store.write(store.entities[0], {1.0: state(7)}, Epoch(1, 1), token)
    assert store.read(store.entities[0], [1.0], Epoch(1, 1)) == [None]
    assert store.read(store.entities[0], [1.0], LATEST) == [state(7)]


def test_a_writer_that_was_taken_over_expires_nothing_but_a_person_may(store: FeatureStore) -> None:
    old, new = store.acquire("old"), store.acquire("new driver")
    store.write(store.entities[0], {1.0: state(1)}, Epoch(1, 0), new)
    with pytest.raises(Fenced, match="new driver"):
        store.expire(store.entities[0], 5.0, old)
    assert store.expire(store.entities[0], 5.0) == 1
    store.write(store.entities[0], {1.0: state(2)}, Epoch(1, 1), new)  # and takes over from nobody


def test_entries_tell_of_every_entity_its_newest_event_and_size(store: FeatureStore) -> None:
    token = store.acquire("test")
    store.write(store.entities[-1], {1.0: state(5), 2.0: state(-math.inf)}, Epoch(1, 0), token)
    store.write(store.entities[-1], {1.0: state(6)}, Epoch(1, 1), token)
    assert sorted(store.entries(store.entities[-1])) == [
        Entry(1.0, 6.0, 12 + 16 + 16),
        Entry(2.0, -math.inf, 28),
    ]


def test_the_latest_epoch_reads_what_was_written_last_by_whomever(store: FeatureStore) -> None:
    store.write(store.entities[0], {1.0: state(1)}, Epoch(4_000, 1 << 39), store.acquire("test"))
    assert store.read(store.entities[0], [1.0, 2.0], LATEST) == [state(1), None]


def test_a_writer_whose_epoch_is_behind_a_state_is_fenced_and_changes_none(store: FeatureStore) -> None:
    # 1 and 9 lie in one group, also over 2 and 3 shards.
    token = store.acquire("test")
    store.write(store.entities[0], {9.0: state(1)}, Epoch(1, 7), token)
    with pytest.raises(Fenced, match=r"newer than this one .* `fraud replay rebuild-store`"):
        store.write(store.entities[0], {1.0: state(2), 9.0: state(2)}, Epoch(1, 6), token)
    assert store.read(store.entities[0], [1.0, 9.0], LATEST) == [None, state(1)]


def test_ten_thousand_states_are_written_read_gone_through_and_expired(store: FeatureStore) -> None:
    token = store.acquire("test")
    numbers = range(10_000)
    states = {float(7919 * k + 1): state(k, *([k / 7] * 380)) for k in numbers}  # 3 KB each
    for epoch in (Epoch(1, 0), Epoch(1, 1), Epoch(1, 1)):
        store.write(store.entities[0], states, epoch, token)
    store.flush()
    keys = list(states)
    assert store.read(store.entities[0], keys, Epoch(1, 1)) == list(states.values())
    assert dict(store.scan(store.entities[0])) == states
    assert sum(1 for _ in store.entries(store.entities[0])) == 10_000
    assert store.expire(store.entities[0], 9_000.0, token) == 9_000
    assert sum(1 for _ in store.entries(store.entities[0])) == 1_000


def test_what_was_written_is_there_when_opened_again(url: str) -> None:
    with open_store(url) as store:
        store.write("user", {0.5: state(1)}, Epoch(1, 0), store.acquire("test"))
        store.flush()
    with open_store(url) as store:
        assert list(store.scan("user")) == [(0.5, state(1))]


def test_a_store_knows_which_entities_it_has_counted_all_along(url: str) -> None:
    with open_store(url, ["user", "merchant"]) as store:
        store.mark_complete()
    with open_store(url, ["user", "device"]) as wider:
        assert wider.complete_entities() == ("user", "merchant")
        wider.renew(is_whole=False)
        assert wider.complete_entities() == ()
        wider.renew(is_whole=True)
        assert wider.complete_entities() == ("user", "device"), "a rebuild counts all"
    with open_store(url, ["user"]) as narrower:
        narrower.renew(is_whole=True)
        assert narrower.complete_entities() == ("user", "device"), "another name adds nothing"
        narrower.mark_complete()
        assert narrower.complete_entities() == ("user",), "what is left out has a gap from then on"


def test_a_watermark_is_written_over_the_one_before_it_by_the_newest_writer_alone(
    store: FeatureStore,
) -> None:
    token = store.acquire("test")
    first, second, third = (Watermark("q", Epoch(1, batch), "{}") for batch in range(3))
    assert store.watermark() is None
    store.advance(first, None, token)
    store.advance(second, first, token)
    store.advance(second, first, token)  # a client that got no answer to its first try
    with pytest.raises(
        BadState, match=r"knows micro-batch 1 of generation 1, not micro-batch 0 .*rebuild-store"
    ):
        store.advance(third, first, token)
    with pytest.raises(BadState, match="not no micro-batch"):
        store.advance(third, None, token)
    store.acquire("newer")
    with pytest.raises(Fenced, match="newer"):
        store.advance(first, second, token)
    assert store.watermark() == second


def test_a_store_that_gave_no_such_token_was_set_back(store: FeatureStore) -> None:
    token = store.acquire("test") + 1
    for act in (
        lambda: store.hold(token),
        lambda: store.write(store.entities[0], {1.0: state(1)}, Epoch(1, 0), token),
        lambda: store.advance(Watermark("q", Epoch(1, 0)), None, token),
    ):
        with pytest.raises(BadState, match=r"older copy .*`fraud replay rebuild-store --replace`"):
            act()


def test_all_states_of_an_entity_are_cleared_also_those_that_cannot_be_read(store: FeatureStore) -> None:
    token = store.acquire("test")
    for entity in store.entities:
        store.write(entity, {1.0: state(math.inf), 2.0: state(1)}, Epoch(1, 0), token)
    store.clear(store.entities[0], token)
    assert store.stored(store.entities[0], [1.0, 2.0]) == [None, None]
    assert list(store.entries(store.entities[0])) == []
    for entity in store.entities[1:]:
        assert all(store.stored(entity, [1.0, 2.0]))
    store.acquire("newer")
    with pytest.raises(Fenced, match="newer"):
        store.clear(store.entities[-1], token)


def _write_in_process(url: str, key: float, token: int) -> None:
    with open_store(url) as store:
        for batch in range(20):
            before = store.read("user", [key], Epoch(1, batch))[0]
            count = struct.unpack_from("<d", before, 16)[0] if before else 0.0
            store.write("user", {key: state(1, count + 1)}, Epoch(1, batch), token)


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
        assert dict(store.scan("user")) == {float(k): state(1, 20.0) for k in range(3)}


def _write_until_fenced(url: str, token: int, has_written: Event) -> None:
    """Write batch after batch, each to many entities, until somebody takes over."""
    with open_store(url) as store:
        for batch in range(1_000_000):
            states = {float(key): state(batch) for key in range(1, 2_001)}
            try:
                store.write("user", states, Epoch(1, batch), token)
            except Fenced:
                os._exit(7)
            has_written.set()


def test_a_process_that_is_taken_over_while_it_writes_ends_and_writes_nothing_after(url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    has_written = spawn.Event()
    with open_store(url) as store:
        old = spawn.Process(target=_write_until_fenced, args=(url, store.acquire("old"), has_written))
        old.start()
        assert has_written.wait(60)
        token = store.acquire("new")
        found = store.stored("user", [float(key) for key in range(1, 2_001)])  # whatever it got to
        old.join(60)
        assert old.exitcode == 7
        assert store.stored("user", [float(key) for key in range(1, 2_001)]) == found
        store.write("user", {1.0: state(0)}, Epoch(2, 0), token)


def _count_up(store: FeatureStore, keys: list[float], epoch: Epoch, token: int) -> None:
    """One micro-batch: add one to the counter of each entity."""
    befores = store.read(store.entities[0], keys, epoch)
    counts = [struct.unpack_from("<d", before, 16)[0] if before else 0.0 for before in befores]
    store.write(
        store.entities[0],
        {key: state(1, count + 1) for key, count in zip(keys, counts, strict=True)},
        epoch,
        token,
    )


def _count_up_for_ever(url: str, keys: list[float], token: int, has_begun: Event) -> None:
    with open_store(url) as store:
        _count_up(store, keys, Epoch(1, 0), token)
        has_begun.set()
        while True:
            _count_up(store, keys, Epoch(1, 1), token)


@pytest.mark.parametrize("seed", range(3))
def test_a_writer_killed_at_any_moment_leaves_what_the_epoch_run_again_makes_exact(
    url: str, seed: int
) -> None:
    """It is killed among the groups of its writes, repeatedly within the same epoch."""
    del seed
    keys = [float(key) for key in range(1, 5_001)]
    spawn = multiprocessing.get_context("spawn")
    has_begun = spawn.Event()
    with open_store(url) as store:
        token = store.acquire("test")
        writer = spawn.Process(target=_count_up_for_ever, args=(url, keys, token, has_begun))
        writer.start()
        assert has_begun.wait(60)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        _count_up(store, keys, Epoch(1, 1), token)
        assert store.read("user", keys, LATEST) == [state(1, 2.0)] * len(keys)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=20))
def test_crashes_between_runs_of_an_epoch_never_show(
    new_url: Callable[[], str], steps: list[tuple[int, bool]]
) -> None:
    """A counter per entity, incremented once an epoch, counts epochs whatever was run twice."""
    with open_store(new_url()) as store:
        token = store.acquire("test")
        expected = dict.fromkeys(range(5), 0)
        for batch, (key, is_run_twice) in enumerate(steps):
            expected[key] += 1
            for _ in range(1 + is_run_twice):
                before = store.read("user", [float(key)], Epoch(1, batch))[0]
                count = struct.unpack_from("<d", before, 16)[0] if before else 0.0
                store.write("user", {float(key): state(1, count + 1)}, Epoch(1, batch), token)
        counts = {int(key): struct.unpack_from("<d", found, 16)[0] for key, found in store.scan("user")}
        assert counts == {key: n for key, n in expected.items() if n}


@pytest.mark.parametrize("bad", ["", "lmdb://", "lmdb://a/relative/folder", "file:///x", "store"])
def test_a_url_of_no_known_store_is_refused(bad: str) -> None:
    make: Callable[[str], FeatureStore] = open_store
    with pytest.raises(BadConfig, match="lmdb:///folder"):
        make(bad)
