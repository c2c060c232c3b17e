"""The contract of replace and of the answers, against each backend: nothing is counted twice or missed."""

import multiprocessing
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lmdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraud.errors import Fenced, Unavailable
from fraud.store import Answer, Answers, Change, Claim, Epoch, FeatureStore, open_store
from fraud.store.value import ABSENT, FIRST_SEEN, epoch_of, newest_state, state_before, version_of

ANSWER = Answer(b"f" * 16, b'{"outcome":"approve"}', b'{"record":1}')


def state(counted: float, *rest: float) -> bytes:
    return struct.pack(f"<{3 + len(rest)}d", 0.0, 5.0, counted, *rest)


def counted(stored: bytes | None) -> float:
    return struct.unpack_from("<d", newest_state(stored), 16)[0] if stored else 0.0


def changes(store: FeatureStore, primary: float = 1.0, other: float = 2.0) -> list[Change]:
    """Count a transaction of these keys in all states that the store has."""
    keys = {entity: primary if at == 0 else other for at, entity in enumerate(store.entities)}
    found = store.answers().look("nobody", tuple(keys.items()))
    return [
        Change(*key, state(counted(stored) + 1), version_of(stored)) for key, stored in found.stored.items()
    ]


def commit(store: FeatureStore, name: str, of: list[Change] | None = None) -> bool:
    return store.answers().commit(name, ANSWER, of or changes(store), store.identity())


def test_a_commit_counts_in_all_states_and_is_found_whole(store: FeatureStore) -> None:
    assert commit(store, "tä")
    keys = {change.entity: change.key for change in changes(store)}
    found = store.answers().look("tä", tuple(keys.items()))
    assert found.answer == store.answers().find("tä") == ANSWER
    assert list(map(counted, found.stored.values())) == [1.0] * len(store.entities)
    assert [epoch_of(stored) for stored in found.stored.values() if stored] == [FIRST_SEEN] * len(keys)
    assert [record for _, record in store.answers().waiting(10)] == [ANSWER.record]
    for entity, key in keys.items():
        assert dict(store.scan(entity)) == {key: state(1)}
        assert store.expire(entity, 6.0) == 1


def test_a_transaction_without_a_key_leaves_that_entity_alone(store: FeatureStore) -> None:
    answers = store.answers()
    for at, without in enumerate(store.entities[1:]):
        before = {entity: list(store.values(entity)) for entity in store.entities}
        keys = {entity: 1.0 for entity in store.entities if entity != without}
        found = answers.look(f"t{at}", tuple(keys.items()))
        assert list(found.stored) == list(keys.items())
        assert commit(store, f"t{at}", [one for one in changes(store, 1.0, 1.0) if one.entity in keys])
        changed = {entity for entity in store.entities if list(store.values(entity)) != before[entity]}
        assert changed == keys.keys()


def test_a_transaction_counts_in_two_states_of_one_entity(store: FeatureStore) -> None:
    """As the accounts of a sender and of a receiver are."""
    account, keys = store.entities[-1], (1.0, 2.0)

    def both() -> list[Change]:
        found = store.answers().look("nobody", [(account, key) for key in keys]).stored
        return [Change(*one, state(counted(was) + 1), version_of(was)) for one, was in found.items()]

    old = both()
    assert commit(store, "a", old)
    assert commit(store, "b", both()[:1])
    assert not commit(store, "c", [both()[0], old[1]])
    assert list(map(counted, store.stored(account, keys))) == [2.0, 1.0]
    assert store.expire(account, 6.0) == 2


def test_of_two_commits_over_the_same_states_one_writes_nothing(store: FeatureStore) -> None:
    same = changes(store)
    assert commit(store, "a", same)
    assert not commit(store, "b", same)
    assert store.answers().find("b") is None
    assert store.answers().backlog() == 1
    assert commit(store, "b")
    assert counted(store.stored(store.entities[0], [1.0])[0]) == 2.0


def counting(store: FeatureStore, answers: Answers, name: str) -> bool:
    """Count a transaction as the scoring service does: look, then commit."""
    found = answers.look(name, [(entity, 1.0) for entity in store.entities])
    new = [Change(*key, state(counted(was) + 1), version_of(was)) for key, was in found.stored.items()]
    return found.answer is None and answers.commit(name, ANSWER, new, store.identity())


def test_steps_together_see_each_other_and_count_as_they_would_alone(store: FeatureStore) -> None:
    answers = store.answers()
    assert counting(store, answers, "a")
    with answers.together():
        assert [counting(store, answers, name) for name in ("b", "c", "b", "a")] == [True, True, False, False]
    assert counting(store, answers, "d")
    assert [counted(store.stored(entity, [1.0])[0]) for entity in store.entities] == [4.0] * len(
        store.entities
    )
    assert [answers.find(name) for name in "abcd"] == [ANSWER] * 4
    assert answers.backlog() == 4


def test_steps_together_of_which_one_fails_count_nothing(tmp_path: Path) -> None:
    with open_store(f"lmdb://{tmp_path}") as store:
        answers = store.answers()

        def count_together() -> None:
            with answers.together():
                assert counting(store, answers, "b")
                with pytest.raises(lmdb.Error):  # a key longer than LMDB takes
                    answers.commit("i" * 600, ANSWER, changes(store, 7.0, 7.0), store.identity())
                with pytest.raises(lmdb.Error):
                    counting(store, answers, "c")

        assert counting(store, answers, "a")
        with pytest.raises(Unavailable, match="none of them was kept"):
            count_together()
        assert (answers.find("b"), answers.find("c"), answers.backlog()) == (None, None, 1)
        assert counting(store, answers, "b")
        assert counted(store.stored(store.entities[0], [1.0])[0]) == 2.0


def test_steps_together_that_end_with_an_error_count_nothing(tmp_path: Path) -> None:
    with open_store(f"lmdb://{tmp_path}") as store:
        answers = store.answers()

        def count_and_fail() -> None:
            with answers.together():
                assert counting(store, answers, "a")
                raise KeyError

        with pytest.raises(KeyError):
            count_and_fail()
        assert answers.backlog() == 0
        assert counting(store, answers, "a")


def test_other_threads_do_not_take_part_in_steps_together(tmp_path: Path) -> None:
    with open_store(f"lmdb://{tmp_path}") as store, ThreadPoolExecutor(1) as other:
        answers = store.answers()
        with answers.together():
            assert counting(store, answers, "a")
            assert other.submit(answers.look, "a", ()).result().answer is None
        assert other.submit(answers.look, "a", ()).result().answer == ANSWER


def test_a_commit_over_one_changed_state_leaves_the_others(store: FeatureStore) -> None:
    for at, entity in enumerate(store.entities):
        old = changes(store, 10.0 + at, 10.0 + at)
        assert commit(store, f"a{at}", [change for change in old if change.entity == entity])
        assert not commit(store, f"b{at}", old)
        for other in store.entities:
            assert counted(store.stored(other, [10.0 + at])[0]) == (1.0 if other == entity else 0.0)


def test_a_drainer_that_comes_late_removes_nothing_that_came_after(store: FeatureStore) -> None:
    answers = store.answers()
    assert commit(store, "a")
    (late,) = [entry for entry, _ in answers.waiting(10)]
    answers.sent([late])  # by the next drainer
    assert commit(store, "b")
    answers.sent([late])
    assert answers.backlog() == 1


def test_a_replace_that_one_newer_state_forbids_writes_none(store: FeatureStore) -> None:
    token = store.acquire("driver")
    store.write(store.entities[0], {9.0: state(1)}, Epoch(2, 0), token)
    newer = store.stored(store.entities[0], [9.0])
    versions = {1.0: ABSENT, 9.0: version_of(newer[0])}
    with pytest.raises(Fenced):
        store.replace(store.entities[0], {1.0: state(5), 9.0: state(6)}, versions, Epoch(1, 0), token)
    assert store.stored(store.entities[0], [1.0, 9.0]) == [None, *newer]
    assert [key for key, _ in store.scan(store.entities[0])] == [9.0]


def test_the_same_id_is_committed_once(store: FeatureStore) -> None:
    assert commit(store, "a")
    assert not commit(store, "a")
    assert counted(store.stored(store.entities[0], [1.0])[0]) == 1.0


def test_a_store_that_is_made_anew_takes_no_commit_of_before(store: FeatureStore) -> None:
    before = store.identity()
    assert before
    assert store.renew(is_whole=False) == store.identity() == ""
    for name in (before, ""):
        assert not store.answers().commit("a", ANSWER, changes(store), name)
    assert store.renew(is_whole=True) == store.identity() != before
    assert commit(store, "a")


def test_a_store_that_is_set_aside_takes_no_commit_and_keeps_its_name_among_the_former_ones(
    store: FeatureStore,
) -> None:
    first = store.identity()
    assert store.formers() == ()
    store.set_aside()
    store.set_aside()
    assert (store.identity(), store.formers()) == ("", (first,))
    assert not store.answers().commit("a", ANSWER, changes(store), first)
    second = store.renew(is_whole=True)
    store.set_aside()
    assert store.formers() == (first, second)
    store.add_formers(["third"])
    store.renew(is_whole=True)
    assert store.formers() == (first, second, "third")
    store.renew(is_whole=False)
    assert store.formers() == (), "what is made from the log has counted nothing else"


def test_a_record_whose_answer_was_lost_is_claimed_like_any_other(store: FeatureStore) -> None:
    assert commit(store, "a")
    store.answers().keep({"a": b"another", "b": b"record"})
    kept, lost = store.answers().find("a"), store.answers().find("b")
    assert kept == ANSWER, "an answer that is there stays"
    assert lost is not None
    assert (lost.body, lost.record) == (b"", b"record")
    assert store.answers().claim(["b"], Epoch(1, 0), 60.0) == [Claim.MINE]
    assert store.answers().claim(["b"], Epoch(1, 1), 60.0) == [Claim.TAKEN]
    assert store.answers().backlog() == 1


def test_the_identity_outlives_the_process(url: str) -> None:
    with open_store(url) as first, open_store(url) if url.startswith("unix") else first as second:
        assert first.identity() == second.identity()


def test_a_commit_keeps_the_epoch_and_the_state_before(store: FeatureStore) -> None:
    token = store.acquire("stream")
    store.write(store.entities[0], {1.0: state(3)}, Epoch(1, 0), token)
    store.write(store.entities[0], {1.0: state(4)}, Epoch(1, 1), token)
    assert commit(store, "a")
    (stored,) = store.stored(store.entities[0], [1.0])
    assert stored is not None
    assert epoch_of(stored) == Epoch(1, 1)
    assert state_before(stored, Epoch(1, 1)) == state(3)
    assert newest_state(stored) == state(5)


def test_replace_writes_what_has_not_changed_and_names_what_has(store: FeatureStore) -> None:
    token = store.acquire("stream")
    store.write(store.entities[0], {1.0: state(1), 2.0: state(1)}, Epoch(1, 0), token)
    keys = [1.0, 2.0, 3.0, 4.0]
    versions = dict(zip(keys, map(version_of, store.stored(store.entities[0], keys)), strict=True))
    assert versions[3.0] == ABSENT
    assert commit(store, "a", changes(store, 2.0, 9.0))
    assert commit(store, "b", changes(store, 3.0, 9.0))
    new = {key: state(7) for key in keys}
    assert sorted(store.replace(store.entities[0], new, versions, Epoch(1, 1), token)) == [2.0, 3.0]
    assert list(map(counted, store.stored(store.entities[0], keys))) == [7.0, 2.0, 1.0, 7.0]
    assert store.read(store.entities[0], [1.0, 4.0], Epoch(1, 1)) == [state(1), None]
    assert store.replace(store.entities[0], {}, {}, Epoch(1, 1), token) == []


def test_replace_is_fenced_as_write_is(store: FeatureStore) -> None:
    old, new = store.acquire("old"), store.acquire("new driver")
    with pytest.raises(Fenced, match="new driver"):
        store.replace(store.entities[0], {1.0: state(1)}, {1.0: ABSENT}, Epoch(1, 0), old)
    store.write(store.entities[0], {1.0: state(1)}, Epoch(1, 7), new)
    version = version_of(store.stored(store.entities[0], [1.0])[0])
    with pytest.raises(Fenced, match="newer"):
        store.replace(store.entities[0], {1.0: state(2)}, {1.0: version}, Epoch(1, 6), new)


def test_a_claim_belongs_to_one_micro_batch_also_when_it_runs_again(store: FeatureStore) -> None:
    answers = store.answers()
    assert commit(store, "a")
    asked = ["a", "unheard of"]
    assert answers.claim(asked, Epoch(1, 3), 60.0) == [Claim.MINE, Claim.UNKNOWN]
    assert answers.claim(asked, Epoch(1, 3), 60.0) == [Claim.MINE, Claim.UNKNOWN]
    assert answers.claim(asked, Epoch(1, 4), 60.0) == [Claim.TAKEN, Claim.UNKNOWN]
    assert answers.find("a") == ANSWER
    assert answers.claim([], Epoch(1, 4), 60.0) == []


def test_only_claimed_answers_expire(store: FeatureStore) -> None:
    answers = store.answers()
    for name in ("a", "b", "c"):
        assert commit(store, name)
    answers.claim(["a"], Epoch(1, 0), 10.0)
    answers.claim(["b"], Epoch(1, 0), 1000.0)
    assert answers.expire(time.time()) == 0
    assert answers.expire(time.time() + 100.0) == 1
    assert [answers.find(name) is None for name in ("a", "b", "c")] == [True, False, False]


def test_the_outbox_keeps_the_order_of_the_commits_until_they_are_sent(store: FeatureStore) -> None:
    answers = store.answers()
    for i in range(5):
        record = f"r{i}".encode()
        assert answers.commit(f"t{i}", ANSWER._replace(record=record), changes(store), store.identity())
    entries = answers.waiting(3)
    assert [record for _, record in entries] == [b"r0", b"r1", b"r2"]
    answers.sent([entry for entry, _ in entries[:2]])
    answers.sent([])
    assert [record for _, record in answers.waiting(9)] == [b"r2", b"r3", b"r4"]
    assert answers.backlog() == 3


def test_one_at_a_time_holds_the_lease(store: FeatureStore) -> None:
    answers = store.answers()
    assert answers.lease("a", 0.1)
    assert answers.lease("a", 0.1)
    assert not answers.lease("b", 0.1)
    time.sleep(0.12)
    assert answers.lease("b", 10.0)
    assert not answers.lease("a", 0.1)


def _commit_many(url: str, replica: int, count: int) -> None:
    with open_store(url) as store:
        for i in range(count):
            while not commit(store, f"{replica}-{i}", changes(store, float(i % 2), 2.0)):
                pass


def test_replicas_and_the_stream_count_every_transaction_once(url: str) -> None:
    """Two replicas commit, the stream folds beside them, every micro-batch twice."""
    spawn = multiprocessing.get_context("spawn")
    replicas = [spawn.Process(target=_commit_many, args=(url, replica, 60)) for replica in range(2)]
    with open_store(url) as store:
        token = store.acquire("stream")
        for replica in replicas:
            replica.start()
        batches = 0
        while any(replica.is_alive() for replica in replicas):
            for _ in range(2):
                pending = [0.0, 1.0]
                while pending:
                    stored = dict(zip(pending, store.stored("user", pending), strict=True))
                    fresh = {k: v for k, v in stored.items() if v is None or epoch_of(v) != Epoch(1, batches)}
                    new = {k: state(counted(v) + 1) for k, v in fresh.items()}
                    versions = {k: version_of(v) for k, v in fresh.items()}
                    pending = store.replace("user", new, versions, Epoch(1, batches), token)
            batches += 1
        for replica in replicas:
            replica.join()
            assert replica.exitcode == 0
        users = store.stored("user", [0.0, 1.0])
        assert sum(map(counted, users)) == 120 + 2 * batches
        assert counted(store.stored("merchant", [2.0])[0]) == 120
        assert store.answers().backlog() == 120


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["api", "stream", "again"]), max_size=15))
def test_a_micro_batch_run_again_reads_what_it_started_from(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    with open_store(f"lmdb://{tmp_path_factory.mktemp('again')}") as store:
        token, batch, total, started = store.acquire("stream"), 0, 0.0, 0.0
        for i, step in enumerate(steps):
            (stored,) = store.stored("user", [1.0])
            if step == "api":
                assert commit(store, f"t{i}")
                total += 1
            elif step == "stream":
                batch, started = batch + 1, total
                new = {1.0: state(counted(stored) + 10)}
                assert store.replace("user", new, {1.0: version_of(stored)}, Epoch(1, batch), token) == []
                total += 10
            elif batch:
                before = state_before(stored, Epoch(1, batch))
                assert (struct.unpack_from("<d", before, 16)[0] if before else 0.0) == started
        assert counted(store.stored("user", [1.0])[0]) == total


def test_claims_of_micro_batches_that_the_log_lacks_are_released(store: FeatureStore) -> None:
    answers = store.answers()
    for name in ("a", "b", "c"):
        assert commit(store, name)
    answers.claim(["a"], Epoch(1, 7), 60.0)
    answers.claim(["b"], Epoch(1, 8), 60.0)
    assert answers.release(Epoch(1, 7)) == 1
    claims = answers.claim(["a", "b", "c"], Epoch(2, 0), 60.0)
    assert claims == [Claim.TAKEN, Claim.MINE, Claim.MINE]
    assert answers.expire(time.time() + 120.0) == 3
