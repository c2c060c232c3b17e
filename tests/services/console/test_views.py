"""The examples in the docstrings of the console."""

import doctest
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from fraud.contracts import Outcome, contracts_of
from fraud.schema.reading import read_schema
from services.console import archive, draw, sessions, views
from services.console.archive import ConsoleArchive
from services.console.live import Live

MONEY = read_schema(Path(__file__).parents[2] / "fraud" / "money" / "payments.yaml")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("module", [archive, sessions, views])
def test_examples_run(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0


def test_amounts_are_shown_with_their_currencies(tmp_path: Path) -> None:
    """A history has amounts of several currencies; its picture has them in the base."""
    ids = ["t-1", "t-2", "t-3"]
    transactions = {
        "transaction_id": ids,
        "user_id": ["u"] * 3,
        "merchant_id": ["m"] * 3,
        "event_time": [AT - timedelta(hours=at) for at in range(3)],
        "amount": [25_000_000.0, 1.234, 9.5],
        "currency": ["VND", "KWD", None],
        "base_minor": [98_500, 401, 950],
    }
    write_deltalake(tmp_path / "transactions", pa.table(transactions))
    history = ConsoleArchive(str(tmp_path), {}, MONEY).history("u", AT, 30.0, "t-1")
    assert [event.money for event in history] == ["9.50 USD", "1.234 KWD", "25,000,000 VND"]
    assert [event.amount for event in history] == [9.5, 4.01, 985.0]
    assert "largest amount 985.00 USD" in draw.draw_timeline(history, MONEY.base_currency)
    decided = contracts_of(MONEY).decision(
        **{name: values[0] for name, values in transactions.items() if name != "base_minor"},
        amount_base=985.0,
        outcome=Outcome.REVIEW,
        score=0.5,
        model_version="1",
        features_version=MONEY.features_version,
        received_at=AT,
        processed_at=AT,
        epoch=0,
        source_partition=0,
        source_offset=0,
    )
    assert views.row(decided, Live(10), MONEY)["amount"] == "25,000,000 VND"
    facts = views.case(decided, history, Live(10), "", MONEY)["facts"]
    assert facts["usual amount (median)"] == "6.75 USD", "of 9.50 and 4.01"
    in_base = decided.model_copy(update={"currency": None, "amount": 9.5})
    assert views.row(in_base, Live(10), MONEY)["amount"] == "9.50 USD"
