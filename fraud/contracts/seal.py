"""The seal of a record of the topic ``scored``: only who reads the feature store can make one.

The scoring service ends each record with a keyed hash of its bytes; the key is in the store. So the stream
tells a record that the store has lost from one that somebody else wrote.
"""

import hmac
from enum import Enum
from hashlib import blake2b
from typing import Final

_BEGIN: Final = b',"seal":"'
_END: Final = b'"}'
_HASH_BYTES: Final = 16
_LENGTH: Final = len(_BEGIN) + 2 * _HASH_BYTES + len(_END)


class Seal(Enum):
    """What a record's seal says."""

    OURS = "ours"
    NONE = "none"
    """It has none: the release before this one wrote it, or somebody else."""
    WRONG = "wrong"


def sealed(record: bytes, key: str) -> bytes:
    """End a record with its seal; without a key it stays as it is.

    Parameters
    ----------
    record
        A JSON object with a field or more.
    key
        Of the store that counted it.

    Examples
    --------
    >>> sealed(b'{"a":1}', "k")
    b'{"a":1,"seal":"319a76a43ca8a88da4d5ce0a90ac29a1"}'
    """
    return record[:-1] + _BEGIN + _hash(record, key) + _END if key else record


def seal_of(raw: bytes, key: str) -> Seal:
    """Read a record's seal.

    Examples
    --------
    >>> [seal_of(raw, "k") for raw in (sealed(b'{"a":1}', "k"), b'{"a":1}', sealed(b'{"a":1}', "other"))]
    [<Seal.OURS: 'ours'>, <Seal.NONE: 'none'>, <Seal.WRONG: 'wrong'>]
    """
    tail = raw[-_LENGTH:]
    if not (tail.startswith(_BEGIN) and tail.endswith(_END)):
        return Seal.NONE
    found = tail[len(_BEGIN) : -len(_END)]
    return Seal.OURS if hmac.compare_digest(found, _hash(raw[:-_LENGTH] + b"}", key)) else Seal.WRONG


def _hash(record: bytes, key: str) -> bytes:
    return blake2b(record, key=key.encode(), digest_size=_HASH_BYTES).hexdigest().encode()
