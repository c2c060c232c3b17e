"""Partial refunds: what is paid back leaves the amount that a transaction counts with from then on.

The primary remembers each refund in a column of remembered values: its transaction (K_VALUE), when it became
known (K_SEQUENCE), and the amount in minor units of the transaction's currency (K_SINCE; negative while the
transaction has not come). So a refund that is told again is known, and a transaction comes with the refunds
that came before it. When room is needed, refunds are forgotten whose transactions are kept no more, or did
not come in the time that windows reach back.

A transaction in another currency than the base counts with the same share of its base amount as is left of
its own, rounded half to even: whatever the order of its refunds, and nothing when all is paid back.
"""

import math

import numpy as np

from fraud.features.kernel.layout import (
    C_CENTS,
    C_ID,
    E_CENTS,
    E_ID,
    E_TOLD_AT,
    K_SEQUENCE,
    K_SINCE,
    K_VALUE,
    NO_ROOM,
    OTHER_CURRENCY,
    Floats,
)
from fraud.features.kernel.native import inlined, inner
from fraud.features.kernel.records import Cursor, Memory, Program

_BITS = 40  # of the greatest amount in the base's minor units


@inlined
def has_amount(program: Program, event: Floats) -> bool:
    """Whether a result is a refund with an amount, or an event has one taken out of it."""
    return program.refund >= 0 and not math.isnan(event[program.refund])


@inlined
def _key_of(program: Program, event: Floats) -> float:
    """Name a transaction in its currency: a refund in another currency never meets it."""
    currency = event[program.currency] if program.currency >= 0 else 0.0
    return float(np.int64(event[E_ID]) ^ np.int64(currency))


@inlined
def _find(program: Program, memory: Memory, event: Floats) -> int:
    """Position of a refund among the remembered ones; -1: it is new."""
    known, key = memory.known[program.refunds], _key_of(program, event)
    at = -1
    for i in range(memory.known_counts[program.refunds]):
        if known[K_VALUE, i] == key and known[K_SEQUENCE, i] == event[E_TOLD_AT]:
            at = i
    return at


@inlined
def _is_alive(program: Program, memory: Memory, cursor: Cursor, at: int, event: Floats) -> bool:
    """Whether a remembered refund's transaction is kept, or may still come."""
    known, kept = memory.known[program.refunds], memory.kept
    found: bool = known[K_SINCE, at] < 0.0 and known[K_SEQUENCE, at] > event[E_TOLD_AT] - program.retention_us
    for i in range(cursor.start, cursor.end):
        currency = kept[program.kept_currency, i] if program.currency >= 0 else 0.0
        found |= known[K_VALUE, at] == float(np.int64(kept[C_ID, i]) ^ np.int64(currency))
    return found


@inlined
def has_room(program: Program, memory: Memory, cursor: Cursor, event: Floats) -> bool:
    """Whether a refund is known already or can be remembered; forgets others to make room."""
    k = program.refunds
    if _find(program, memory, event) >= 0 or memory.known_counts[k] < program.known_capacities[k]:
        return True
    left = 0
    for i in range(memory.known_counts[k]):
        if _is_alive(program, memory, cursor, i, event):
            for row in range(memory.known.shape[1]):
                memory.known[k, row, left] = memory.known[k, row, i]
            left += 1
    memory.known_counts[k] = left
    has_left: bool = left < program.known_capacities[k]
    return has_left


@inlined
def _remember(program: Program, memory: Memory, event: Floats, amount: float) -> None:
    k = program.refunds
    i = memory.known_counts[k]
    memory.known[k, K_VALUE, i] = _key_of(program, event)
    memory.known[k, K_SINCE, i] = amount
    memory.known[k, K_SEQUENCE, i] = event[E_TOLD_AT]
    memory.known_counts[k] = i + 1


@inlined
def wait_with_refund(program: Program, memory: Memory, event: Floats) -> None:
    """Remember a refund of a transaction that has not come; there is room."""
    if _find(program, memory, event) < 0:
        _remember(program, memory, event, -event[program.refund])


@inner
def left_of(cents: float, minor: float, paid_back: float) -> float:
    """Work out what is left of ``cents`` when ``paid_back`` of ``minor`` is paid back: whole, half to even.

    The quotient is worked out bit by bit, as the product could be too large for 64 bits.
    """
    if paid_back >= minor:
        return 0.0
    whole, rest = np.int64(minor), np.int64(minor) - np.int64(paid_back)
    quotient = np.int64(0)
    remainder = np.int64(0)
    for bit in range(_BITS, -1, -1):
        remainder = 2 * remainder + (rest if (np.int64(cents) >> bit) & 1 else 0)
        quotient = 2 * quotient + remainder // whole
        remainder = remainder % whole
    twice = 2 * remainder
    if twice > whole or (twice == whole and quotient & 1):
        quotient += 1
    return float(quotient)


@inlined
def _paid_back(program: Program, memory: Memory, event: Floats) -> float:
    """Sum up the refunds of a transaction."""
    known, key = memory.known[program.refunds], _key_of(program, event)
    total = 0.0
    for i in range(memory.known_counts[program.refunds]):
        if known[K_VALUE, i] == key:
            total += abs(known[K_SINCE, i])
    return total


@inlined
def refusal_of(program: Program, memory: Memory, cursor: Cursor, i: int, event: Floats) -> float:
    """Say why a refund of the transaction that is kept at ``i`` cannot be taken; 0 where it can."""
    if not has_amount(program, event):
        return 0.0
    if program.currency >= 0 and memory.kept[program.kept_currency, i] != event[program.currency]:
        return OTHER_CURRENCY
    return 0.0 if has_room(program, memory, cursor, event) else NO_ROOM


@inlined
def take_refund(program: Program, memory: Memory, i: int, event: Floats) -> None:
    """Put into a refund by how much the amount of its transaction, kept at ``i``, falls; 0 if it is known."""
    if not has_amount(program, event):
        return
    amount = event[program.refund]
    event[program.refund] = 0.0
    if _find(program, memory, event) >= 0:
        return
    _remember(program, memory, event, amount)
    kept, before = memory.kept, memory.kept[C_CENTS, i]
    left = max(before - amount, 0.0)
    if program.currency >= 0:
        whole = before + kept[program.kept_paid, i]
        left = left_of(whole, kept[program.kept_minor, i], _paid_back(program, memory, event))
        kept[program.kept_paid, i] = whole - left
    event[program.refund] = before - left


@inlined
def take_waiting_refunds(program: Program, memory: Memory, event: Floats) -> None:
    """Put into a transaction that has arrived now what the refunds before it take out of its amount."""
    if program.refund < 0:
        return
    known, key = memory.known[program.refunds], _key_of(program, event)
    paid_back = 0.0
    for i in range(memory.known_counts[program.refunds]):
        if known[K_VALUE, i] == key and known[K_SINCE, i] < 0.0:
            known[K_SINCE, i] = -known[K_SINCE, i]
            paid_back += known[K_SINCE, i]
    cents = event[E_CENTS]
    event[program.refund] = 0.0
    if paid_back > 0.0 and not math.isnan(cents):
        minor = event[program.minor] if program.currency >= 0 else cents
        event[program.refund] = cents - left_of(cents, minor, paid_back)
