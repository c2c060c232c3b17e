"""How a rollout tells the model servers which share of the requests a new version gets.

The registry's alias ``canary`` names the version; two tags of that version say how much, and until when.
``jobs/rollout`` writes them, ``services/predictor`` follows them.
"""

from dataclasses import dataclass
from typing import Final

import xxhash

PERCENT: Final = "canary_percent"
"""Tag: share of the requests, 0 to 100."""
UNTIL: Final = "canary_until"
"""Tag: Unix time after which it gets none, so that a rollout that died leaves nothing behind."""


@dataclass(frozen=True, slots=True)
class Share:
    """What the canary gets.

    Examples
    --------
    >>> Share("7", percent=100.0, until=10.0).takes("a call", now=9.0)
    True
    >>> Share("7", percent=100.0, until=10.0).takes("a call", now=10.0)
    False
    """

    version: str
    percent: float
    until: float
    """Unix time."""

    def takes(self, call: str, now: float) -> bool:
        """Whether a call is the canary's: always the same answer for the same call."""
        drawn = xxhash.xxh3_64_intdigest(f"{self.version}:{call}".encode()) / 2.0**64
        return now < self.until and drawn * 100.0 < self.percent
