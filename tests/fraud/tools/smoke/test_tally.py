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
    account = Tally(frozenset({"a", "b"}))
    account.take(decision("a"))
    assert not account.is_whole
    account.take(decision("b", is_fallback=True))
    assert account.is_whole
    assert account.fallbacks == 1


def test_a_decision_published_again_is_no_second_one() -> None:
    account = Tally(frozenset({"a", "b"}))
    account.take(decision("a"))
    account.take(decision("a", is_fallback=True))
    assert (account.decided, account.repeated, account.fallbacks) == ({"a"}, 1, 0)
    assert not account.is_whole


def test_decisions_of_other_transactions_are_passed_over() -> None:
    account = Tally(frozenset({"a"}))
    account.take(decision("z"))
    assert account.decided == set()
