"""A micro-batch and the end of the job never wait for each other."""

import threading

import pytest

from fraud.errors import Unavailable
from jobs.stream.gate import BatchGate


def test_a_micro_batch_that_begins_while_the_job_ends_holds_nothing_up() -> None:
    stop = threading.Event()
    gate = BatchGate(stop, lambda: False)
    found: list[BaseException] = []

    def process() -> None:
        try:
            with gate.batch():
                pass
        except Unavailable as error:
            found.append(error)

    with gate.between():  # as `run` does when it stops the query, which waits for the micro-batch
        late = threading.Thread(target=process, daemon=True)
        late.start()
        stop.set()
        late.join(10.0)
        assert not late.is_alive()
    assert "next start" in str(found[0])


def test_a_micro_batch_waits_while_it_is_held_and_ends_with_the_job() -> None:
    stop, held = threading.Event(), threading.Event()
    held.set()
    gate = BatchGate(stop, held.is_set)
    begun = threading.Event()

    def process() -> None:
        with gate.batch():
            begun.set()

    waiting = threading.Thread(target=process, daemon=True)
    waiting.start()
    assert not begun.wait(0.5)
    held.clear()
    assert begun.wait(10.0)
    waiting.join(10.0)
    held.set()
    stop.set()
    with pytest.raises(Unavailable, match="next start"), gate.batch():
        pass


def test_the_end_waits_for_the_micro_batch_under_way() -> None:
    gate = BatchGate(threading.Event(), lambda: False)
    order: list[str] = []

    def end() -> None:
        with gate.between():
            order.append("end")

    with gate.batch():
        ending = threading.Thread(target=end, daemon=True)
        ending.start()
        ending.join(0.3)
        order.append("batch")
    ending.join(10.0)
    assert order == ["batch", "end"]
