"""``fraud schema``: check, show, diff, json."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.schema.diff import Effect, compare
from fraud.schema.reading import DEFAULT, parse_schema
from tests.fraud.schema.reading.test_reading import SMALL


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["schema", *words], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


def test_a_schema_is_checked_and_shown(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    assert "9 fields, 2 entities, 4 features" in run("check", str(file))
    shown = run("show", str(file))
    assert "card (primary)" in shown
    assert "many" in shown
    assert run("show", "--file") == DEFAULT.read_text()
    assert "no difference" in run("diff", str(file), str(file))


@pytest.mark.parametrize(
    ("condition", "counts_nothing"),
    [
        ("kind == 'refund'", True),
        ("kind in ['refund', 'reversal'] && amount > 5", True),
        ("!(kind != 'refund')", True),
        ("kind == 'refund' || kind == 'transfer'", False),
        ("kind == 'refund' || amount > 5", False),
        ("kind != 'refund'", False),
        ("kind == 'verification'", False),
        ("amount > 5", False),
    ],
)
def test_a_filter_that_no_counted_kind_fulfils_is_noted(
    tmp_path: Path, condition: str, counts_nothing: bool
) -> None:
    """An entity counts neither refunds nor reversals, unless it names them."""
    notes = {}
    for entity in ("card", "everything"):
        file = tmp_path / f"{entity}.yaml"
        file.write_text(f"""
format: 1
name: kinds
fields: {{card: {{type: key, required: true}}}}
filters: {{some: "{condition}"}}
entities:
  card: {{key: card, primary: true}}
  everything: {{key: card, kinds: [purchase, verification, withdrawal, transfer, refund, reversal]}}
features:
  - amount
  - {{statistic: count, entity: {entity}, window: 7d, where: some}}
""")
        notes[entity] = run("check", str(file))
    words = (
        "count_7d_by_card_where_some counts nothing: the filter some holds for no kind that the entity card"
    )
    assert (words in notes["card"]) is counts_nothing
    assert "counts nothing" not in notes["everything"]


def test_a_home_without_rates_is_told_to_get_them(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "money.yaml"
    file.write_text(SMALL + "money: {base: USD}\n")
    said = run("use", str(file), "--home", str(home))
    assert f"`fraud rates check FILE`, `cp FILE {home / 'rates.csv'}`: reference rates to USD" in said
    (home / "rates.csv").write_text("currency,base,rate,since\nEUR,USD,1.1,\n")
    assert "reference rates" not in run("use", str(file), "--home", str(home))


def test_names_of_features_stay_whole_in_narrow_terminals(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    done = CliRunner().invoke(app, ["schema", "diff", str(DEFAULT), str(file)], env={"COLUMNS": "80"})
    assert "…" not in done.output
    listed = CliRunner().invoke(app, ["features", "list"], env={"COLUMNS": "80"}).output
    assert "…" not in listed
    assert "seconds_since_first_fraud_30d_by_merchant" in listed


def test_the_json_schema_names_every_type(tmp_path: Path) -> None:
    out = tmp_path / "schema.json"
    run("json", "--out", str(out))
    made = json.loads(out.read_text())
    assert made["title"] == "Schema of a fraud detection deployment"
    assert made["$defs"]["FieldType"]["enum"] == [
        "key",
        "category",
        "number",
        "flag",
        "time",
        "place",
        "zone",
        "text",
    ]


@pytest.mark.parametrize(
    ("old", "new", "effect", "said"),
    [
        (
            "  opened: {type: time}\n",
            "  opened: {type: time}\n  ip: {type: key}\n",
            Effect.NOTHING,
            "field ip is new",
        ),
        ("  opened: {type: time}\n", "", Effect.NOTHING, "field opened is gone"),
        (
            "opened: {type: time}",
            "opened: {type: text}",
            Effect.REFUSED,
            "field opened was a time and is a text",
        ),
        ("scale: 1", "scale: 2", Effect.REBUILD, "field items has 2 decimals, not 1"),
        ("items >= 3", "items >= 4", Effect.REBUILD, "filter many is another condition"),
        (
            "email: {key: email}",
            "email: {key: [email, card]}",
            Effect.REBUILD,
            "entity email is named by email and card",
        ),
        (
            "email: {key: email}",
            "email: {key: email, events: 64}",
            Effect.REBUILD,
            "entity email keeps something else",
        ),
        ("[1h, 7d]", "[1h, 7d, 24h]", Effect.MODEL, "feature count_24h_by_card is new"),
        ("[1h, 7d]", "[7d]", Effect.MODEL, "feature count_1h_by_card is gone"),
        (
            "card: {key: card, primary: true}",
            "card: {key: card}",
            Effect.REFUSED,
            "the primary entity is email, not card",
        ),
    ],
)
def test_a_change_says_what_must_follow(old: str, new: str, effect: Effect, said: str) -> None:
    text = SMALL.replace(old, new)
    if "primary" in said:
        text = text.replace("{key: email}", "{key: email, primary: true}")
        text = text.replace("email: {type: key}", "email: {type: key, required: true}")
    found = compare(parse_schema(SMALL.encode(), "old.yaml"), parse_schema(text.encode(), "new.yaml"))
    assert [change.effect for change in found if change.what.startswith(said)] == [effect]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "  opened: {type: time}\n",
            "",
            [
                "while it runs: `fraud roll {file}`\n",
                "stopped: `fraud schema use {file}`, then `fraud up`\n",
                "on a cluster: `helm upgrade` with `--set-file schema.file={file}` of airflow, serving",
            ],
        ),
        (
            "items >= 3",
            "items >= 4",
            [
                "while it runs: `fraud roll {file}`\n",
                "`fraud schema use {file}`, then `fraud replay rebuild-store --replace`, then `fraud up`\n",
                "upgrade `airflow` with `--set-file schema.file={file}`, then the other steps",
            ],
        ),
        (
            "[1h, 7d]",
            "[7d]",
            [
                "`FRAUD_SCHEMA_FILE={file} fraud train ...`, then `fraud roll {file} --model VERSION`\n",
                "`fraud schema use {file}`, then `fraud replay rebuild-store --replace`, then `fraud up ",
                "`fraud promote VERSION`, then `fraud up`\n",
            ],
        ),
        (
            "opened: {type: time}",
            "opened: {type: text}",
            ["`FRAUD_LOCAL_HOME=OTHER fraud schema use {file}`", "on a cluster: another namespace"],
        ),
    ],
)
def test_a_difference_names_what_to_run_next(tmp_path: Path, old: str, new: str, said: list[str]) -> None:
    """For a platform on this machine that runs, one that is stopped, and the charts."""
    before, after = tmp_path / "before.yaml", tmp_path / "after.yaml"
    before.write_text(SMALL)
    after.write_text(SMALL.replace(old, new))
    found = run("diff", str(before), str(after))
    for words in said:
        assert words.format(file=after) in found
    assert ("on this machine, stopped" in found) is (len(said) == 3)


def test_a_home_takes_a_schema_until_its_tables_cannot_go_on_with_it(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "small.yaml"
    file.write_text(SMALL)
    said = run("use", str(file), "--home", str(home))
    assert "the next `fraud up` runs with it\n`fraud up broker mlflow`, `fraud train --transactions" in said
    assert "rates" not in said
    assert (home / "schema.yaml").read_text() == SMALL
    (home / "stream" / "checkpoint").mkdir(parents=True)
    file.write_text(SMALL.replace("[1h, 7d]", "[1h, 24h]"))
    said = run("use", str(file), "--home", str(home))
    assert "`fraud promote VERSION`: a model on the new vectors" in said
    file.write_text(SMALL.replace("opened: {type: time}", "opened: {type: text}"))
    refused = CliRunner().invoke(app, ["schema", "use", str(file), "--home", str(home)])
    assert "field opened was a time and is a text" in refused.output
    assert "24h" in (home / "schema.yaml").read_text(), "what is refused changes nothing"
