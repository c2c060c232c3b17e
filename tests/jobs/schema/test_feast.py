"""``fraud schema import`` of Feast: files and dumps give the same schema, and nothing in them is run."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.errors import BadInput
from fraud.schema.reading import parse_schema
from fraud.schema.schema import Schema
from fraud.tables import open_source
from jobs.schema.export import as_yaml
from jobs.schema.feast import Repository, read_dump
from jobs.schema.feast_convert import convert
from jobs.schema.feast_python import read_python
from jobs.schema.imported import Imported

ENTITIES = """
from feast import Entity, ValueType
card = Entity(name="card", join_keys=["card_id"])
merchant = Entity(name="merchant", join_keys=["merchant_id"], value_type=ValueType.STRING)
"""
REPO = """
from datetime import timedelta
from feast import *
from feast.stream_feature_view import stream_feature_view
from feast.types import Float64, Int64, String, Bool, UnixTimestamp, Array
from entities import card, merchant
DAY = timedelta(days=1)
payments = FileSource(name="payments", path="s3://lake/payments", timestamp_field="paid_at",
                      created_timestamp_column="loaded_at", field_mapping={"amt": "amount"})
queue = KafkaSource(name="queue", kafka_bootstrap_servers="k:9092", topic="t", timestamp_field="paid_at",
                    batch_source=payments, message_format=None)
request = RequestSource(
    name="request", schema=[Field(name="channel", dtype=String), Field("opened", UnixTimestamp)])

@stream_feature_view(
    entities=[card], ttl=2 * DAY, mode="spark", source=queue, timestamp_field="paid_at",
    schema=[Field(name="amount", dtype=Float64), Field(name="country", dtype=String)],
    aggregations=[
        Aggregation(column="amount", function="sum", time_window=timedelta(hours=1)),
        Aggregation(column="amount", function="avg", time_window=DAY),
        Aggregation("amount", function="max", time_window=7 * DAY),
        Aggregation(column="country", function="count_distinct", time_window=30 * DAY),
        Aggregation(column="amount", function="first", time_window=DAY),
        Aggregation(column="amount", function="sum", time_window=timedelta(seconds=90)),
        Aggregation(column="amount", function="sum"),
        Aggregation(column="amount", function="sum", time_window=365 * DAY),
        Aggregation(column="country", function="sum", time_window=DAY),
    ],
)
def card_totals(df):
    raise SystemExit("run")

merchant_counts = BatchFeatureView(
    name="merchant_counts", entities=[merchant], source=payments, schema=[Field(name="tip", dtype=Int64)],
    aggregations=[Aggregation(column="amount", function="count", time_window=DAY)])
pair = BatchFeatureView(name="pair", entities=[card, merchant], source=payments, schema=[],
    aggregations=[Aggregation(column="amount", function="sum", time_window=30 * DAY)])
profile = FeatureView(name="profile", entities=[card], ttl=DAY, source=payments,
    schema=[Field(name="credit_score", dtype=Int64), Field(name="embedding", dtype=Array(Float64))])

@on_demand_feature_view(sources=[profile, request], schema=[Field(name="ratio", dtype=Float64)])
def score_ratio(inputs):
    return inputs

service = FeatureService(name="fraud_v1", features=[card_totals, profile[["credit_score"]]])
for days in (1, 7):
    FeatureView(name=f"loop_{days}", entities=[card], source=payments, schema=[])
raise SystemExit("nothing of this file may run")
"""

LOOP = 1 + next(at for at, line in enumerate(REPO.splitlines()) if "loop_" in line)
"""Line of the view that a loop makes."""


def dumped(name: str, **spec: Any) -> dict[str, Any]:
    return {"spec": {"name": name, **spec}, "meta": {}}


SOURCE = {
    "name": "payments",
    "type": "BATCH_FILE",
    "timestampField": "paid_at",
    "createdTimestampColumn": "loaded_at",
    "fieldMapping": {"amt": "amount"},
}
DUMP = {
    "project": "shop",
    "entities": [
        dumped("__dummy", joinKey="__dummy_id"),
        dumped("card", joinKey="card_id", valueType="STRING"),
        dumped("merchant", joinKey="merchant_id"),
    ],
    "featureViews": [
        dumped(
            "merchant_counts",
            entities=["merchant"],
            features=[{"name": "tip", "valueType": "INT64"}],
            batchSource=SOURCE,
            aggregations=[{"column": "amount", "function": "count", "timeWindow": "86400s"}],
        ),
        dumped(
            "profile",
            entities=["card"],
            ttl="86400s",
            features=[{"name": "credit_score", "valueType": "INT64"}],
            batchSource=SOURCE,
        ),
    ],
    "streamFeatureViews": [
        dumped(
            "card_totals",
            entities=["card"],
            features=[
                {"name": "amount", "valueType": "DOUBLE"},
                {"name": "country", "valueType": "STRING"},
            ],
            batchSource=SOURCE,
            streamSource={"name": "queue"},
            userDefinedFunction={"name": "card_totals", "bodyText": "..."},
            aggregations=[
                {"column": "amount", "function": "sum", "timeWindow": "3600s"},
                {"column": "country", "function": "count_distinct", "timeWindow": "2592000s"},
            ],
        )
    ],
    "onDemandFeatureViews": [
        dumped(
            "score_ratio",
            sources={
                "request": {
                    "requestDataSource": {
                        "name": "request",
                        "requestDataOptions": {"schema": [{"name": "channel", "valueType": "STRING"}]},
                    }
                }
            },
        )
    ],
    "labelViews": [
        dumped("chargebacks", entities=["card"], features=[{"name": "is_fraud", "valueType": "BOOL"}])
    ],
    "featureServices": [dumped("fraud_v1")],
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "entities.py").write_text(ENTITIES)
    (folder / "views.py").write_text(REPO)
    return folder


def of_python(folder: Path, **said: Any) -> Imported:
    found = Repository()
    read_python(sorted(folder.glob("*.py")), found)
    return convert(found, **said)


def of_text(tmp_path: Path, text: str, **said: Any) -> Imported:
    (tmp_path / "one.py").write_text(text)
    return of_python(tmp_path, **said)


def of_dump(dump: dict[str, Any], **said: Any) -> Imported:
    found = Repository()
    read_dump(dump, found)
    return convert(found, **said)


def schema_of(made: Imported) -> Schema:
    return parse_schema(as_yaml(made.schema).encode(), "made")


def test_aggregations_become_features_of_their_entities(repository: Path) -> None:
    schema = schema_of(of_python(repository, primary="card"))
    assert schema.primary.name == "card"
    assert [entity.name for entity in schema.entities] == ["card", "merchant", "card_merchant"]
    assert {feature.name for feature in schema.features} >= {
        "amount_sum_1h_by_card",
        "amount_mean_24h_by_card",
        "amount_max_7d_by_card",
        "country_distinct_30d_by_card",
        "count_24h_by_merchant",
        "amount_sum_30d_by_card_merchant",
    }


def test_what_has_no_counterpart_is_named_with_the_reason(repository: Path) -> None:
    made = of_python(repository, primary="card")
    missing = {(note.what, note.theirs): note.words for note in made.missing}
    assert "first: `fraud features" in missing["aggregation", "card_totals: first(amount)"]
    sums = [note.words for note in made.missing if note.theirs == "card_totals: sum(amount)"]
    assert [words.split(":")[0] for words in sums] == [
        "a window of 90 s",
        "no time window",
        sums[2].split(":")[0],
    ]
    assert "90 days" in sums[2] or "90d" in sums[2]
    assert "needs a number" in missing["aggregation", "card_totals: sum(country)"]
    assert "--events profile" in missing["feature", "profile:credit_score"]
    assert ("on-demand view", "score_ratio") in missing
    assert ("feature service", "fraud_v1") in missing
    assert ("ttl", "profile") in missing
    assert ("code", "card_totals") in missing
    assert missing["not read", f"FeatureView at views.py:{LOOP}"] == "it is made by code, which is not run"


def test_a_dump_gives_what_the_files_give(repository: Path) -> None:
    files, dump = of_python(repository, primary="card"), of_dump(DUMP, primary="card")
    ours, theirs = schema_of(files), schema_of(dump)
    assert {feature.name for feature in theirs.features} <= {feature.name for feature in ours.features} | {
        "count_30d_by_card"
    }
    assert (
        dump.schema["source"]["columns"]["amount"]
        == files.schema["source"]["columns"]["amount"]
        == "number(amt)"
    )
    assert ("label view", "chargebacks") in {(note.what, note.theirs) for note in dump.missing}


def test_the_schema_reads_their_table(repository: Path, tmp_path: Path) -> None:
    schema = schema_of(of_python(repository, primary="card", events=["profile"]))
    (tmp_path / "payments.csv").write_text(
        "card_id,merchant_id,paid_at,amt,country,channel,opened,credit_score,is_fraud\n"
        "c1,m1,2024-05-01T10:00:00Z,12.5,AT,web,2020-01-01T00:00:00Z,700,0\n"
        "c1,m2,2024-05-01T11:00:00Z,20,DE,web,2020-01-01T00:00:00Z,700,1\n"
    )
    read = open_source(
        "transactions", tmp_path / "payments.csv", schema=schema, also={"is_fraud": pa.bool_()}
    ).table()
    assert read["amount"].to_pylist() == [12.5, 20.0]
    assert read["transaction_id"].to_pylist() == ["1", "2"]
    assert read["credit_score"].to_pylist() == [700, 700]
    assert str(read["event_time"][0].as_py()) == "2024-05-01 10:00:00+00:00"


def test_what_cannot_be_told_is_asked_for(repository: Path) -> None:
    with pytest.raises(BadInput, match=r"which entity .* --primary card \(there are card, merchant\)"):
        of_python(repository)
    with pytest.raises(BadInput, match="--primary shop: there is no such entity"):
        of_python(repository, primary="shop")
    with pytest.raises(BadInput, match=r"--events orders: there is no such view; write one of card_totals"):
        of_python(repository, primary="card", events=["orders"])
    with pytest.raises(BadInput, match="--amount tips: no column of numbers has this name"):
        of_python(repository, primary="card", amount="tips")


ONE = """
import feast
e = feast.Entity("card", join_keys=["card_id"])
v = feast.FeatureView(name="v", entities=[{entities}], schema=[{schema}], source=feast.FileSource({source}),
    aggregations=[{aggregations}])
"""


def one(**parts: str) -> str:
    given = {
        "entities": "e",
        "schema": "",
        "source": 'path="x", timestamp_field="ts"',
        "aggregations": "",
        **parts,
    }
    return ONE.format(**given)


def test_the_amount_is_asked_for_where_no_column_has_its_name(tmp_path: Path) -> None:
    text = one(
        aggregations='feast.Aggregation(column="value", function="sum", time_window=timedelta(hours=6))'
    )
    with pytest.raises(BadInput, match=r"--amount value \(or value\)"):
        of_text(tmp_path, text)
    made = of_text(tmp_path, text, amount="value")
    assert "amount_sum_6h_by_card" in {feature.name for feature in schema_of(made).features}
    assert made.schema["source"]["columns"]["amount"] == "number(value)"


def test_a_view_without_aggregations_gets_the_usual_features(tmp_path: Path) -> None:
    made = of_text(tmp_path, one(schema='feast.Field("score", Int64)'))
    assert "count_24h_by_card" in {feature.name for feature in schema_of(made).features}
    assert ("feature", "v:score") in {(note.what, note.theirs) for note in made.missing}
    assert ("amount", "") in {(note.what, note.theirs) for note in made.missing}


@pytest.mark.parametrize(
    ("name", "our"),
    [
        ("Card-Number", "card_number"),
        ("answers", "answers_value"),
        ("1st", "x_1st"),
        ("é", "x"),
        ("event_time", "event_time"),
    ],
)
def test_names_of_entities_are_made_ours(tmp_path: Path, name: str, our: str) -> None:
    text = one().replace('"card"', json.dumps(name, ensure_ascii=False))
    assert [entity.name for entity in schema_of(of_text(tmp_path, text)).entities] == [our]


@pytest.mark.parametrize("name", ["event_time", "amount", "is_fraud", "Score", "currency"])
def test_join_keys_with_names_of_ours_are_read_under_others(tmp_path: Path, name: str) -> None:
    made = of_text(tmp_path, one().replace("card_id", name))
    schema = schema_of(made)
    assert schema.primary_key.name == f"{name.lower()}_value"
    assert made.schema["source"]["columns"][schema.primary_key.name] == name


def test_names_that_differ_only_for_them_stay_two(tmp_path: Path) -> None:
    schema = 'feast.Field("Plan", String), feast.Field("plan", String)'
    made = of_text(tmp_path, one(schema=schema), events=["v"])
    assert [made.schema["source"]["columns"][our] for our in ("plan", "plan_value")] == ["Plan", "plan"]
    schema_of(made)


def test_thirteen_windows_are_twelve_and_a_note(tmp_path: Path) -> None:
    windows = ", ".join(
        f'feast.Aggregation(column="x", function="count", time_window=timedelta(hours={hours}))'
        for hours in range(1, 14)
    )
    made = of_text(tmp_path, one(aggregations=windows))
    assert sum(feature.name.startswith("count_") for feature in schema_of(made).features) == 12
    assert [note.words for note in made.missing if note.what == "aggregation"] == [
        "an entity has at most 12 windows"
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (one().replace('name="v"', "name=NAME"), "FeatureView at one.py:4"),
        ("NAME = 'a'\nNAME = 'b'\n" + one().replace('name="v"', "name=NAME"), "FeatureView at one.py:6"),
        (one(aggregations="make(1)"), "an aggregation of v"),
        (one().replace("aggregations=[]", "aggregations=make()"), "aggregations of v"),
        (
            one(aggregations='feast.Aggregation(column="x", function="sum", time_window=day)'),
            "an aggregation of v",
        ),
        (one() + "def f():\n    return feast.FeatureView(name='w')\n", "FeatureView at one.py:7"),
    ],
)
def test_what_only_running_could_tell_is_named(tmp_path: Path, text: str, what: str) -> None:
    assert what in {note.theirs for note in of_text(tmp_path, text).missing}


@pytest.mark.parametrize(
    "text",
    [
        "def (",
        "\x00",
        "a = " + "(" * 3_000 + ")" * 3_000,
        "x = '\ud800'".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
    ids=["syntax", "null", "deep", "bytes"],
)
def test_files_that_are_no_python_are_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.py").write_text(text, encoding="latin-1")
    done = CliRunner().invoke(
        app, ["schema", "import", str(tmp_path / "bad.py"), "--out", str(tmp_path / "s.yaml")]
    )
    assert done.exit_code == 1
    assert "bad.py" in done.output
    assert not (tmp_path / "s.yaml").exists()


def test_names_that_mean_each_other_end(tmp_path: Path) -> None:
    made = of_text(tmp_path, "a = b\nb = a\n" + one(schema="a", aggregations="b"))
    assert "an aggregation of v" in {note.theirs for note in made.missing}


@pytest.mark.parametrize(
    "dump",
    [
        {"featureViews": "none", "entities": [dumped("card")]},
        {"featureViews": [None, 3, {"spec": None}, {"spec": {"name": 7}}], "entities": [dumped("card")]},
        {
            "entities": [dumped("card")],
            "featureViews": [dumped("v", entities=["card"], features=[7, {"name": None}])],
        },
        {
            "entities": [dumped("card")],
            "streamFeatureViews": [
                dumped("v", entities=["card"], aggregations=[{"function": "sum", "timeWindow": "soon"}, 5])
            ],
        },
    ],
)
def test_a_dump_with_other_things_in_it_is_read_as_far_as_it_goes(dump: dict[str, Any]) -> None:
    assert [entity.name for entity in schema_of(of_dump(dump)).entities] == ["card"]


def test_the_command_reads_a_folder_and_a_dump(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "registry.json").write_text(json.dumps(DUMP))
    for given in (repository, tmp_path / "registry.json"):
        out = tmp_path / f"{given.stem}.yaml"
        done = CliRunner().invoke(
            app,
            ["schema", "import", str(given), "--primary", "card", "--out", str(out)],
            env={"COLUMNS": "200"},
        )
        assert done.exit_code == 0, done.output
        assert "no counterpart" in done.output
        assert parse_schema(out.read_bytes(), "out").primary.name == "card"


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ({"entities": []}, [], "no entity and no feature view"),
        (DUMP, ["--label", "x=fraud"], "for exports of AWS"),
        ({"eventTypes": [{"name": "e"}]}, ["--primary", "card"], "for files of Feast"),
        ([1], [], "holds none of"),
    ],
)
def test_files_and_options_of_different_systems_are_refused(
    tmp_path: Path, content: Any, options: list[str], words: str
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content))
    arguments = ["schema", "import", str(tmp_path / "a.json"), "--out", str(tmp_path / "s.yaml"), *options]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert words in " ".join(done.output.split())
