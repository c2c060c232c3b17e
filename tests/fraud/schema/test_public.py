"""The schemas of public data sets read their layouts with the right values, fold them, and train on them."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from typer.testing import CliRunner

from fraud.cli import app
from fraud.features.batch import fold_passes
from fraud.features.events import events_of
from fraud.features.passes import passes_of_schema
from fraud.schema.reading import read_schema
from fraud.schema.schema import Schema
from fraud.tables import open_source
from fraud.tools.bench.quality import measure_quality
from fraud.tools.bench.quality_report import PUBLISHED, notes_of
from tests.fraud.schema.public import LAYOUTS, ROWS, truths, write

FILES = Path(__file__).parents[3] / "docs" / "examples" / "public"


def read(name: str, folder: Path) -> tuple[Schema, pa.Table]:
    schema = read_schema(FILES / f"{name}.yaml")
    path = write(LAYOUTS[name], folder)
    return schema, open_source("transactions", path, schema=schema, also={"is_fraud": pa.bool_()}).table()


def test_every_schema_has_a_layout_and_a_word_on_published_figures() -> None:
    assert {file.stem for file in FILES.glob("*.yaml")} == set(LAYOUTS) == set(PUBLISHED)


@pytest.mark.parametrize("name", LAYOUTS)
def test_rows_are_read_with_the_right_values_and_folded(name: str, tmp_path: Path) -> None:
    schema, table = read(name, tmp_path)
    assert table.num_rows == ROWS
    for at, expected in enumerate(LAYOUTS[name].first):
        row = table.slice(at, 1).to_pylist()[0]
        assert {key: row[key] for key in expected} == expected, f"row {at}"
    assert table["is_fraud"].to_pylist() == list(truths(LAYOUTS[name]))
    folded = fold_passes(events_of(schema).of_transactions(table), passes=passes_of_schema(schema))
    vectors = dict(zip((one.name for one in schema.features), folded.vectors.T, strict=True))
    assert folded.vectors.shape == (ROWS, len(schema.features))
    assert np.nanmax(vectors[schema.new]) > 0 or name == "paysim", "the primary has a history"
    own = [one.name for one in schema.features if one.entity is None]
    assert not any(np.isnan(vectors[feature]).all() for feature in own), "a column says nothing"


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_command_checks_the_schema_and_counts_its_features(name: str) -> None:
    file = FILES / f"{name}.yaml"
    done = CliRunner().invoke(app, ["schema", "check", str(file)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    schema = read_schema(file)
    assert f"{len(schema.entities)} entities, {len(schema.features)} features" in done.output


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_column_that_leaks_is_read(name: str) -> None:
    leaks = {
        *("oldbalanceOrg", "newbalanceOrig", "oldbalanceDest", "newbalanceDest", "isFlaggedFraud"),
        *("Errors", "Errors?", "unix_time", "D1", "V1", "C1", "zipcodeOri"),
    }
    content = yaml.safe_load((FILES / f"{name}.yaml").read_text())
    texts = " ".join(content["source"]["columns"].values())
    assert leaks.isdisjoint(re.findall(r"[\w?]+", texts))


def test_a_model_is_trained_on_a_layout(tmp_path: Path) -> None:
    path = write(LAYOUTS["banksim"], tmp_path, 1_500)
    board = measure_quality([], [path], schema=FILES / "banksim.yaml", gap_days=7.0)
    assert len(board.rows) == 4
    assert f"{path.name}: published: none of average precision that is known to us." in notes_of(board)
    assert all(0.0 < row.pr_auc <= 1.0 for row in board.rows)
