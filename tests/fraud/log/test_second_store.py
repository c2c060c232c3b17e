"""A second store is filled while stream and scoring service decide over the first one, and takes its place.

Real are the parts of ``tests.fraud.log.test_catch_up``; the schema stays, so the states of both stores must
be the same bits.
"""

from collections.abc import Callable

import pytest

from fraud.errors import Unavailable
from fraud.log.rebuild import follow
from tests.fraud.log.test_catch_up import World, new_url, world
from tests.jobs.replay.test_rebuild import states_of

__all__ = ["new_url", "world"]


def fill(world: World, url: str, *, settles: Callable[[], bool] | None) -> int:
    """Fill a store; two micro-batches come while it follows. Returns what came from the end of ``scored``."""
    looks: list[int] = []

    def has_stopped() -> bool:
        looks.append(1)
        world.live(1)
        world.archive.run(world.context.epoch.generation)
        return len(looks) == 3

    said: list[str] = []
    found = follow(
        world.settings,
        url,
        has_stopped,
        old=world.store,
        tail=lambda _ends: world.pending,
        is_settled=settles,
        rows=40,
        poll_s=0.0,
        tell=said.append,
    )
    whole = int(said[-1].split()[1].replace(",", ""))
    assert said[-1].endswith("the whole log")
    return found.transactions - whole


def test_what_the_service_counts_until_it_stops_is_in_the_new_store(
    world: World, new_url: Callable[[], str]
) -> None:
    """The log has all that the stream took; the rest is the end of the topic ``scored``."""
    world.live(4)
    url = new_url()

    def settles() -> bool:
        world.score(7)
        world.drain()
        return True

    assert fill(world, url, settles=settles) == len(world.pending) >= 7
    assert states_of(url) == world.states()
    world.go_on_over(url)
    world.live(3)
    world.check_that_nothing_is_lost()


def test_what_a_service_counts_over_the_old_store_afterwards_is_counted_again_in_the_new_one(
    world: World, new_url: Callable[[], str]
) -> None:
    """On a cluster the old pods answer until the new ones are ready."""
    world.live(4)
    url = new_url()
    fill(world, url, settles=None)
    known = len(world.pending)
    world.score(5)
    world.drain()
    late = len(world.pending) - known
    assert late >= 5
    world.go_on_over(url)
    world.batch(2)
    world.live(3)
    world.check_that_nothing_is_lost()


def test_decisions_that_kafka_does_not_have_are_not_left_behind(
    world: World, new_url: Callable[[], str]
) -> None:
    world.live(2)
    before = world.states()

    def settles() -> bool:
        world.score(3)
        return True

    with pytest.raises(Unavailable, match=r"3 decisions .* not in Kafka; start it again"):
        fill(world, new_url(), settles=settles)
    assert world.states() != before, "the service's own store has counted them"
    world.check_that_nothing_is_lost()
