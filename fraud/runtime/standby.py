"""A process that loads all it can beside its predecessor, and takes over when that has ended.

Reads the file *turn*, which `fraud restart` writes; writes a second file next to it when it is ready.
"""

from pathlib import Path
from typing import Final

from fraud.errors import Unavailable
from fraud.runtime.waiting import wait_until

PATIENCE_S: Final = 900.0
"""How long a successor waits to be let in, seconds."""
_POLL_S: Final = 0.02


def ready_file(turn: Path) -> Path:
    """Name the file that says that a successor is ready for its turn."""
    return turn.with_suffix(".ready")


def wait_for_turn(turn: Path, patience_s: float = PATIENCE_S) -> None:
    """Say that all is loaded, and return when the predecessor has ended.

    Raises
    ------
    Unavailable
        When it is not let in within that time.
    """
    ready_file(turn).touch()
    if not wait_until(turn.exists, patience_s, _POLL_S):
        raise Unavailable(
            f"timed out after {patience_s:.0f} s waiting to take over from the old process ({turn})"
        )
