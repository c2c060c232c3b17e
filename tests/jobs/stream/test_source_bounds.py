"""Bounds by source: API, stream, dead letters sent again, rebuild, parity and tables give the same answer."""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fraud.contracts import LABELS, SCORED, TRANSACTIONS, bounds_of, without_future
from fraud.features.hashing import hash_text
from fraud.log import rows
from fraud.log.rebuild import rebuild
from fraud.schema.reading import parse_schema
from fraud.schema.reading.file import DEFAULT
from fraud.store import Epoch
from jobs.parity.compare import compare
from jobs.replay.dead_letters import Choice, resend
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks import validate_pass
from jobs.stream.tasks.context import TaskContext, store_of
from services.scoring.api.examples import examples_of
from tests.deployed import ENTITIES
from tests.jobs.stream.test_future import (
    KAFKA,
    PLAIN,
    START,
    Sent,
    drawn,
    read,
    sent_of,
    states_of,
    stream,
    table_of,
)
from tests.load.parity import run_batch
from tests.services.scoring.api.test_api import Api

SCHEMA = parse_schema(
    DEFAULT.read_bytes() + b"future: {by: channel, most_ahead_s: {pos: 30, batch_file: 7200}}\n",
    "bounded.yaml",
)
BOUND_S = {"pos": 30.0, "batch_file": 7_200.0, "online": 300.0, None: 300.0}


def with_channels(sent: list[Sent], seed: int) -> list[Sent]:
    """Give each transaction a channel, or none."""
    dice = random.Random(seed)
    channels = {
        record["transaction_id"]: dice.choice(list(BOUND_S)) for topic, record, _ in sent if topic != LABELS
    }
    return [
        (topic, record if topic == LABELS else {**record, "channel": channels[record["transaction_id"]]}, at)
        for topic, record, at in sent
    ]


def is_future(sent: Sent) -> bool:
    """The rule in other words: of a label's transaction nothing but the most lenient bound is known."""
    topic, record, arrival = sent
    ahead = {
        name: (datetime.fromisoformat(record[name]) - arrival).total_seconds()
        for name in ("event_time", "label_time")
        if name in record
    }
    if topic == LABELS:
        return ahead["event_time"] > max(BOUND_S.values()) or ahead["label_time"] > 300.0
    return ahead["event_time"] > BOUND_S[record["channel"]]


@pytest.mark.parametrize("seed", [4, 5])
def test_stream_rebuild_parity_and_tables_agree_on_what_each_source_may_date(
    seed: int, tmp_path: Path
) -> None:
    sent = with_channels(sent_of(drawn(seed)), seed)
    allowed = [one for one in sent if not is_future(one)]
    of, done = stream(tmp_path / "all", sent, schema=SCHEMA)
    other, _ = stream(tmp_path / "allowed", allowed, batches=1, schema=SCHEMA)
    assert states_of(of.store) == states_of(other.store), "a refused record has changed a state"
    reasons = Counter(done.column("reason").to_pylist())
    assert reasons["future_event_time"] + reasons["future_label_time"] == len(sent) - len(allowed)
    assert min(reasons["future_event_time"], reasons["future_label_time"]) > 0
    assert done.num_rows == len(sent), "every record ends in one place"
    served = Counter(read(of, "transactions")["channel"].to_pylist())
    assert set(served) == set(BOUND_S)
    rebuild(of, f"lmdb://{tmp_path / 'rebuilt'}")
    assert states_of(f"lmdb://{tmp_path / 'rebuilt'}") == states_of(of.store)
    parity = compare(of.delta_path)
    assert (parity.errors(), parity.waiting, parity.greatest) == ([], 0, 0.0)
    kept, left_out = without_future(table_of(sent, TRANSACTIONS), bounds_of(SCHEMA))
    assert left_out == sum(is_future(one) for one in sent if one[0] == TRANSACTIONS)
    _, labels_out = without_future(table_of(sent, LABELS), bounds_of(SCHEMA))
    assert labels_out == sum(is_future(one) for one in sent if one[0] == LABELS)
    assert set(kept["transaction_id"].to_pylist()) == set(
        read(of, "transactions")["transaction_id"].to_pylist()
    )


@pytest.mark.parametrize("channel", BOUND_S)
def test_api_stream_and_dead_letters_sent_again_give_the_same_answer(
    channel: str | None, tmp_path: Path
) -> None:
    """Just inside the bound and just outside it, by the clock of now."""
    api = Api(tmp_path / "api", schema=SCHEMA)
    try:
        for ahead_s, is_late in ((BOUND_S[channel] - 20.0, False), (BOUND_S[channel] + 20.0, True)):
            now = datetime.now(UTC)
            record = {
                "transaction_id": f"t{ahead_s}",
                "event_time": (now + timedelta(seconds=ahead_s)).isoformat(),
                "user_id": "u",
                "merchant_id": "m",
                "amount": 9.0,
                "channel": channel,
            }
            answer = api.call("POST", "/v1/score", json=record)
            assert answer.status_code == (422 if is_late else 200), answer.text
            cells = ([b"k"], [json.dumps(record).encode()], [TRANSACTIONS], [0], [0], [now])
            table = pa.table([pa.array(c, f.type) for c, f in zip(cells, KAFKA, strict=True)], schema=KAFKA)
            (found,) = validate_pass.validate(table, schema=SCHEMA).to_pylist()
            assert (found["row_kind"] == rows.DEAD_LETTER) == is_late
            if is_late:
                words = f"at most {BOUND_S[channel]:g} s are accepted"
                assert found["reason"] == "future_event_time"
                assert words in found["detail"]
                assert words in answer.json()["detail"]
                assert ("by channel" in found["detail"]) == (BOUND_S[channel] != 300.0)
    finally:
        api.service.store.close()


def test_a_letter_is_sent_again_when_the_bound_of_its_source_allows_it(tmp_path: Path) -> None:
    """All were refused on arrival. An hour ahead of now is within the bound of a batch file alone."""
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    plain = sent_of([PLAIN] * 3)
    sent = [
        (topic, {**record, "event_time": soon, "channel": channel}, at)
        for (topic, record, at), channel in zip(plain, ["pos", "batch_file", "online"], strict=True)
    ]
    of, done = stream(tmp_path, sent, schema=SCHEMA)
    assert done["reason"].to_pylist() == ["future_event_time"] * 3
    found = resend(of.delta_path, {}, Choice(), is_dry_run=True, schema=SCHEMA)
    assert (found.sent, found.still_bad) == ({"future_event_time": 1}, {"future_event_time": 2})


@pytest.mark.parametrize(("channel", "is_late"), [("pos", True), ("online", True), ("batch_file", False)])
def test_what_a_lost_store_had_counted_is_bounded_by_its_source(
    channel: str, tmp_path: Path, *, is_late: bool
) -> None:
    of = StreamSettings(home=tmp_path)
    store = store_of(of.store, ENTITIES)
    record = {
        **examples_of(SCHEMA).decision,
        "event_time": (START + timedelta(hours=1)).isoformat(),
        "channel": channel,
        "store": "lost",
    }
    context = TaskContext(
        Epoch(store.generation_of("q"), 0),
        store.acquire("test"),
        of.store,
        of.spool_path,
        (),
        "",
        0.1,
        schema=SCHEMA,
    )
    cells = ([b"k"], [json.dumps(record).encode()], [SCORED], [0], [0], [START])
    table = pa.table([pa.array(c, f.type) for c, f in zip(cells, KAFKA, strict=True)], schema=KAFKA)
    found = run_batch(context, table, np.random.default_rng(1))
    assert found["reason"][0].as_py() == ("future_event_time" if is_late else None)
    held = dict(store.scan("user"))
    assert (hash_text(record["user_id"]) in held) != is_late
