"""What is written can be read again."""

import pytest

from fraud.errors import BadInput
from fraud.synthetic.files import read, read_table, write


def test_reading_gives_back_what_was_written(data_set, tmp_path):
    folder = tmp_path / "new" / "data"
    write(data_set, folder)
    assert read(folder) == data_set
    assert {path.name for path in folder.iterdir()} == {
        "transactions.parquet",
        "labels.parquet",
        "users.parquet",
        "merchants.parquet",
        "patterns.parquet",
    }


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(BadInput, match="fraud generate --out"):
        read_table(tmp_path, "labels")


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "labels.parquet").write_text("no parquet")
    with pytest.raises(BadInput, match=r"labels\.parquet"):
        read_table(tmp_path, "labels")
