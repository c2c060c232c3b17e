"""What only the Redis backend can do wrong: servers that go away, forget, refuse or spread."""

import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fraud.errors import BadConfig, Unavailable
from fraud.runtime.waiting import wait_until
from fraud.store import LATEST, Answer, Change, Epoch, FeatureStore, open_store
from fraud.store.redis.store import RedisStore
from fraud.store.value import version_of
from tests.deployed import ENTITIES


def state(newest_us: float, *rest: float) -> bytes:
    return struct.pack(f"<{2 + len(rest)}d", 0.0, newest_us, *rest)


@pytest.fixture(scope="module")
def own_server(start_redis: Callable[..., Any]) -> Iterator[Any]:
    """A server that these tests may turn inside out."""
    with start_redis("--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


def test_a_server_that_is_not_there_is_unavailable_in_words_and_without_the_password() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port} does not answer.*start it") as caught:
        open_store(f"redis://user:secret@127.0.0.1:{port}/0")
    assert "secret" not in str(caught.value)


def test_a_server_that_accepts_but_never_answers_is_unavailable_within_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Unavailable, match="does not answer"):
            open_store(f"redis://127.0.0.1:{port}/0?socket_timeout=0.1")


def test_a_server_killed_under_a_writer_is_unavailable_and_has_kept_all_when_it_is_back(
    own_server: Any,
) -> None:
    with open_store(own_server.url(prefix="killed")) as store:
        token = store.acquire("test")
        store.write("user", {1.0: state(1)}, Epoch(1, 0), token)
        own_server.kill()
        for act in (
            lambda: store.write("user", {1.0: state(2)}, Epoch(1, 1), token),
            lambda: store.read("user", [1.0], LATEST),
            lambda: list(store.entries("user")),
            lambda: store.expire("user", 9.0, token),
            lambda: store.acquire("other"),
        ):
            with pytest.raises(Unavailable, match="does not answer"):
                act()
        own_server.start()
        assert store.read("user", [1.0], Epoch(1, 1)) == [state(1)]
        store.write("user", {1.0: state(2)}, Epoch(1, 1), token)
        assert store.read("user", [1.0], LATEST) == [state(2)]


def test_a_server_that_hangs_is_unavailable_after_a_few_attempts(own_server: Any) -> None:
    """A connection that was idle is checked first; a check that fails must not begin another one for ever."""
    url = own_server.url(prefix="hangs", socket_timeout=0.01, retries=1, health_check_interval=1)
    with open_store(url, ENTITIES) as store:
        name, due = store.identity(), time.monotonic() + 1.1
        own_server.process.send_signal(signal.SIGSTOP)
        try:
            assert wait_until(lambda: time.monotonic() > due, 30.0)
            with pytest.raises(Unavailable, match="does not answer"):
                store.identity()
        finally:
            own_server.process.send_signal(signal.SIGCONT)
        assert wait_until(lambda: answers(store), 30.0)
        assert store.identity() == name


def answers(store: FeatureStore) -> bool:
    try:
        return bool(store.identity())
    except Unavailable:
        return False


def test_a_server_that_has_forgotten_the_scripts_is_told_them_again(own_server: Any) -> None:
    with open_store(own_server.url(prefix="scripts")) as store, own_server.client() as client:
        token = store.acquire("test")
        store.write("user", {1.0: state(1)}, Epoch(1, 0), token)
        client.script_flush()
        store.write("user", {1.0: state(2)}, Epoch(1, 1), token)
        assert store.read("user", [1.0], LATEST) == [state(2)]


def test_a_transaction_takes_one_reading_and_one_script_where_one_server_holds_all(own_server: Any) -> None:
    with (
        open_store(own_server.url(prefix="cost"), ("user", "merchant")) as store,
        own_server.client() as client,
    ):
        identity = store.identity()
        for number in range(2):  # the first one teaches the server the script
            client.config_resetstat()
            found = store.answers().look(f"t{number}", (("user", 1.0), ("merchant", 2.0)))
            changes = [
                Change(*key, state(5, number + 1.0), version_of(was)) for key, was in found.stored.items()
            ]
            answer = Answer(b"f" * 16, b"{}", b"r")
            assert store.answers().commit(f"t{number}", answer, changes, identity)
        sent = {name: one["calls"] for name, one in client.info("commandstats").items()}
    assert sent["cmdstat_mget"] == sent["cmdstat_evalsha"] == 1
    assert "cmdstat_hkeys" not in sent


def test_prefixes_are_apart(own_server: Any) -> None:
    with open_store(own_server.url(prefix="a")) as a, open_store(own_server.url(prefix="b")) as b:
        a.write("user", {1.0: state(1)}, Epoch(1, 0), a.acquire("test"))
        assert list(b.scan("user")) == []
        assert b.acquire("first of b") == 1


def test_a_stored_value_is_the_same_bytes_in_both_backends(own_server: Any, tmp_path: Path) -> None:
    found = []
    for url in (own_server.url(prefix="same"), f"lmdb://{tmp_path / 'store'}"):
        with open_store(url) as store:
            token = store.acquire("test")
            for batch in (0, 1, 1):
                store.write("user", {1e15: state(batch)}, Epoch(3, batch), token)
            found.append(store.stored("user", [1e15]))
    assert found[0] == found[1]


def test_a_key_reads_as_its_entity(own_server: Any) -> None:
    with open_store(own_server.url(prefix="named")) as store, own_server.client() as client:
        store.write("user", {9007199254740991.0: state(1)}, Epoch(1, 0), store.acquire("test"))
        assert client.exists("named:user:9007199254740991") == 1


def test_a_full_server_is_unavailable_and_the_group_is_whole_or_absent(own_server: Any) -> None:
    with open_store(own_server.url(prefix="full")) as store, own_server.client() as client:
        token = store.acquire("test")
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(Unavailable, match=r"is full.*maxmemory"):
                store.write("user", {1.0: state(1), 2.0: state(1)}, Epoch(1, 0), token)
        finally:
            client.config_set("maxmemory", 0)
        assert store.read("user", [1.0, 2.0], LATEST) == [None, None]


def test_a_server_that_would_forget_states_is_refused(own_server: Any) -> None:
    with own_server.client() as client:
        client.config_set("maxmemory", "1gb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            with pytest.raises(BadConfig, match=r"allkeys-lru.*noeviction"):
                open_store(own_server.url())
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 0)


def test_a_wrong_login_is_a_matter_of_configuration(own_server: Any) -> None:
    with own_server.client() as client:
        client.execute_command("ACL", "SETUSER", "someone", "on", ">right", "~*", "+@all")
    with pytest.raises(BadConfig, match="refuses the login") as caught:
        open_store(f"unix://{own_server.socket}?username=someone&password=guess")
    assert "guess" not in str(caught.value)
    open_store(f"unix://{own_server.socket}?username=someone&password=right").close()


@pytest.mark.parametrize(
    "bad",
    ["redis://h:1?replicas=two", "redis://h:1?socket_timeout=x", "redis://h:1?no_such=1", "redis://h:x"],
)
def test_a_wrong_url_is_a_matter_of_configuration(bad: str) -> None:
    with pytest.raises(BadConfig, match="URL"):
        open_store(bad)


def test_flush_fails_without_the_replicas_that_were_asked_for(own_server: Any) -> None:
    with (
        RedisStore(own_server.url(replicas=1), ENTITIES, flush_ms=50) as store,
        pytest.raises(Unavailable, match="0 of 1 replicas"),
    ):
        store.flush()


def test_flush_returns_when_the_replica_has_all(
    own_server: Any, start_redis: Callable[..., Any], wait: Callable[..., None]
) -> None:
    with own_server.client() as primary:
        primary.config_set("bind", "127.0.0.1")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        primary.config_set("port", port)
        primary.config_set("repl-diskless-sync-delay", 0)
        with start_redis("--replicaof", "127.0.0.1", str(port)) as replica, replica.client() as copy:
            wait(lambda: copy.info("replication")["master_link_status"] == "up", "the replica follows")
            with open_store(own_server.url(prefix="copied", replicas=1)) as store:
                store.write("user", {1.0: state(1)}, Epoch(1, 0), store.acquire("test"))
                store.flush()
                assert copy.get("copied:user:1") is not None
            with pytest.raises(Unavailable, match="is a replica"), open_store(replica.url()) as store:
                store.acquire("a replica cannot be written")
