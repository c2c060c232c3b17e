"""Two servers of the store fail at once, and a replica that lags takes over: it gets the lost bits."""

import time
from pathlib import Path

import pytest

from fraud.errors import SetBack, Unavailable
from fraud.log.catch_up import catch_up
from fraud.store import Epoch, Watermark
from jobs.stream.settings import StreamSettings
from tests.fraud.log.test_catch_up import World
from tests.fraud.store.conftest import wait_until
from tests.fraud.store.sentinels import run_group


def test_a_failover_to_a_replica_that_lags_is_caught_up_and_the_same_service_goes_on(tmp_path: Path) -> None:
    with run_group() as group:
        url = group.url(replicas=1, socket_timeout=2)
        world = World(StreamSettings(home=tmp_path / "stream", store_url=url), tmp_path)
        world.live(3)
        primary = group.primary()
        kept, lagging = (node for node in group.nodes if node is not primary)
        size = primary.client().dbsize()
        wait_until(lambda: lagging.client().dbsize() == size, "the replica has all so far")
        lagging.pause()
        primary.client().client_kill_filter(_type="replica")  # nothing waits for it in a socket
        group.wait_until_whole(1)
        world.live(3)
        world.score(6)
        world.drain()
        lost = world.states()
        primary.kill()
        kept.kill()
        lagging.go_on()
        group.wait_for_another(primary)
        kept.start()
        group.wait_until_whole(1)
        began = time.monotonic()
        mark = Watermark("", Epoch(world.context.epoch.generation, world.batches))

        def is_set_back() -> bool:
            try:
                world.store.advance(mark, world.mark, world.context.token)
            except Unavailable:
                return False
            except SetBack:
                return True
            pytest.fail("the copy took a watermark")

        wait_until(is_set_back, "the stream sees that it is a copy")
        found = catch_up(world.settings, lambda _ends: world.pending, rows=40)
        print(f"pause after the failover {time.monotonic() - began:.2f} s, {found}")  # noqa: T201
        assert not found.was_anew
        assert found.from_tail == len(world.pending)
        assert world.states() == lost
        service = world.api
        world.go_on_over(url)
        world.api = service  # the process that had confirmed commits to the lost servers
        world.live(2)
        world.check_that_nothing_is_lost()
