"""A bank's transfers, each seen by the accounts on both sides: the log gives what was served, bit for bit."""

from pathlib import Path

from tests.own_process import play

SCHEMA = Path(__file__).parents[3] / "docs" / "examples" / "transfers.yaml"
SIDES = "{sides: {out: sender, in: receiver}, events: 512}"
FEW = SIDES, SIDES.replace("512", "16")
"""Few kept events, so that labels and results also speak of what lies in tiles."""
RESULTS = "results: [authorised, declined, reversed]\nentities:\n"
DECLINED = (
    "  - {statistic: count, entity: account, side: [out, in], where: declined, window: 7d}\nfallback:\n"
)


def test_parity_is_0_and_a_rebuild_goes_through(tmp_path: Path) -> None:
    """With late, repeated and malformed records, labels, results, and micro-batches that run twice."""
    text = SCHEMA.read_text()
    for old, new in (FEW, ("entities:\n", RESULTS), ("fallback:\n", DECLINED)):
        assert old in text
        text = text.replace(old, new, 1)
    schema = tmp_path / "transfers.yaml"
    schema.write_text(text)
    sizes = ("--transactions", "4000", "--batch", "600")
    found = play("tests.load.parity", *sizes, FRAUD_SCHEMA_FILE=str(schema))
    assert found["compared"] > 3_000
    assert (found["greatest_difference"], found["errors"], found["repeated_ids"]) == (0.0, [], 0)
