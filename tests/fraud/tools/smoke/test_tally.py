"""A smoke test counts each of its own transactions once, and nobody else's."""

from datetime import UTC, datetime

from fraud.contracts import Outcome
from fraud.tools.smoke.tally import Tally
from tests.wire import Decision


def decision(transaction_id: str, *, is_fallback: bool = False) -> Decision:
    return Decision.model_construct(
        transaction_id=transaction_id,
        outcome=Outcome.APPROVE,
        is_fallback=is_fallback,
        processed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_it_is_whole_when_every_transaction_is_decided() -> None:
    tally = Tally(frozenset({"a", "b"}))
    tally.take(decision("a"))
    assert not tally.is_complete
    tally.take(decision("b", is_fallback=True))
    assert tally.is_complete
    assert tally.fallbacks == 1


def test_a_decision_published_again_is_no_second_one() -> None:
    tally = Tally(frozenset({"a", "b"}))
    tally.take(decision("a"))
    tally.take(decision("a", is_fallback=True))
    assert (tally.decided, tally.repeated, tally.fallbacks) == ({"a"}, 1, 0)
    assert not tally.is_complete


def test_decisions_of_other_transactions_are_passed_over() -> None:
    tally = Tally(frozenset({"a"}))
    tally.take(decision("z"))
    assert tally.decided == set()
