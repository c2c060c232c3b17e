"""The seal of a record of the topic ``scored``: only a program that reads the feature store can make one.

The scoring service ends each record with a keyed hash of its bytes. The key is in the store. So the stream
tells a record that the store has lost from one that somebody else wrote. A copy of the store that is older
than the key gets another key, so a key says nothing of records that were scored before it was made.
"""

import hmac
import secrets
import time
from enum import Enum
from hashlib import blake2b
from typing import Final, NamedTuple, Self

_BEGIN: Final = b',"seal":"'
_END: Final = b'"}'
_HASH_BYTES: Final = 16
_LENGTH: Final = len(_BEGIN) + 2 * _HASH_BYTES + len(_END)
_KEY_BYTES: Final = 32
CLOCKS_S: Final = 60.0
"""By how much the clocks of those who make keys and records may differ, seconds."""


class Seal(Enum):
    """What a record's seal says."""

    OURS = "ours"
    NONE = "none"
    """It has none: the release before this one wrote it, or somebody else."""
    WRONG = "wrong"
    EARLIER = "earlier"
    """Not ours, and scored before the key was made: it may have been sealed by the key before."""


class SealKey(NamedTuple):
    """The key of a store; without a secret there is none."""

    secret: str = ""
    made_at: float = 0.0
    """Unix time, seconds."""

    @classmethod
    def new(cls) -> Self:
        """Make one."""
        return cls(secrets.token_hex(_KEY_BYTES), time.time())

    @classmethod
    def decode(cls, stored: bytes | None) -> Self:
        """Read what :meth:`encode` wrote; None where nothing was written."""
        if not stored:
            return cls()
        secret, made_at = stored.decode().split("@")
        return cls(secret, float(made_at))

    def encode(self) -> bytes:
        """Write it for the store.

        Examples
        --------
        >>> SealKey.decode(SealKey("k", 2.5).encode())
        SealKey(secret='k', made_at=2.5)
        """
        return f"{self.secret}@{self.made_at}".encode()


def sealed(record: bytes, key: SealKey) -> bytes:
    """End a record with its seal; without a key it stays as it is.

    Parameters
    ----------
    record
        A JSON object with a field or more.
    key
        Of the store that counted it.

    Examples
    --------
    >>> sealed(b'{"a":1}', SealKey("k"))
    b'{"a":1,"seal":"319a76a43ca8a88da4d5ce0a90ac29a1"}'
    """
    return record[:-1] + _BEGIN + _hash(record, key) + _END if key.secret else record


def seal_of(raw: bytes, key: SealKey, scored_at: float) -> Seal:
    """Read a record's seal.

    Parameters
    ----------
    scored_at
        When the record says that it was scored, Unix time in seconds.

    Examples
    --------
    >>> ours, other = SealKey("k", 1000.0), SealKey("other", 0.0)
    >>> records = (sealed(b'{"a":1}', ours), b'{"a":1}', sealed(b'{"a":1}', other))
    >>> [seal_of(raw, ours, 2000.0) for raw in records]
    [<Seal.OURS: 'ours'>, <Seal.NONE: 'none'>, <Seal.WRONG: 'wrong'>]
    >>> seal_of(records[2], ours, 999.0)
    <Seal.EARLIER: 'earlier'>
    """
    found = _seal_of(raw, key)
    is_earlier = not key.secret or scored_at < key.made_at + CLOCKS_S
    return Seal.EARLIER if is_earlier and found is not Seal.OURS else found


def _seal_of(raw: bytes, key: SealKey) -> Seal:
    tail = raw[-_LENGTH:]
    if not (tail.startswith(_BEGIN) and tail.endswith(_END)):
        return Seal.NONE
    found = tail[len(_BEGIN) : -len(_END)]
    return Seal.OURS if hmac.compare_digest(found, _hash(raw[:-_LENGTH] + b"}", key)) else Seal.WRONG


def _hash(record: bytes, key: SealKey) -> bytes:
    return blake2b(record, key=key.secret.encode(), digest_size=_HASH_BYTES).hexdigest().encode()
