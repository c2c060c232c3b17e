"""Two schemas live in one process: each part of one gives its own answers, while the other's are used too."""

import json
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fraud.contracts import Outcome, contracts_of, parse_record
from fraud.decide.compiling import compile_rules
from fraud.decide.policy import decide_without_model
from fraud.errors import BadConfig, BadRecord
from fraud.features.batch import compute_features
from fraud.features.passes import entity_names, passes_of_schema, whole
from fraud.log.archive import tables_of
from fraud.log.rows import matrix_of, rows_of
from fraud.schema.reading import default_schema, parse_schema, read_schema
from fraud.schema.schema import Schema
from fraud.store import Epoch, open_store
from fraud.synthetic.encoding import encode_transactions
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from jobs.stream.tasks import entity_pass, validate_pass
from jobs.stream.tasks.context import TaskContext
from jobs.stream.tasks.stopwatch import Stopwatch
from services.scoring.api.examples import examples_of
from services.scoring.api.openapi import document
from services.scoring.api.routes import routes_of
from services.scoring.decide import vector_without_store
from services.scoring.scorer import Scorer
from tests.jobs.stream.tasks.test_entities import KAFKA, Approving

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
ISSUER = read_schema(EXAMPLES / "issuer.yaml")
BOTH = (default_schema(), ISSUER)
N = 60


def alternately(*parts: Sequence[Any]) -> Iterator[Any]:
    """Take one of each in turn."""
    return (one for one in chain(*zip_longest(*parts)) if one is not None)


def transactions(schema: Schema) -> pa.Table:
    """Generate some in the order of their times."""
    made = generate(GeneratorSettings(transactions=200, users=20, merchants=30, seed=7), schema)
    return made.transactions.slice(0, N)


def own_name(schema: Schema) -> str:
    """Name a key that the other schema does not have."""
    other = BOTH[1] if schema is BOTH[0] else BOTH[0]
    return next(name for name in schema.key_names if name not in other.by_name)


def test_contracts_and_examples_are_each_schema_s_own() -> None:
    for schema, other in (BOTH, BOTH[::-1], BOTH):
        example = examples_of(schema).transaction
        record = contracts_of(schema).request.model_validate(example)
        assert schema.primary_of(record) == example[schema.primary_key.name]
        raw = record.model_dump_json(exclude_none=True).encode()
        assert parse_record(contracts_of(schema).request, raw) == record
        with pytest.raises(BadRecord):
            parse_record(contracts_of(other).request, raw)


def test_tables_and_openapi_name_each_schema_s_own_fields() -> None:
    for schema, other in (BOTH, BOTH[::-1], BOTH):
        names = tables_of(passes_of_schema(schema), schema)
        own, others = own_name(schema), own_name(other)
        for table in ("transactions", "features", "decisions", "labels"):
            assert own in names[table][1]
            assert others not in names[table][1]
        assert own in rows_of(schema).validated.names
        assert others not in rows_of(schema).validated.names
        found = document(routes_of(schema))
        body = found["paths"]["/v1/score"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        fields = found["components"]["schemas"][body["$ref"].rpartition("/")[2]]["properties"]
        assert own in fields
        assert others not in fields


def test_a_rule_reads_the_fields_of_its_own_schema() -> None:
    for schema, other in (BOTH, BOTH[::-1], BOTH):
        own = own_name(schema)
        rule = {"name": "x", "when": f"{own} == 'k'", "then": "review", "reason": "r"}
        text = json.dumps({"version": "a", "rules": [rule]}).encode()
        rules = compile_rules(text, schema=schema)
        assert [one.name for one in rules.holding({own: "k"}, "k", 0.0).live] == ["x"]
        with pytest.raises(BadConfig, match=f"'{own}' does not exist"):
            compile_rules(text, schema=other)


def test_scorer_and_stream_of_both_serve_what_the_batch_computes_of_each_alone(tmp_path: Path) -> None:
    tables = [transactions(schema) for schema in BOTH]
    expected = [compute_features(table, schema=one).vectors for table, one in zip(tables, BOTH, strict=True)]
    stores = [
        open_store(f"lmdb://{tmp_path / f'scored-{at}'}", entity_names(passes_of_schema(schema)))
        for at, schema in enumerate(BOTH)
    ]
    deciders: list[list[np.ndarray[Any, Any]]] = [[], []]
    scorers = [
        Scorer(store, Remembering(seen), 5, schema=schema)  # type: ignore[arg-type]
        for store, seen, schema in zip(stores, deciders, BOTH, strict=True)
    ]
    raws = [encode_transactions(table, schema) for table, schema in zip(tables, BOTH, strict=True)]
    for at, raw in alternately(*([(at, raw) for raw in raws[at]] for at in range(2))):
        scorers[at].score(parse_record(contracts_of(BOTH[at]).request, raw))
    for at, schema in alternately(*([one] for one in enumerate(BOTH))):
        np.testing.assert_array_equal(np.vstack(deciders[at]), expected[at])
        np.testing.assert_array_equal(streamed(tmp_path / f"streamed-{at}", schema, raws[at]), expected[at])
    for store in stores:
        store.close()


class Remembering(Approving):
    """Decides without a model, and keeps the vectors."""

    def __init__(self, seen: list[np.ndarray[Any, Any]]) -> None:
        self._seen = seen

    def decide(self, record: Any, vector: np.ndarray[Any, Any], away: Any = ()) -> Any:
        self._seen.append(vector[0].copy())
        return super().decide(record, vector, away)


def streamed(folder: Path, schema: Schema, raws: Sequence[bytes]) -> np.ndarray[Any, Any]:
    """Run the stream's passes over records; gives the vectors."""
    passes, url = passes_of_schema(schema), f"lmdb://{folder}"
    with open_store(url, entity_names(passes)) as store:
        token = store.acquire("test")
    context = TaskContext(Epoch(1, 0), token, url, folder / "spool", (), "", 0.1, schema=schema)
    arrived_us = 2_000_000_000_000_000
    cells = [(b"k", raw, "transactions", 0, at, arrived_us + at) for at, raw in enumerate(raws)]
    columns = zip(*cells, strict=True)
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, KAFKA, strict=True)], schema=KAFKA)
    found = entity_pass.pass_primary(context, validate_pass.validate(table, schema=schema), Stopwatch())
    for at in range(1, len(passes)):
        found = entity_pass.pass_further(context, at, found, Stopwatch())
    return whole(passes, matrix_of(found.sort_by("source_offset").column("vector")))


def test_without_the_store_the_amount_decides_whatever_a_schema_calls_it() -> None:
    text = (EXAMPLES / "issuer.yaml").read_text()
    named = text.replace("  - amount\n", "  - {statistic: amount, name: paid}\n").replace(
        "transaction_amount", "paid"
    )
    schema = parse_schema(named.encode(), "issuer.yaml")
    example = examples_of(schema).transaction
    (limit,) = (rule.limit for rule in schema.fallback if rule.feature == "paid")
    for amount, outcome in ((limit, Outcome.REVIEW), (limit / 2.0, Outcome.APPROVE)):
        raw = json.dumps({**example, "amount": amount}).encode()
        record = parse_record(contracts_of(schema).transaction, raw)
        vector = vector_without_store(record, schema)
        assert np.isfinite(vector).sum() == 1
        assert decide_without_model(vector, schema=schema)[0][0] is outcome
