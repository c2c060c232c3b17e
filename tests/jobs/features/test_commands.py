"""The command as a person runs it."""

from pathlib import Path

import pyarrow.parquet as pq
from typer.testing import CliRunner

from fraud.cli import app
from fraud.synthetic.files import write
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings


def test_build_writes_a_table_and_says_so_and_an_error_names_the_column(tmp_path: Path) -> None:
    data = generate(GeneratorSettings(transactions=500, users=30, merchants=30))
    write(data, tmp_path)
    given = ["features", "build", "--labels", str(tmp_path / "labels.parquet")]
    out = ["--out", str(tmp_path / "out"), "--partitions", "2", "--transactions"]
    done = CliRunner().invoke(app, [*given, *out, str(tmp_path / "transactions.parquet")])
    assert done.exit_code == 0, done.output
    assert "Wrote 500 vectors" in done.output
    assert "folding 1,000 records" in done.output
    assert sum(pq.read_metadata(file).num_rows for file in (tmp_path / "out").glob("*.parquet")) == 500

    pq.write_table(data.transactions.drop_columns(["merchant_id"]), tmp_path / "less.parquet")
    refused = CliRunner().invoke(
        app, [*given, "--out", str(tmp_path / "no"), "--transactions", str(tmp_path / "less.parquet")]
    )
    assert refused.exit_code == 1
    assert "lacks the column merchant_id" in refused.output


def test_the_family_lists_its_commands() -> None:
    printed = CliRunner().invoke(app, ["features", "--help"]).output
    for name in ("list", "explain", "docs", "build"):
        assert f" {name} " in printed


def test_build_takes_other_names_and_forms_with_both_engines(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "id;when;card;shop;eur\nt0;01/02/2025 10:00;u0;NA;1.234,50\nt1;03/02/2025 10:00;u0;m;7,5\n"
    )
    names = {
        "transaction_id": "id",
        "event_time": "when",
        "user_id": "card",
        "merchant_id": "shop",
        "amount": "eur",
    }
    columns = [word for our, their in names.items() for word in ("--column", f"{our}={their}")]
    given = ["features", "build", "--partitions", "2", "--transactions", str(tmp_path / "t.csv"), *columns]
    refused = CliRunner().invoke(app, [*given, "--out", str(tmp_path / "no")])
    assert refused.exit_code == 1
    assert "--read times=day-first" in " ".join(refused.output.split())
    for engine in ("local", "spark"):
        out = tmp_path / engine
        done = CliRunner().invoke(
            app, [*given, "--read", "times=day-first", "--engine", engine, "--out", str(out)]
        )
        assert done.exit_code == 0, done.output
        table = pq.read_table([str(file) for file in sorted(out.glob("*.parquet"))]).sort_by("event_time")
        assert table["transaction_amount"].to_pylist() == [1234.5, 7.5]
        assert [time.month for time in table["event_time"].to_pylist()] == [2, 2]
        assert table["merchant_id"].to_pylist() == ["NA", "m"]
