"""A store that went back in time gets the bits of the one that was lost, and nothing is lost or counts twice.

Real are the scoring service's application, the stream's passes, the archive, the Delta tables and parity;
Kafka is played: what the outbox gave and the stream has not read is the end of the topic ``scored``.
"""

import json
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import redis

from fraud.contracts import LABELS, SCORED, TRANSACTIONS
from fraud.contracts.seal import SealKey, sealed
from fraud.errors import BadState
from fraud.log.catch_up import OURS, catch_up
from fraud.log.checkpoint import Checkpoint
from fraud.store import Epoch, Watermark, open_store
from jobs.parity.compare import compare
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks import entity_pass, validate_pass
from jobs.stream.tasks.context import TaskContext, store_of
from jobs.stream.tasks.stopwatch import Stopwatch
from tests.deployed import ENTITIES
from tests.load.parity import run_batch
from tests.services.scoring.api.test_api import Api, Taking
from tests.services.scoring.test_exactness import Stream, check_counts, made

States = dict[str, dict[float, bytes]]

LATER = {"scored_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
"""Than the key of the seals was made, whatever the clocks."""


class World(Stream):
    """The stream and one scoring service over one store."""

    def __init__(self, settings: StreamSettings, folder: Path) -> None:
        super().__init__(settings, store_of(settings.store, ENTITIES))
        self.sent_in_order = True
        self.folder, self.mark = folder, self.store.watermark()
        self.pending: list[bytes] = []
        """The end of the topic ``scored``."""
        self.taken: list[bytes] = []
        self.answers: dict[str, bytes] = {}
        self.asked: dict[str, dict[str, object]] = {}
        self.apis: list[Api] = []
        self.serve()

    def serve(self) -> None:
        self.api = Api(self.folder, Taking([]), store=self.store)
        self.apis.append(self.api)  # one that is collected while another runs cannot end

    def score(self, count: int) -> list[str]:
        names = [f"api-{len(self.asked) + i}" for i in range(count)]
        for name in names:
            self.asked[name] = made(name, self.dice)
            answer = self.ask(name)
            assert answer.status_code == 200, answer.text
            assert answer.json()["degraded"] == []
            self.answers[name] = answer.content
        return names

    def ask(self, name: str):
        return self.api.call("POST", "/v1/score", content=json.dumps(self.asked[name]).encode())

    def drain(self) -> None:
        entries = self.store.answers().waiting(10_000)
        self.pending += [sealed(record, self.store.seal_key()) for _, record in entries]
        self.store.answers().sent([entry for entry, _ in entries])

    def batch(self, own: int, *, reads: bool = True, again: int = 0, is_cut_off: bool = False) -> None:
        """One micro-batch of transactions and labels of its own, and of what is in the topic ``scored``."""
        found = [(SCORED, raw) for raw in self.pending] if reads else []
        repeated = (
            [(SCORED, self.taken[i]) for i in self.dice.integers(0, len(self.taken), again)] if again else []
        )
        for _ in range(own):
            record = made(f"stream-{self.own}", self.dice)
            self.own += 1
            self.sent.append(record)
            found.append((TRANSACTIONS, json.dumps(record).encode()))
            if self.dice.random() < 0.5:
                found.append((LABELS, self._label()))
        self.repeated += len(repeated)
        table = self._table(found + repeated)
        context = replace(self.context, epoch=Epoch(self.context.epoch.generation, self.batches))
        if is_cut_off:
            self.half(context, table)
        self._finish(context, run_batch(context, table, self.dice))
        if reads:
            self.taken, self.pending = [*self.taken, *self.pending], []

    def half(self, context: TaskContext, table) -> None:
        """Fold into the users' states alone; then the copy is taken."""
        entity_pass.pass_primary(context, validate_pass.validate(table), Stopwatch())
        self.copied()

    copied: Callable[[], None]

    def _finish(self, context: TaskContext, done) -> None:
        mark = Watermark(Checkpoint.of(self.settings.checkpoint_path).query_id, context.epoch)
        self.store.advance(mark, self.mark, self.context.token)
        self.mark = mark
        super()._finish(context, done)

    def states(self) -> States:
        return {kind: dict(self.store.scan(kind)) for kind in ENTITIES}

    def live(self, rounds: int) -> None:
        for _ in range(rounds):
            self.score(int(self.dice.integers(1, 6)))
            self.drain()
            self.batch(
                int(self.dice.integers(1, 6)), reads=self.dice.random() < 0.7, again=int(bool(self.taken))
            )

    def go_on_over(self, url: str) -> None:
        """The stream and the service start again over another store."""
        self.settings = self.settings.model_copy(update={"store_url": url})
        self.store = store_of(url, ENTITIES)
        self.context = replace(self.context, store_url=url, token=self.store.acquire("test"))
        self.mark = self.store.watermark()
        self.serve()

    def check_that_nothing_is_lost(self, reasons: Sequence[str] = ("duplicate",)) -> None:
        """All that was answered and sent is in the log once, as it was served; the states hold it once."""
        while self.store.answers().backlog() or self.pending:
            self.drain()
            self.batch(1)
        self.archive.run(self.context.epoch.generation)
        parity = compare(self.settings.delta_path)
        assert parity.errors() == []
        assert (parity.greatest, parity.waiting, parity.repeated_ids) == (0.0, 0, 0)
        assert parity.transactions == len(self.asked) + self.own
        assert set(self.reasons) <= set(reasons)
        check_counts(self.store, parity.transactions)


@pytest.fixture(params=["lmdb", "redis"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    if request.param == "lmdb":
        return lambda: f"lmdb://{tmp_path / uuid.uuid4().hex}"
    server = request.getfixturevalue("redis_server")
    return lambda: server.url(prefix=uuid.uuid4().hex)


@pytest.fixture
def world(new_url: Callable[[], str], tmp_path: Path) -> World:
    return World(StreamSettings(home=tmp_path / "stream", store_url=new_url()), tmp_path)


def copy(old: str, new: str) -> None:
    """Take a copy of one instant."""
    if old.startswith("lmdb"):
        folder = Path(new.removeprefix("lmdb://"))
        folder.mkdir()
        shutil.copy(Path(old.removeprefix("lmdb://")) / "data.mdb", folder)
        return
    before, after = (url.rpartition("prefix=")[2] for url in (old, new))
    with redis.Redis(unix_socket_path=old.partition("?")[0].removeprefix("unix://")) as client:
        for key in client.scan_iter(f"{before}:*", count=1_000):
            client.restore(key.replace(before.encode(), after.encode(), 1), 0, client.dump(key))


def forged(raw: bytes, number: int, key: str = "") -> bytes:
    """What somebody writes who has read the topic ``scored``."""
    record = json.loads(raw)
    record.pop("seal")
    changed = {
        "transaction_id": f"forged-{number}",
        "outcome": "approve",
        "user_sequence": number + 1,
        **LATER,
    }
    return sealed(json.dumps(record | changed, separators=(",", ":")).encode(), SealKey(key))


def test_forged_records_are_dead_letters_and_change_nothing(world: World) -> None:
    """Neither without a seal nor with a wrong one; also in the name of a transaction that waits."""
    world.live(3)
    world.score(3)
    world.drain()
    world.archive.run(world.context.epoch.generation)
    (genuine,) = world.pending[-1:]
    taken = json.loads(genuine) | {"outcome": "approve", "amount": 1.0, **LATER}
    broken = json.dumps(json.loads(genuine) | LATER, separators=(",", ":")).encode()
    world.pending.insert(0, json.dumps(taken, separators=(",", ":")).encode())
    world.pending += [forged(genuine, 1), forged(genuine, 2, "a key"), broken]
    before, answers, known = len(world.reasons), len(world.asked), world.states()
    world.batch(0)
    assert world.reasons[before:] == ["forged_record"] * 4
    assert world.states() == known
    assert world.store.identity(), "nothing was set aside"
    world.check_that_nothing_is_lost(("duplicate", "forged_record"))
    assert len(world.asked) == answers


def test_forged_records_are_not_folded_onto_an_older_copy(world: World, new_url: Callable[[], str]) -> None:
    older = new_url()
    lost = until_lost(world, older)
    world.settings = world.settings.model_copy(update={"store_url": older})
    fakes = [forged(world.pending[-1], number) for number in range(30)]
    found = catch_up(world.settings, lambda _ends: [*fakes, *world.pending], rows=40)
    assert (found.was_anew, found.from_tail) == (False, len(world.pending))
    assert world.states() == lost


def until_lost(world: World, older: str) -> States:
    """Live on from a copy of the middle of a micro-batch, with a full outbox; returns what is lost."""
    world.live(4)
    world.archive.run(world.context.epoch.generation)
    world.score(5)
    world.copied = lambda: copy(world.settings.store, older)
    world.batch(12, is_cut_off=True)
    world.drain()
    world.live(6)
    world.score(9)  # counted, and read by nobody
    world.drain()
    world.batch(9, reads=False)  # counted after them, and in the log before them
    world.score(4)
    world.drain()
    return world.states()


def test_an_older_copy_under_a_newer_checkpoint_gets_the_bits_of_the_lost_store(
    world: World, new_url: Callable[[], str]
) -> None:
    older = new_url()
    lost = until_lost(world, older)
    first = next(iter(world.answers))
    with open_store(older) as store:
        assert {kind: dict(store.scan(kind)) for kind in ENTITIES} != lost
    world.settings = world.settings.model_copy(update={"store_url": older})
    began = time.monotonic()
    found = catch_up(world.settings, lambda _ends: [*world.pending, *world.taken[-3:]], rows=40)
    print(f"pause {time.monotonic() - began:.2f} s, {found}")  # noqa: T201
    assert not found.was_anew
    assert found.micro_batches > 5
    assert found.from_tail == len(world.pending) > 12
    assert world.states() == lost
    world.go_on_over(older)
    assert world.store.identity()
    assert world.ask(first).content == world.answers[first], "an answer from before the copy is kept"
    world.live(3)
    world.batch(3, again=5)
    world.check_that_nothing_is_lost()


def test_an_empty_store_gets_the_bits_of_the_lost_store(world: World, new_url: Callable[[], str]) -> None:
    lost = until_lost(world, new_url())
    last = list(world.answers)[-1]
    world.settings = world.settings.model_copy(update={"store_url": new_url()})
    found = catch_up(world.settings, lambda _ends: world.pending, rows=40)
    assert (found.was_anew, found.from_tail) == (False, len(world.pending))
    world.go_on_over(world.settings.store_url)
    assert world.states() == lost
    assert world.ask(last).status_code == 409, "its answer is gone, and it does not count twice"
    world.live(3)
    world.batch(3, again=5)
    world.check_that_nothing_is_lost()


def test_a_copy_in_which_something_else_was_counted_is_made_anew(
    world: World, new_url: Callable[[], str]
) -> None:
    older, counted = new_url(), new_url()
    until_lost(world, older)
    world.go_on_over(older)
    world.score(20)  # before the stream has seen that the store is an older copy
    copy(older, counted)
    world.settings = world.settings.model_copy(update={"store_url": counted})
    found = catch_up(world.settings, lambda _ends: world.pending, rows=40)
    assert found.was_anew
    world.go_on_over(counted)
    world.drain()
    world.batch(0)
    counts = [sum(np.frombuffer(state)[2] for state in kind.values()) for kind in world.states().values()]
    assert counts == [len(world.asked) + world.own] * len(ENTITIES)
    assert not world.settings.rebuild_mark.exists()


def test_what_was_interrupted_is_made_anew(world: World, new_url: Callable[[], str]) -> None:
    older = new_url()
    until_lost(world, older)
    world.settings = world.settings.model_copy(update={"store_url": older})
    world.settings.rebuild_mark.write_text(OURS)
    assert catch_up(world.settings, lambda _ends: [], rows=40).was_anew
    assert not world.settings.rebuild_mark.exists()


def test_the_store_of_another_checkpoint_is_left_as_it_is(
    world: World, new_url: Callable[[], str], tmp_path: Path
) -> None:
    other = World(StreamSettings(home=tmp_path / "other", store_url=new_url()), tmp_path / "of other")
    for one in (world, other):
        one.live(2)
        one.archive.run(one.context.epoch.generation)
    wrong = new_url()
    copy(other.settings.store, wrong)
    with pytest.raises(BadState, match="another checkpoint"):
        catch_up(world.settings.model_copy(update={"store_url": wrong}), lambda _ends: [])
    with open_store(wrong) as store:
        assert {kind: dict(store.scan(kind)) for kind in ENTITIES} == other.states()
        assert store.identity() == other.store.identity()
