"""Who waits, and who is refused at once."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fraud.errors import Unavailable
from fraud.http.problems import Problem
from services.scoring.api.request_queue import PATIENCE_S, SHORT, RequestQueue

MOST = 2 * SHORT


def offer(queue: RequestQueue, works: int) -> list[bytes | BaseException]:
    """Bring many at once, before any has had its turn."""

    async def run() -> list[bytes | BaseException]:
        waiting = [queue.run(lambda: b"done") for _ in range(works)]
        return await asyncio.gather(*waiting, return_exceptions=True)

    return asyncio.run(run())


@pytest.mark.parametrize(("stands_s", "taken"), [(0.0, MOST), (2 * PATIENCE_S, MOST // SHORT)])
def test_a_burst_may_wait_and_a_queue_that_stands_is_kept_short(stands_s: float, taken: int) -> None:
    reads = [0.0]
    # The first finds nobody waiting at 0 s; all others come when the queue has stood for so long.
    queue = RequestQueue(MOST, 0, lambda: reads.pop(0) if len(reads) > 1 else reads[0])
    reads[:] = [0.0, stands_s]
    found = offer(queue, 3 * MOST)
    refused = [one for one in found if isinstance(one, Problem)]
    assert found[:taken] == [b"done"] * taken
    assert len(refused) == 3 * MOST - taken
    assert {(one.status, one.retry_after_s) for one in refused} == {(429, 1)}


def test_a_work_that_fails_fails_for_who_brought_it_alone() -> None:
    def fail() -> bytes:
        raise ValueError("its own")

    async def run() -> list[bytes | BaseException]:
        queue = RequestQueue(MOST, 0)
        return await asyncio.gather(
            queue.run(lambda: b"a"), queue.run(fail), queue.run(lambda: b"b"), return_exceptions=True
        )

    first, failed, last = asyncio.run(run())
    assert (first, last) == (b"a", b"b")
    assert isinstance(failed, ValueError)


class Steps:
    """Says which works were done together, and fails where it should."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = [*failures]
        self.done: list[str] = []

    def work(self, name: str) -> Callable[[], str]:
        def do() -> str:
            self.done.append(name)
            return name

        return do

    @contextmanager
    def together(self) -> Iterator[None]:
        self.done.append("(")
        yield
        if self.failures:
            raise self.failures.pop()
        self.done.append(")")

    def run(self, singles: str, batch: str = "") -> list[str]:
        queue = RequestQueue(MOST, 0, together=self.together)

        async def bring() -> list[str]:
            works = [queue.run(self.work(name)) for name in singles]
            works += [queue.run(self.work(name), is_of_batch=True) for name in batch]
            return await asyncio.gather(*works)

        return asyncio.run(bring())


def test_those_that_wait_are_done_together_a_few_at_a_time() -> None:
    steps = Steps()
    assert steps.run("abcdefg") == list("abcdefg")
    assert "".join(steps.done) == "(abcd)(efg)"
    alone = Steps()
    assert (alone.run("a"), alone.done) == (["a"], ["a"])


def test_a_transaction_of_a_batch_is_done_alone_after_some_of_the_others() -> None:
    steps = Steps()
    steps.run("abcdef", "xyz")
    assert "".join(steps.done) == "(abcd)x(ef)yz"


@pytest.mark.parametrize("error", [Unavailable("the disk is full"), MemoryError("none left")])
def test_works_whose_step_fails_are_done_again_each_alone(error: Exception) -> None:
    steps = Steps(error)
    assert steps.run("abcdef") == list("abcdef")
    assert "".join(steps.done) == "(abcdabcd(ef)"


class Panic(BaseException):
    """As libraries in Rust raise it."""


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize(
    "failure", [Panic("p"), StopIteration("s"), asyncio.CancelledError("c"), SystemExit(3)]
)
def test_whatever_a_work_raises_those_behind_it_are_answered(failure: BaseException, threads: int) -> None:
    def fail() -> bytes:
        raise failure

    async def run() -> list[bytes | BaseException]:
        queue = RequestQueue(MOST, threads)
        works = (queue.run(fail), queue.run(lambda: b"next"), queue.run(fail, is_of_batch=True))
        found = await asyncio.wait_for(asyncio.gather(*works, return_exceptions=True), 20.0)
        return [*found, await asyncio.wait_for(queue.run(lambda: b"last"), 20.0)]

    failed, following, of_batch, last = asyncio.run(run())
    assert (following, last) == (b"next", b"last")
    assert isinstance(failed, RuntimeError)
    assert isinstance(of_batch, RuntimeError)


def test_with_threads_those_that_run_do_not_count_as_waiting() -> None:
    found = offer(RequestQueue(1, 2), 8)
    assert found[:3] == [b"done"] * 3
    assert all(isinstance(one, Problem) for one in found[3:])


def test_single_requests_go_before_the_transactions_of_batches_which_have_their_turns_too() -> None:
    order: list[str] = []

    async def run() -> None:
        queue = RequestQueue(100, 0)
        batches = [queue.run(lambda: order.append("batch"), is_of_batch=True) for _ in range(200)]
        singles = [queue.run(lambda: order.append("single")) for _ in range(12)]
        await asyncio.gather(*batches, *singles)

    asyncio.run(run())
    last = max(at for at, one in enumerate(order) if one == "single")
    assert (last, order[: last + 1].count("batch")) == (13, 2)
    assert order.count("batch") == 200


def test_batches_leave_threads_to_single_requests() -> None:
    async def run() -> bytes:
        queue = RequestQueue(2, 2)
        held = threading.Event()
        batches = [asyncio.create_task(queue.run(held.wait, is_of_batch=True)) for _ in range(9)]
        await asyncio.sleep(0)
        single = await asyncio.wait_for(queue.run(lambda: b"done"), 20.0)
        held.set()
        await asyncio.gather(*batches)
        return single

    assert asyncio.run(run()) == b"done"
