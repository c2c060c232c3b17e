"""What it costs that a commit counts only when replicas have it: `uv run python -m tests.load.replicas`.

One client over loopback, a primary with two replicas and three Sentinels on this machine, all with
``appendfsync always``; states of 3,000 bytes.
"""

import itertools
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial

from fraud.store import Answer, Change, Epoch, FeatureStore, open_store
from fraud.store.value import version_of
from tests.fraud.store.sentinels import run_group

STATE = struct.pack("<3d", 0.0, 5.0, 1.0) + b"\0" * 2_976
SECONDS = 3.0
ENTITIES = ("user", "merchant")
AT_ONCE = 2_000


def main() -> None:
    """Print a line for each number of replicas."""
    print("| replicas | commit p50 ms | p99 | commits/s of one client | states/s of the stream |")  # noqa: T201
    print("|---|---|---|---|---|")  # noqa: T201
    with run_group() as group:
        for replicas in (0, 1, 2):
            with open_store(group.url(replicas=replicas, prefix=f"r{replicas}"), ENTITIES) as store:
                commits = sorted(timed(commits_of(store)))
                batches = sorted(timed(batches_of(store)))
            half, late = commits[len(commits) // 2], commits[len(commits) * 99 // 100]
            rate = len(commits) / sum(commits)
            states = AT_ONCE * len(batches) / sum(batches)
            print(f"| {replicas} | {half * 1e3:.2f} | {late * 1e3:.2f} | {rate:,.0f} | {states:,.0f} |")  # noqa: T201


def timed(calls: Iterator[Callable[[], object]]) -> list[float]:
    """Call for a while; seconds of each call."""
    found, stop_at = [], time.perf_counter() + SECONDS
    for call in calls:
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
        if time.perf_counter() > stop_at:
            break
    return found


def commits_of(store: FeatureStore) -> Iterator[Callable[[], object]]:
    """Commits of the scoring service, each over two states that nobody else writes."""
    answers, identity = store.answers(), store.identity()
    answer = Answer(b"f" * 16, b"b" * 300, b"r" * 3_000)
    for number in itertools.count():
        found = answers.look(f"t{number}", [(name, float(number)) for name in ENTITIES])
        changes = [Change(*key, STATE, version_of(stored)) for key, stored in found.stored.items()]
        yield partial(answers.commit, f"t{number}", answer, changes, identity)


def batches_of(store: FeatureStore) -> Iterator[Callable[[], object]]:
    """Writes of the stream."""
    token = store.acquire("load")
    states = {1e9 + at: STATE for at in range(AT_ONCE)}
    for batch in itertools.count():
        versions = dict(zip(states, map(version_of, store.stored("user", list(states))), strict=True))
        yield partial(store.replace, "user", states, versions, Epoch(1, batch), token)


if __name__ == "__main__":
    main()
