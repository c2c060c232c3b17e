"""What ``fraud init`` wrote is what later commands read by, each in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

from tests.jobs.init.test_init import checked, german  # noqa: F401  (a fixture)

_READ = """
import json, sys
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import read_tables
told = []
tables = read_tables(TrainSettings(transactions=sys.argv[1], label_gap_days=0.0), told.append)
labels = tables.labels["is_fraud"].to_pylist()
first, amount = tables.transactions["event_time"][0].as_py(), tables.transactions["amount"][1].as_py()
counts = [tables.transactions.num_rows, labels.count(True), labels.count(False)]
print(json.dumps([*counts, told, str(first), amount]))
"""


def test_training_reads_the_file_by_the_schema_alone(german: Path, tmp_path: Path) -> None:  # noqa: F811
    schema = tmp_path / "schema.yaml"
    columns = {"is_fraud": "map(Label, 0 = false, 1 = true, 2 = null)"}
    schema.write_text(checked(german, columns, ["zone=Europe/Berlin"]).text)
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(german)],
        env={"FRAUD_SCHEMA_FILE": str(schema), "PATH": "/usr/bin:/bin"},
        cwd=Path(__file__).parents[3],
        check=True,
        capture_output=True,
        text=True,
    )
    rows, frauds, honest, told, first, amount = json.loads(done.stdout)
    assert (rows, frauds, honest) == (60, 20, 20)
    assert (first, amount) == ("2024-12-31 23:30:00+00:00", 1001.25)
    assert not any("guess" in words for words in told), told
