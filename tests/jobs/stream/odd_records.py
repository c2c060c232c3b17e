"""Records that are right but for one field, whose value is odd: sent through the passes and to the API.

    FRAUD_SCHEMA_FILE=odd.yaml uv run python -m tests.jobs.stream.odd_records DIR    # prints JSON

A process of its own for another schema than the default one: a deployment has one.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from fraud.contracts import (
    LABELS,
    PROFILES,
    RESULTS,
    SCORED,
    TRANSACTIONS,
    contracts_of,
)
from fraud.features.passes import entity_names
from fraud.log import rows
from fraud.schema.deployed import deployed_schema
from fraud.schema.fields import Field
from fraud.store import Epoch, open_store
from jobs.stream.tasks import decide_pass, entity_pass, validate_pass
from jobs.stream.tasks.context import TaskContext, rates_of
from jobs.stream.tasks.publish import messages
from jobs.stream.tasks.score import Decisions
from jobs.stream.tasks.scored import Decided
from jobs.stream.tasks.stopwatch import Stopwatch
from tests.deployed import PASSES, SCHEMA
from tests.services.scoring.api.test_api import Api, Taking

NOW: Final = datetime.now(UTC)
EARLIER: Final = (NOW - timedelta(hours=1)).isoformat()
PATHS: Final = {
    TRANSACTIONS: "/v1/score",
    LABELS: "/v1/labels",
    RESULTS: "/v1/results",
    PROFILES: "/v1/profiles",
}
BATCHES: Final = {"/v1/score/batch": b"transactions", "/v1/models/fraud:predict": b"instances"}
_EMOJI: Final = "\U0001f600".encode()
ODD: Final = (
    b"null",
    b"true",
    b"0",
    b"-1",
    b"5e-324",
    b"1e300",
    b"1e400",
    b"NaN",
    b"-Infinity",
    b"1" + b"0" * 17,
    b"1" + b"0" * 400,
    b"1" + b"0" * 5_000,
    b"99999999999999",
    b"[]",
    b"{}",
    b'["a"]',
    b'{"a":[1]}',
    b"[" * 150 + b"]" * 150,
    b'""',
    b'"x"',
    b'"1"',
    b'"1_000"',
    b'" 1 "',
    b'"nan"',
    b'"\\u0000"',
    b'"\\ud800"',
    b'"a\\nb"',
    b'"' + _EMOJI * 64 + b'"',
    b'"' + b"9" * 5_000 + b'"',
    b'"0.' + b"9" * 29 + b'"',
    b'"GBP"',
    b'"XAU"',
    b'"ZZZ"',
    b'"Europe"',
    b'"+99:59"',
    b'"2000-01-01T00:00:00+23:59"',
    b'"2099-12-31T23:59:59-23:59"',
    b'"0001-01-01T00:00:00+23:59"',
    b'"2026-02-29T00:00:00Z"',
)
"""Values of JSON, and what some readers take for JSON."""


def right() -> dict[str, dict[str, Any]]:
    """Make one right record for each topic that the stream reads."""
    schema = deployed_schema()
    models = contracts_of(schema)
    told = _examples(schema.fields)
    told |= {"transaction_id": "t", "event_time": EARLIER, "amount": 12.5, "currency": "USD"}
    keys = {name: told.get(name, "k") for name in schema.key_names}
    told = {name: (told | keys)[name] for name in models.transaction.model_fields if name in told | keys}
    known = {"transaction_id": "t", **keys, "source": "s"}
    found: dict[str, dict[str, Any]] = {
        TRANSACTIONS: told,
        LABELS: {**known, "label_time": EARLIER, "is_fraud": True},
        SCORED: {
            **told,
            **{name: 1 for name in models.scored.model_fields if name.endswith("_sequence")},
            "outcome": "approve",
            "score": None,
            "model_version": None,
            "features_version": "x",
            "features": {},
            "scored_at": EARLIER,
            "store": "another",
        },
    }
    if models.result is not None:
        found[RESULTS] = {**known, "result_time": EARLIER, "result": schema.results[0]}
    if models.profile is not None:
        entity, fields = schema.profiles[0]
        whose = {name: keys[name] for name in models.profile.keys[entity]}
        values = {"profile_time": EARLIER, "profile": _examples(fields), "source": "s"}
        found[PROFILES] = {"entity": entity, **whose, **values}
    return found


def _examples(fields: Iterable[Field]) -> dict[str, Any]:
    return {name: value for one in fields for name, value in zip(one.names, one.examples, strict=False)}


def odd(topic: str, record: dict[str, Any]) -> Iterator[bytes]:
    """Make records of a topic of which one field has an odd value, or one that is not in the contract."""
    model = contracts_of(deployed_schema()).by_topic[topic]
    number = 0
    for name in [*model.model_fields, "of_nobody"]:
        for value in ODD:
            yield _with(_numbered(record, number), name, value)
            number += 1
    for name, value in ((name, value) for name in record.get("profile", ()) for value in ODD):
        profile = _with(record["profile"], name, value)
        yield _with(_numbered(record, number), "profile", profile)
        number += 1
    for currency in ("GBP", "XAU", "ZZZ"):
        for value in ODD:
            yield _with({**_numbered(record, number), "currency": currency}, "amount", value)
            number += 1


def _numbered(record: dict[str, Any], number: int) -> dict[str, Any]:
    return {**record, "transaction_id": f"t{number}"} if "transaction_id" in record else record


def _with(record: dict[str, Any], name: str, value: bytes) -> bytes:
    rest = json.dumps({one: told for one, told in record.items() if one != name}).encode()[:-1]
    return rest + (b"," if len(rest) > 1 else b"") + json.dumps(name).encode() + b":" + value + b"}"


def context_in(folder: Path) -> TaskContext:
    """Make the context of a micro-batch over an empty store."""
    url = f"lmdb://{folder / 'store'}"
    with open_store(url, entity_names(PASSES)) as store:
        token, generation = store.acquire("test"), store.generation_of("test")
    rates = folder / "rates.csv"
    rates.write_text("currency,base,rate,since\nEUR,USD,1.08,\n")
    priced = rates if deployed_schema().money else None
    spool, nobody = folder / "spool", "http://127.0.0.1:9"
    return TaskContext(Epoch(generation, 0), token, url, spool, (), nobody, 0.1, rates=priced)


def decided(context: TaskContext, topic: str, records: list[bytes]) -> pa.Table:
    """Run records through all passes, as one micro-batch; returns the spooled rows."""
    n = len(records)
    source = pa.table(
        {
            "key": pa.array([b"k"] * n),
            "value": pa.array(records, pa.binary()),
            "topic": [topic] * n,
            "partition": pa.array([0] * n, pa.int32()),
            "offset": pa.array(range(n), pa.int64()),
            "timestamp": pa.array([NOW] * n, pa.timestamp("us", tz="UTC")),
        }
    )
    watch = Stopwatch()
    table = validate_pass.validate(source, schema=context.schema, rates=rates_of(context))
    table = entity_pass.pass_primary(context, table, watch)
    for at in range(1, len(context.passes)):
        table = entity_pass.pass_further(context, at, table, watch)
    new = table.column("row_kind").to_pylist().count(rows.TRANSACTION)
    decisions = Decisions(["approve"] * new, [[]] * new, [None] * new, [None] * new)
    return decide_pass.spool_table(
        context,
        table,
        vectors=rows.matrix_of(table.column("vector")),
        decisions=decisions,
        decided=Decided(table, context.passes, context.contracts),
    )


def see(folder: Path) -> dict[str, Any]:
    """Send all records to the stream's passes and to the API; tell what became of them.

    Returns
    -------
    dict
        By topic what :func:`seen` tells, and the API's statuses; ``answers``: of what the API has taken.
    """
    found: dict[str, Any] = {}
    folder.mkdir(parents=True, exist_ok=True)
    api = Api(folder / "api", Taking([]), labels_pending=True, pending_file=folder / "pending.sqlite")
    for topic, record in right().items():
        sent = [json.dumps(record).encode(), *odd(topic, record)]
        found[topic] = seen(folder / topic, topic, sent)
        if topic in PATHS:
            found[topic]["statuses"] = Counter(statuses(api, topic, sent))
    answers = [record for _, record in api.service.store.answers().waiting(1_000_000)]
    found["answers"] = seen(folder / "answers", SCORED, answers)
    api.service.store.close()
    return found


def seen(folder: Path, topic: str, sent: list[bytes]) -> dict[str, Any]:
    """Run records through the passes; tell which of them came out, as what, and what would be published."""
    folder.mkdir()
    spooled = decided(context_in(folder), topic, sent)
    offsets = spooled.column("source_offset").to_pylist()
    reasons = dict(zip(offsets, spooled.column("reason").to_pylist(), strict=True))
    list(messages(spooled, SCHEMA))
    return {
        "is_each_once": sorted(offsets) == list(range(len(sent))),
        "first": reasons.get(0),
        "sent": len(sent),
        "reasons": Counter(reason or "taken" for reason in reasons.values()),
    }


def statuses(api: Api, topic: str, records: list[bytes]) -> list[int]:
    """Post records to the API, a transaction also in batches of each protocol; returns the statuses."""
    found = [api.call("POST", PATHS[topic], content=raw).status_code for raw in records]
    if topic == TRANSACTIONS:
        for raw in records:
            for path, name in BATCHES.items():
                body = b'{"' + name + b'":[' + raw + b"]}"
                found.append(api.call("POST", path, content=body).status_code)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(see(Path(sys.argv[1]))))
