"""A module of the tests in a process of its own: a deployment has one schema."""

import json
import os
import subprocess
import sys
from typing import Any


def play(module: str, *arguments: str, **settings: str) -> dict[str, Any]:
    """Run ``python -m module arguments`` with further environment; returns the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:] + done.stdout[-1_000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found
