"""Each schema of docs/examples over data of the generator: the log gives what was served, bit for bit."""

from pathlib import Path

import pytest

from tests.own_process import play

EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "examples").glob("*.yaml"))


@pytest.mark.parametrize("schema", EXAMPLES, ids=lambda file: file.stem)
def test_parity_is_0_and_a_rebuild_goes_through(schema: Path) -> None:
    sizes = ("--transactions", "2000", "--batch", "600")
    found = play("tests.load.parity", *sizes, FRAUD_SCHEMA_FILE=str(schema))
    assert found["compared"] > 1_500
    assert (found["greatest_difference"], found["errors"], found["repeated_ids"]) == (0.0, [], 0)
