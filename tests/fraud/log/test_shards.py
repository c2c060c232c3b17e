"""A store over several servers and the log: it grows while it is used, and one part that is older is told."""

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from fraud.errors import SetBack
from fraud.log.catch_up import catch_up
from fraud.log.rebuild import Rebuilt, follow
from fraud.runtime.waiting import wait_until
from fraud.store import open_store
from jobs.stream.progress import Progress
from jobs.stream.settings import StreamSettings
from tests.fraud.log.test_catch_up import World
from tests.fraud.store.conftest import RedisServer, shards_url

LONGEST_PAUSE_S = 10.0


@pytest.fixture
def new_url(shard_servers: list[RedisServer]) -> Callable[[int], str]:
    return lambda size: shards_url(shard_servers[:size], prefix=uuid.uuid4().hex)


@pytest.fixture
def world(new_url: Callable[[int], str], tmp_path: Path) -> World:
    return World(StreamSettings(home=tmp_path / "stream", store_url=new_url(2)), tmp_path)


def test_two_shards_become_three_while_all_goes_on(world: World, new_url: Callable[[int], str]) -> None:
    larger, stopped, said = new_url(3), threading.Event(), []
    filled: list[Rebuilt] = []
    world.live(4)
    world.archive.run(world.context.epoch.generation)

    def fill() -> None:
        filled.append(
            follow(
                world.settings,
                larger,
                stopped.is_set,
                old=world.store,
                tail=lambda _ends: world.pending,
                rows=40,
                poll_s=0.05,
                tell=said.append,
            )
        )

    filling = threading.Thread(target=fill)
    filling.start()
    for _ in range(4):
        seen = len(said)
        world.live(1)
        world.archive.run(world.context.epoch.generation)
        assert wait_until(lambda seen=seen: len(said) > seen + 1, 30.0), "it follows beside the stream"
    world.drain()
    world.batch(1)  # the log has all that was counted before its end
    world.archive.run(world.context.epoch.generation)
    began = time.monotonic()
    stopped.set()  # the stream; the service continues over the old store
    world.score(3)
    filling.join(30.0)
    world.score(3)
    world.drain()
    before = world.states()
    world.go_on_over(larger)
    world.batch(2)
    pause_s = time.monotonic() - began
    print(f"pause of the stream {pause_s:.2f} s; {filled}")  # noqa: T201
    assert pause_s < LONGEST_PAUSE_S
    assert {kind: set(states) for kind, states in before.items()} == {
        kind: set(states) & set(before[kind]) for kind, states in world.states().items()
    }
    world.live(3)
    world.check_that_nothing_is_lost()


def test_a_shard_that_went_back_in_time_is_told_and_all_is_folded_anew(
    world: World, shard_servers: list[RedisServer]
) -> None:
    world.live(3)
    prefix = world.settings.store.rpartition("prefix=")[2]
    with shard_servers[1].client() as client:
        older = {name: client.dump(name) for name in client.scan_iter(f"{prefix}:*")}
        world.live(3)
        world.drain()
        world.batch(2)
        lost = world.states()
        client.delete(*client.scan_iter(f"{prefix}:*"))
        for name, value in older.items():
            client.restore(name, 0, value)
    with open_store(world.settings.store) as store, pytest.raises(SetBack, match="older than the checkpoint"):
        Progress(store, world.settings).check()
    found = catch_up(world.settings, lambda _ends: world.pending, rows=40)
    assert found.was_anew
    assert world.states() == lost
    world.go_on_over(world.settings.store)
    world.live(2)
    world.check_that_nothing_is_lost()
